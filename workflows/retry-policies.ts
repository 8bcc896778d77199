/** Every timeout, retry limit and bound of the workflows, each with its reason. */
import type { ActivityOptions } from '@temporalio/workflow';
import { CONTROL_QUEUE, DATABASE_QUEUE, ESTIMATE_QUEUE, type ShardWorkflowInput } from './contracts.ts';

/**
 * Continue-as-new above so many events. The server kills a run at 51,200 and replays 4,085 in 1.4 s; with slices of
 * 200 groups the worst run stays near 2,000 + 200 x 12 = 4,400.
 */
export const HISTORY_EVENTS = 2_000;

/** Groups handed to a shard at once: the step by which a history may pass {@link HISTORY_EVENTS}. */
export const SLICE_SIZE = 200;

/** A paused shard looks again after so long even without a wake: repairs a signal that was lost. */
export const PAUSE_POLL = '10m';

/** After a drained or paused group: enough for its worker to leave the queue, too short for a user to notice. */
export const HELD_BACKOFF = '1s';

/** Attempts unlimited on purpose: Postgres may be away for as long as it likes. */
export const CONTROL_OPTIONS: ActivityOptions = {
  taskQueue: CONTROL_QUEUE,
  startToCloseTimeout: '1m',
  retry: { initialInterval: '500ms', maximumInterval: '30s' },
};

/** Aggregation recomputes from rows, so a repeated attempt is harmless; heartbeats come per cell. */
export const AGGREGATION_OPTIONS: ActivityOptions = {
  taskQueue: DATABASE_QUEUE,
  startToCloseTimeout: '2h',
  heartbeatTimeout: '2m',
  retry: { initialInterval: '1s', maximumInterval: '30s', maximumAttempts: 5 },
};

/** As above; a slice is a minute of resampling, a cell with very many prompts more. */
export const ESTIMATE_OPTIONS: ActivityOptions = { ...AGGREGATION_OPTIONS, taskQueue: ESTIMATE_QUEUE };

/** 20 s: a cancel or a timeout is noticed after at most 0.8 x 20 s, a dead worker after 20 s. */
export const ENGINE_HEARTBEAT_MS = 20_000;

/** Options of `runGroup` on the shard's queue. */
export function engineOptions(shard: ShardWorkflowInput): ActivityOptions {
  return {
    taskQueue: shard.queue,
    startToCloseTimeout: shard.timeoutMs,
    heartbeatTimeout: shard.policy?.heartbeatMs ?? ENGINE_HEARTBEAT_MS,
    // Must be written: the documented default is not the effective one (an omitted value means TRY_CANCEL), and
    // without it the workflow closes while engines still run.
    cancellationType: 'WAIT_CANCELLATION_COMPLETED',
    // One sweep must not starve another that shares the queue.
    priority: { fairnessKey: `sweep-${shard.sweepNo}` },
    retry: {
      initialInterval: shard.policy?.retryInitialMs ?? 1_000,
      maximumInterval: '1m',
      maximumAttempts: shard.policy?.maxAttempts ?? 3,
    },
  };
}

/** A calibration is one prefill of the token set and a fit per layer: minutes on a CPU, never hours. */
export function calibrationOptions(queue: string): ActivityOptions {
  return {
    taskQueue: queue,
    startToCloseTimeout: '2h',
    heartbeatTimeout: ENGINE_HEARTBEAT_MS,
    // As in engineOptions: written, because the effective default would leave the engine running.
    cancellationType: 'WAIT_CANCELLATION_COMPLETED',
    retry: { initialInterval: '1s', maximumInterval: '1m', maximumAttempts: 3 },
  };
}
