/** Activities on `kv.ctl`: short queries that steer the workflows. Each is safe to repeat. */

import { getClient } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import type { BriefFailure, ShardPlan, Slice } from '../workflows/contracts.ts';
import { type Db, databaseFailure } from './database.ts';
import * as ledger from './ledger.ts';
import { livePollers } from './queues.ts';
import { aggregateInBackground } from './sweep-client.ts';

export interface ControlActivities {
  openRun(sweepId: string, runKey: string): Promise<{ sweepNo: number; runNo: number }>;
  closeRun(sweepNo: number, runNo: number): Promise<void>;
  planShards(sweepNo: number): Promise<ShardPlan[]>;
  nextGroups(sweepNo: number, cursor: number, hi: number, limit: number): Promise<Slice>;
  countOpen(sweepNo: number): Promise<number>;
  failGroup(sweepNo: number, groupNo: number, failure: BriefFailure): Promise<void>;
  /** Starts or wakes the sweep's aggregation and returns at once. */
  requestAggregation(sweepId: string): Promise<void>;
}

export function createControlActivities({ db }: { db: Db }): ControlActivities {
  return {
    openRun: (sweepId, runKey) => guarded(() => ledger.openRun(db, sweepId, runKey)),
    closeRun: (sweepNo, runNo) => guarded(() => ledger.closeRun(db, sweepNo, runNo)),
    planShards: (sweepNo) =>
      guarded(async () => {
        const queues = await ledger.readOpenQueues(db, sweepNo);
        const client = getClient().workflow;
        const slots: Record<string, number> = {};
        for (const { queue } of queues) {
          const live = await livePollers(client, queue, Date.now());
          slots[queue] = live.reduce((sum, poller) => sum + poller.slots, 0);
        }
        return await ledger.planShards(db, sweepNo, slots);
      }),
    nextGroups: (sweepNo, cursor, hi, limit) => guarded(() => ledger.nextGroups(db, sweepNo, cursor, hi, limit)),
    countOpen: (sweepNo) => guarded(() => ledger.countOpen(db, sweepNo)),
    failGroup: (sweepNo, groupNo, failure) =>
      guarded(async () => {
        await ledger.failGroup(db, { sweepNo, groupNo, failure });
      }),
    requestAggregation: (sweepId) => guarded(() => aggregateInBackground(getClient().workflow, sweepId)),
  };
}

/** These retry for ever because Postgres may be away; what can never succeed must not. */
async function guarded<T>(f: () => Promise<T>): Promise<T> {
  try {
    return await f();
  } catch (error) {
    if (error instanceof ledger.LedgerRefusal) throw ApplicationFailure.nonRetryable(error.message, 'LedgerRefusal');
    throw databaseFailure(error);
  }
}
