/** The LongBench sets that the artifact scored: how each is scored, and which kind of task it is. */
import { LONGBENCH_SETS, type LongBenchSet } from '../../datasets/longbench-sets.ts';

export type ScoredSet = Pick<LongBenchSet, 'taskType' | 'metric'>;

export const SCORED_SETS: Readonly<Record<string, ScoredSet>> = Object.fromEntries(
  LONGBENCH_SETS.filter((row) => row.artifact).map(({ name, taskType, metric }) => [name, { taskType, metric }]),
);
