/** The activity shell of aggregation on `kv.db`; what is computed stands in `aggregate/`. */
import { ApplicationFailure, Context } from '@temporalio/activity';
import { type Db, databaseFailure } from './database.ts';
import * as ledger from './ledger.ts';

export interface AggregationActivities {
  aggregate(sweepId: string): Promise<void>;
}

/** Recomputes what is older than its rows; calls `heartbeat` at least once per cell. */
export type AggregateSweep = (db: Db, sweepNo: number, heartbeat: () => void) => Promise<unknown>;

export interface AggregationDeps {
  db: Db;
  aggregateSweep: AggregateSweep;
}

export function createAggregationActivities({ db, aggregateSweep }: AggregationDeps): AggregationActivities {
  return {
    async aggregate(sweepId) {
      const context = Context.current();
      try {
        const { sweepNo } = await ledger.readSweep(db, sweepId);
        await aggregateSweep(db, sweepNo, () => {
          context.cancellationSignal.throwIfAborted();
          context.heartbeat();
        });
      } catch (error) {
        if (context.cancellationSignal.aborted) throw context.cancellationSignal.reason;
        if (error instanceof ledger.LedgerRefusal)
          throw ApplicationFailure.nonRetryable(error.message, 'LedgerRefusal');
        throw databaseFailure(error);
      }
    },
  };
}
