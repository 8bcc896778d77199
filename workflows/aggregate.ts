/** Aggregation of a sweep: recomputes from rows, never increments, so running it again is harmless. */
import * as wf from '@temporalio/workflow';
import type { AggregationActivities } from '../activities/index.ts';
import type { AggregateWorkflowInput } from './contracts.ts';
import { wakeSignal } from './messages.ts';
import { AGGREGATION_OPTIONS } from './retry-policies.ts';

const database = wf.proxyActivities<AggregationActivities>(AGGREGATION_OPTIONS);

export async function aggregateWorkflow(input: AggregateWorkflowInput): Promise<void> {
  let wakes = 0;
  wf.setHandler(wakeSignal, () => {
    wakes++;
  });
  for (;;) {
    const seen = wakes; // a wake during the activity means that newer rows may have been missed
    await database.aggregate(input.sweepId);
    if (wakes === seen) return;
  }
}
