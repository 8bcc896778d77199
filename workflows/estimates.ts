/**
 * Intervals, tests and token diagnostics of a sweep: seconds of arithmetic a cell, so a job of its own behind the
 * aggregation. Slices of cells are activities, which all control workers share.
 */
import * as wf from '@temporalio/workflow';
import type { AggregationActivities } from '../activities/index.ts';
import type { EstimatesWorkflowInput } from './contracts.ts';
import { settle } from './lanes.ts';
import { wakeSignal } from './messages.ts';
import { AGGREGATION_OPTIONS, ESTIMATE_OPTIONS, HISTORY_EVENTS } from './retry-policies.ts';

const { planEstimates } = wf.proxyActivities<AggregationActivities>(AGGREGATION_OPTIONS);
const { estimate } = wf.proxyActivities<AggregationActivities>(ESTIMATE_OPTIONS);

export async function estimatesWorkflow(input: EstimatesWorkflowInput): Promise<void> {
  let wakes = 0;
  wf.setHandler(wakeSignal, () => {
    wakes++;
  });
  for (;;) {
    const seen = wakes;
    const slices = await planEstimates(input.sweepId);
    await settle(slices.map((slice) => estimate(input.sweepId, slice)));
    if (slices.length === 0 && wakes === seen) return;
    // What is done is marked in Postgres, so the next run plans the rest.
    if (wf.workflowInfo().historyLength > HISTORY_EVENTS) await wf.continueAsNew<typeof estimatesWorkflow>(input);
  }
}
