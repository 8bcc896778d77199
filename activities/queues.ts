/** Who polls a task queue right now: the preflight of `launch`, and the slots that `planShards` fills. */
import type { WorkflowClient } from '@temporalio/client';

/** A stopped worker stays listed for over a minute, an idle live one shows an access up to 60 s old. */
export const POLLER_FRESH_MS = 75_000;

/** TASK_QUEUE_TYPE_ACTIVITY of the Temporal API. */
const ACTIVITY = 2;

export interface Poller {
  identity: string;
  /** Engines that this worker runs at once. */
  slots: number;
  ageMs: number;
}

/** The identity by which an engine worker announces its slots; pollers carry nothing else of ours. */
export function workerIdentity(host: string, pid: number, slots: number): string {
  return `${pid}@${host}/slots=${slots}`;
}

/** Live pollers of an activity queue. */
export async function livePollers(
  client: Pick<WorkflowClient, 'connection' | 'options'>,
  queue: string,
  nowMs: number,
): Promise<Poller[]> {
  const answer = await client.connection.workflowService.describeTaskQueue({
    namespace: client.options.namespace,
    taskQueue: { name: queue },
    taskQueueType: ACTIVITY,
  });
  return (answer.pollers ?? [])
    .map((poller) => {
      const { seconds, nanos } = poller.lastAccessTime ?? {};
      const identity = poller.identity ?? '';
      return {
        identity,
        slots: Number(/\/slots=(\d+)$/.exec(identity)?.[1] ?? 1),
        ageMs: nowMs - (Number(seconds ?? 0) * 1000 + (nanos ?? 0) / 1e6),
      };
    })
    .filter((poller) => poller.ageMs <= POLLER_FRESH_MS);
}

/** Queues without a live worker: a group put on one waits silently for ever. */
export async function deadQueues(client: WorkflowClient, queues: readonly string[]): Promise<string[]> {
  const live = await Promise.all(queues.map((queue) => livePollers(client, queue, Date.now())));
  return queues.filter((_, i) => live[i]!.length === 0);
}
