/** The stages of an aggregation: one row each, one file each. A stage is added by adding both. */
import type { Db } from '../database.ts';
import type { Breathe, StageName, StageNeeds, StaleCell } from '../ledger.ts';

export interface AggregateOptions {
  /** Seed of all resampling. */
  seed?: number;
  /** Bootstrap resamples; the default of the analysis if absent. */
  resamples?: number;
}

export interface Stage {
  name: StageName;
  /** Raised when any number may change: stored results of another version are computed again. */
  version: string;
  needs: StageNeeds;
  workloads: readonly string[];
  /** Samples that a batch of cells may hold; a cell with more is a batch of its own. */
  batchSamples: number;
  /**
   * Computes and stores the results of some cells, replacing what was there. Idempotent, also when two run at once. The
   * driver marks the cells afterwards.
   */
  run(db: Db, cells: readonly StaleCell[], breathe: Breathe, options: AggregateOptions): Promise<void>;
}
