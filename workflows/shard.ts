/** A shard: one contiguous range of groups on one queue. Holds ids and a cursor, nothing else. */
import * as wf from '@temporalio/workflow';
import type { ControlActivities, EngineActivities } from '../activities/index.ts';
import type { BriefFailure, ShardWorkflowInput } from './contracts.ts';
import { lanes } from './lanes.ts';
import { wakeSignal } from './messages.ts';
import {
  CONTROL_OPTIONS,
  engineOptions,
  HELD_BACKOFF,
  HISTORY_EVENTS,
  PAUSE_POLL,
  SLICE_SIZE,
} from './retry-policies.ts';

const ctl = wf.proxyActivities<ControlActivities>(CONTROL_OPTIONS);

/** The cause of an activity's failure, cut to what a history may hold. */
export function brief(error: unknown): BriefFailure {
  const cause = error instanceof wf.ActivityFailure && error.cause ? error.cause : error;
  const type =
    cause instanceof wf.ApplicationFailure
      ? (cause.type ?? 'Error')
      : cause instanceof wf.TimeoutFailure
        ? 'Timeout'
        : 'Error';
  return { type, message: (cause instanceof Error ? cause.message : String(cause)).slice(0, 500) };
}

export async function shardWorkflow(input: ShardWorkflowInput): Promise<void> {
  const { sweepNo, runNo, hi, policy } = input;
  const engine = wf.proxyActivities<EngineActivities>(engineOptions(input));
  let cursor = input.cursor ?? input.lo;
  let wakes = 0;
  wf.setHandler(wakeSignal, () => {
    wakes++;
  });

  while (cursor < hi) {
    const { continueAsNewSuggested, historyLength } = wf.workflowInfo();
    // No activity is in flight here: activities do not survive continue-as-new.
    if (continueAsNewSuggested || historyLength > (policy?.historyEvents ?? HISTORY_EVENTS)) {
      await wf.condition(wf.allHandlersFinished);
      return await wf.continueAsNew<typeof shardWorkflow>({ ...input, cursor });
    }

    const seen = wakes; // read before the activity: no lost wake-up
    const slice = await ctl.nextGroups(sweepNo, cursor, hi, policy?.sliceSize ?? SLICE_SIZE);
    if (slice.control === 'stop') return;
    if (slice.control === 'pause') {
      await wf.condition(() => wakes > seen, PAUSE_POLL);
      continue;
    }

    let held = false; // a group came back early: paused, drained or stopped
    await lanes(
      input.inFlight,
      slice.groups,
      () => !held,
      async (groupNo) => {
        try {
          const result = await engine.runGroup({ sweepNo, runNo, groupNo });
          if (result.left > 0) held = true;
        } catch (error) {
          if (wf.isCancellation(error)) throw error;
          await ctl.failGroup(sweepNo, groupNo, brief(error));
        }
      },
    );

    if (held) await wf.condition(() => wakes > seen, HELD_BACKOFF);
    else cursor = slice.next;
  }
}
