/** The root of a sweep: passes over what is open in Postgres until nothing is, or a pass gets nowhere. */
import * as wf from '@temporalio/workflow';
import type { ControlActivities } from '../activities/index.ts';
import type { ShardPlan, SweepWorkflowInput, SweepWorkflowResult } from './contracts.ts';
import { settle } from './lanes.ts';
import { shardWorkflowId, wakeSignal } from './messages.ts';
import { CONTROL_OPTIONS } from './retry-policies.ts';
import { shardWorkflow } from './shard.ts';

const ctl = wf.proxyActivities<ControlActivities>(CONTROL_OPTIONS);

export async function sweepWorkflow(input: SweepWorkflowInput): Promise<SweepWorkflowResult> {
  const { workflowId: rootId, firstExecutionRunId } = wf.workflowInfo();
  let wakes = 0;
  let passes = 0;
  let open = Number.POSITIVE_INFINITY;
  const live = new Set<number>(); // before setHandler: signals that came with the start run inside it
  wf.setHandler(wakeSignal, async () => {
    wakes++;
    for (const shard of [...live]) {
      const handle = wf.getExternalWorkflowHandle(shardWorkflowId(rootId, shard));
      // A shard that has just closed needs no wake.
      await handle.signal(wakeSignal).catch(() => {});
    }
  });

  const run = await ctl.openRun(input.sweepId, firstExecutionRunId);
  const policy = input.policy ? { policy: input.policy } : {};
  const runShard = async (plan: ShardPlan, shard: number) => {
    live.add(shard);
    try {
      await wf.executeChild(shardWorkflow, {
        workflowId: shardWorkflowId(rootId, shard),
        args: [{ ...plan, ...run, ...policy }],
      });
    } finally {
      live.delete(shard);
    }
  };

  try {
    for (;;) {
      const seen = wakes;
      const before = open;
      await settle((await ctl.planShards(run.sweepNo)).map(runShard));
      open = await ctl.countOpen(run.sweepNo);
      passes++;
      if (wakes === seen && (open === 0 || open >= before)) break;
    }
  } finally {
    // A cancelled sweep too is closed and aggregated: its finished cells are results.
    await wf.CancellationScope.nonCancellable(async () => {
      await ctl.closeRun(run.sweepNo, run.runNo);
      await ctl.requestAggregation(input.sweepId);
    });
  }
  await wf.condition(wf.allHandlersFinished);
  return { open, passes };
}
