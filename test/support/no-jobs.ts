/** Aggregation that does nothing, for tests of what happens around it. */
import type { AggregationJobs } from '../../activities/aggregation.ts';

export const NO_JOBS: AggregationJobs = {
  summaries: async () => {},
  planEstimates: async () => [],
  estimate: async () => {},
};
