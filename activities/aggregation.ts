/** The activity shells of aggregation on `kv.db` and of estimates on `kv.estimates`; what is computed stands in `aggregate/`. */
import { Context, getClient } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import type { EstimateSlice } from '../workflows/contracts.ts';
import { type Db, databaseFailure } from './database.ts';
import * as ledger from './ledger.ts';
import { estimateInBackground } from './sweep-client.ts';

export interface AggregationActivities {
  /** Brings scores, summaries and negatives up to date, then starts the estimates if any are out of date. */
  aggregate(sweepId: string): Promise<void>;
  /** The next slices of what is out of date among the estimates; none = all is computed. */
  planEstimates(sweepId: string): Promise<EstimateSlice[]>;
  estimate(sweepId: string, slice: EstimateSlice): Promise<void>;
}

/** What the activities run: recomputes what is older than its rows; calls `heartbeat` at least once per cell. */
export interface AggregationJobs {
  summaries(db: Db, sweepNo: number, heartbeat: () => void): Promise<unknown>;
  planEstimates(db: Db, sweepNo: number): Promise<EstimateSlice[]>;
  estimate(db: Db, sweepNo: number, slice: EstimateSlice, heartbeat: () => void): Promise<unknown>;
}

export interface AggregationDeps {
  db: Db;
  jobs: AggregationJobs;
}

export function createAggregationActivities({ db, jobs }: AggregationDeps): AggregationActivities {
  return {
    aggregate: (sweepId) =>
      onSweep(db, sweepId, async (sweepNo, heartbeat) => {
        await jobs.summaries(db, sweepNo, heartbeat);
        const open = await jobs.planEstimates(db, sweepNo);
        if (open.length > 0) await estimateInBackground(getClient().workflow, sweepId);
      }),
    planEstimates: (sweepId) => onSweep(db, sweepId, (sweepNo) => jobs.planEstimates(db, sweepNo)),
    estimate: (sweepId, slice) =>
      onSweep(db, sweepId, async (sweepNo, heartbeat) => {
        await jobs.estimate(db, sweepNo, slice, heartbeat);
      }),
  };
}

async function onSweep<T>(
  db: Db,
  sweepId: string,
  work: (sweepNo: number, heartbeat: () => void) => Promise<T>,
): Promise<T> {
  const context = Context.current();
  try {
    const { sweepNo } = await ledger.readSweep(db, sweepId);
    return await work(sweepNo, () => {
      context.cancellationSignal.throwIfAborted();
      context.heartbeat();
    });
  } catch (error) {
    if (context.cancellationSignal.aborted) throw context.cancellationSignal.reason;
    if (error instanceof ledger.LedgerRefusal) throw ApplicationFailure.nonRetryable(error.message, 'LedgerRefusal');
    throw databaseFailure(error);
  }
}
