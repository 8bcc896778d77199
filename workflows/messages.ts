/** Ids and signals: all that a client and the workflows must agree on. */
import { defineSignal } from '@temporalio/workflow';

/** Carries nothing: "Postgres changed, look again". */
export const wakeSignal = defineSignal('wake');

/** The root's id is the lock against two orchestrators of one sweep. */
export function sweepWorkflowId(sweepId: string): string {
  return `sweep/${sweepId}`;
}

/** Reused by every pass and every run of the sweep. */
export function shardWorkflowId(rootId: string, shard: number): string {
  return `${rootId}/shard/${shard}`;
}

export function aggregateWorkflowId(sweepId: string): string {
  return `aggregate/${sweepId}`;
}

export function estimatesWorkflowId(sweepId: string): string {
  return `estimates/${sweepId}`;
}

/** By its key: two launches that need one artefact wait for the same run. */
export function calibrationWorkflowId(key: string): string {
  return `calibrate/${key}`;
}
