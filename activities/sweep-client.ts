/** What a client does to the workflows of a sweep. Rows come first (the ledger); these only make them be looked at. */
import { type WorkflowClient, WorkflowNotFoundError } from '@temporalio/client';
import {
  type CalibrateInput,
  type CalibrateResult,
  CONTROL_QUEUE,
  type SweepWorkflowResult,
  type WorkflowPolicy,
} from '../workflows/contracts.ts';
import type { aggregateWorkflow, calibrateWorkflow, estimatesWorkflow, sweepWorkflow } from '../workflows/index.ts';
import {
  aggregateWorkflowId,
  calibrationWorkflowId,
  estimatesWorkflowId,
  sweepWorkflowId,
  wakeSignal,
} from '../workflows/messages.ts';

/** Search attributes to set at the start; only those that the server knows, an unknown one fails the start. */
export interface StartOptions {
  policy?: WorkflowPolicy;
}

/**
 * Starts the sweep's root, or attaches to the one that runs; wakes it either way. Used by `launch`, `resume` and
 * `retry` alike: an open and a closed root need no different handling.
 */
export async function wakeSweep(client: WorkflowClient, sweepId: string, options: StartOptions = {}) {
  return await client.signalWithStart<typeof sweepWorkflow>('sweepWorkflow', {
    workflowId: sweepWorkflowId(sweepId),
    taskQueue: CONTROL_QUEUE,
    args: [{ sweepId, ...options }],
    workflowIdConflictPolicy: 'USE_EXISTING',
    workflowIdReusePolicy: 'ALLOW_DUPLICATE',
    signal: wakeSignal,
  });
}

/** Wakes a root that runs; a sweep that does not run needs no wake. Used by `pause`. */
export async function nudgeSweep(client: WorkflowClient, sweepId: string): Promise<boolean> {
  return await ifRunning(() => client.getHandle(sweepWorkflowId(sweepId)).signal(wakeSignal));
}

/** Cancels the root; it closes after all its engines have stopped. False: it was not running. */
export async function cancelSweep(client: WorkflowClient, sweepId: string): Promise<boolean> {
  return await ifRunning(async () => {
    await client.getHandle(sweepWorkflowId(sweepId)).cancel();
  });
}

/** Resolves when the root has closed, through all of its runs; a cancelled one throws. */
export async function sweepResult(client: WorkflowClient, sweepId: string): Promise<SweepWorkflowResult> {
  return await client.getHandle<typeof sweepWorkflow>(sweepWorkflowId(sweepId)).result();
}

/** Starts the aggregation, or makes the one that runs look again. */
export async function aggregateInBackground(client: WorkflowClient, sweepId: string): Promise<void> {
  await startAggregation(client, sweepId);
}

/** The same, and waits for it: summaries, scores and negatives are as new as the rows then; estimates may still come. */
export async function aggregateSweepNow(client: WorkflowClient, sweepId: string): Promise<void> {
  const handle = await startAggregation(client, sweepId);
  await handle.result();
}

/** Starts the estimates that lie behind an aggregation, or makes those that run look again. */
export async function estimateInBackground(client: WorkflowClient, sweepId: string): Promise<void> {
  await client.signalWithStart<typeof estimatesWorkflow>('estimatesWorkflow', {
    workflowId: estimatesWorkflowId(sweepId),
    taskQueue: CONTROL_QUEUE,
    args: [{ sweepId }],
    workflowIdConflictPolicy: 'USE_EXISTING',
    workflowIdReusePolicy: 'ALLOW_DUPLICATE',
    signal: wakeSignal,
  });
}

/** Resolves when no estimates of the sweep are under way; at once if there never were any. */
export async function estimatesEnd(client: WorkflowClient, sweepId: string): Promise<void> {
  await ifRunning(() => client.getHandle<typeof estimatesWorkflow>(estimatesWorkflowId(sweepId)).result());
}

/** Makes an artefact, or waits for the run that makes it; its token set has to be stored. */
export async function calibrateNow(client: WorkflowClient, input: CalibrateInput): Promise<CalibrateResult> {
  return await client.execute<typeof calibrateWorkflow>('calibrateWorkflow', {
    workflowId: calibrationWorkflowId(input.key),
    taskQueue: CONTROL_QUEUE,
    args: [input],
    workflowIdConflictPolicy: 'USE_EXISTING',
    workflowIdReusePolicy: 'ALLOW_DUPLICATE',
  });
}

async function startAggregation(client: WorkflowClient, sweepId: string) {
  return await client.signalWithStart<typeof aggregateWorkflow>('aggregateWorkflow', {
    workflowId: aggregateWorkflowId(sweepId),
    taskQueue: CONTROL_QUEUE,
    args: [{ sweepId }],
    workflowIdConflictPolicy: 'USE_EXISTING',
    workflowIdReusePolicy: 'ALLOW_DUPLICATE',
    signal: wakeSignal,
  });
}

async function ifRunning(f: () => Promise<void>): Promise<boolean> {
  try {
    await f();
    return true;
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return false;
    throw error;
  }
}
