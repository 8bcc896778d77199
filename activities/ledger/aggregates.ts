/** What aggregation stores of a cell's run: summaries, estimates, and where outputs part. */
import type { JsonObject } from '../../workflows/contracts.ts';
import { type Db, query } from '../database.ts';
import { toJsonb } from './bytes.ts';
import { LOCK_CELLS, runArrays } from './stages.ts';
import type { EstimateRow, OutputDiffRow, RunRef } from './types.ts';

export interface CellStatsRow extends RunRef {
  /** '' = all task types together. */
  taskType: string;
  stats: JsonObject;
}

/** Replaces all rows of some runs in a table that is keyed by run, in one transaction: a reader sees old or new ones. */
async function replaceRows(
  db: Db,
  table: 'cell_stats' | 'estimate' | 'output_diff',
  runs: readonly RunRef[],
  insert: { text: string; values: unknown[] },
): Promise<void> {
  await db.transaction().execute(async (trx) => {
    // Asynchronous commit: whatever is lost in a crash is computed again.
    await query(trx, 'set local synchronous_commit = off');
    await query(trx, LOCK_CELLS, runArrays(runs));
    await query(
      trx,
      `delete from ${table} t using unnest($1::int[], $2::int[]) as u (sweep_no, cell_no)
        where t.sweep_no = u.sweep_no and t.cell_no = u.cell_no`,
      runArrays(runs),
    );
    await query(trx, insert.text, insert.values);
  });
}

/** Replaces the summaries of some runs; a run without rows loses what it had. */
export async function replaceCellStats(
  db: Db,
  runs: readonly RunRef[],
  version: string,
  rows: readonly CellStatsRow[],
): Promise<void> {
  await replaceRows(db, 'cell_stats', runs, {
    text: `
      insert into cell_stats (sweep_no, cell_no, task_type, stats, version)
      select u.sweep_no, u.cell_no, u.task_type, u.stats, $5
        from unnest($1::int[], $2::int[], $3::text[], $4::jsonb[]) as u (sweep_no, cell_no, task_type, stats)`,
    values: [...runArrays(rows), rows.map((row) => row.taskType), rows.map((row) => toJsonb(row.stats)), version],
  });
}

/** Replaces the estimates of some runs. */
export async function replaceEstimates(
  db: Db,
  runs: readonly RunRef[],
  rows: readonly (RunRef & EstimateRow)[],
): Promise<void> {
  const column = <K extends keyof EstimateRow>(name: K) => rows.map((row) => row[name]);
  await replaceRows(db, 'estimate', runs, {
    text: `
      insert into estimate (sweep_no, cell_no, statistic, value, lo, hi, p, n, n_clusters, b, seed, version)
      select u.*
        from unnest($1::int[], $2::int[], $3::text[], $4::float8[], $5::float8[], $6::float8[], $7::float8[], $8::int[],
                    $9::int[], $10::int[], $11::bigint[], $12::text[]) as u`,
    values: [
      ...runArrays(rows),
      column('statistic'),
      column('value'),
      column('lo'),
      column('hi'),
      column('p'),
      column('n'),
      column('nClusters'),
      column('b'),
      column('seed'),
      column('version'),
    ],
  });
}

/** Replaces where the outputs of some runs part from those of their baselines. */
export async function replaceOutputDiffs(
  db: Db,
  runs: readonly RunRef[],
  rows: readonly OutputDiffRow[],
): Promise<void> {
  await replaceRows(db, 'output_diff', runs, {
    text: `
      insert into output_diff (sweep_no, cell_no, sample_idx, rep, base_sweep_no, base_cell_no, first_diff, stop_missed,
                               stop_early)
      select u.*
        from unnest($1::int[], $2::int[], $3::int[], $4::smallint[], $5::int[], $6::int[], $7::int[], $8::boolean[],
                    $9::boolean[]) as u`,
    values: [
      ...runArrays(rows),
      rows.map((row) => row.sampleIdx),
      rows.map((row) => row.rep),
      ...runArrays(rows.map((row) => row.baseline)),
      rows.map((row) => row.firstDiff),
      rows.map((row) => row.stopMissed),
      rows.map((row) => row.stopEarly),
    ],
  });
}
