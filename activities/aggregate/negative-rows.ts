/** Writes what the negatives stage computed: many cells a statement, arrays as their literals. */
import { type Db, query } from '../database.ts';
import { LOCK_CELLS } from '../ledger/stages.ts';
import type { RunRef } from '../ledger.ts';
import type { Judged } from './negative-judge.ts';

export interface ThresholdRow extends RunRef {
  metric: string;
  variant: string;
  n: number;
  median: number;
  mean: number;
  replicates: readonly RunRef[];
  robustMedian: number | null;
  robustMean: number | null;
}

/** A Postgres array literal of numbers. */
function literal(values: readonly (number | null)[]): string;
function literal(values: readonly (number | null)[] | null): string | null;
function literal(values: readonly (number | null)[] | null): string | null {
  return values && `{${values.map((value) => value ?? 'null').join(',')}}`;
}

export async function replaceThresholds(db: Db, version: string, rows: readonly ThresholdRow[]): Promise<void> {
  if (rows.length === 0) return;
  await query(
    db,
    `insert into negative_threshold (sweep_no, cell_no, metric, variant, n, median, mean, rep_sweeps, rep_cells,
                                     robust_median, robust_mean, version)
     select u.sweep_no, u.cell_no, u.metric, u.variant, u.n, u.median, u.mean, u.rep_sweeps::int[], u.rep_cells::int[],
            u.robust_median, u.robust_mean, $12
       from unnest($1::int[], $2::int[], $3::text[], $4::text[], $5::int[], $6::float8[], $7::float8[], $8::text[],
                   $9::text[], $10::float8[], $11::float8[])
            as u (sweep_no, cell_no, metric, variant, n, median, mean, rep_sweeps, rep_cells, robust_median, robust_mean)
      order by 1, 2, 3, 4
         on conflict (sweep_no, cell_no, metric, variant) do update
        set n = excluded.n, median = excluded.median, mean = excluded.mean, rep_sweeps = excluded.rep_sweeps,
            rep_cells = excluded.rep_cells, robust_median = excluded.robust_median, robust_mean = excluded.robust_mean,
            version = excluded.version, computed_at = clock_timestamp()`,
    [
      rows.map((row) => row.sweepNo),
      rows.map((row) => row.cellNo),
      rows.map((row) => row.metric),
      rows.map((row) => row.variant),
      rows.map((row) => row.n),
      rows.map((row) => row.median),
      rows.map((row) => row.mean),
      rows.map((row) => literal(row.replicates.map((run) => run.sweepNo))),
      rows.map((row) => literal(row.replicates.map((run) => run.cellNo))),
      rows.map((row) => row.robustMedian),
      rows.map((row) => row.robustMean),
      version,
    ],
  );
}

/** Replaces the rows of all `runs` by those of `judged`: a run without any loses what it had. */
export async function replaceNegatives(
  db: Db,
  version: string,
  runs: readonly RunRef[],
  judged: readonly Judged[],
): Promise<void> {
  const refs = [runs.map((run) => run.sweepNo), runs.map((run) => run.cellNo)];
  await db.transaction().execute(async (trx) => {
    // Asynchronous commit: whatever is lost in a crash is computed again.
    await query(trx, 'set local synchronous_commit = off');
    // A second aggregation at once waits here, and then sees and replaces what the first one wrote.
    await query(trx, LOCK_CELLS, refs);
    for (const table of ['negative_summary', 'negative_set']) {
      await query(
        trx,
        `delete from ${table} t using unnest($1::int[], $2::int[]) as u (sweep_no, cell_no)
          where t.sweep_no = u.sweep_no and t.cell_no = u.cell_no`,
        refs,
      );
    }
    if (judged.length === 0) return;
    await insertSummaries(trx, version, judged);
    await insertSets(trx, judged);
  });
}

async function insertSummaries(db: Db, version: string, judged: readonly Judged[]): Promise<void> {
  const rows = judged.flatMap((cell) => cell.parts.map((part) => ({ cell, part })));
  await query(
    db,
    `insert into negative_summary (sweep_no, cell_no, metric, variant, task_type, base_sweep_no, base_cell_no, twin_sweeps,
                                   twin_cells, n, eligible, negatives, mirrored, stable, robust, noise_negatives, mean_base,
                                   mean_score, p, version)
     select u.sweep_no, u.cell_no, u.metric, u.variant, u.task_type, u.base_sweep_no, u.base_cell_no, u.twin_sweeps::int[],
            u.twin_cells::int[], u.n, u.eligible::int[], u.negatives::int[], u.mirrored::int[], u.stable::int[],
            u.robust::int[], u.noise::int[], u.mean_base::float8[], u.mean_score::float8[], u.p::float8[], $20
       from unnest($1::int[], $2::int[], $3::text[], $4::text[], $5::text[], $6::int[], $7::int[], $8::text[], $9::text[],
                   $10::int[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[], $17::text[],
                   $18::text[], $19::text[])
            as u (sweep_no, cell_no, metric, variant, task_type, base_sweep_no, base_cell_no, twin_sweeps, twin_cells, n,
                  eligible, negatives, mirrored, stable, robust, noise, mean_base, mean_score, p)`,
    [
      rows.map(({ cell }) => cell.run.sweepNo),
      rows.map(({ cell }) => cell.run.cellNo),
      rows.map(({ cell }) => cell.metric),
      rows.map(({ cell }) => cell.variant),
      rows.map(({ part }) => part.taskType),
      rows.map(({ cell }) => cell.baseline.sweepNo),
      rows.map(({ cell }) => cell.baseline.cellNo),
      rows.map(({ cell }) => literal(cell.twins.map((run) => run.sweepNo))),
      rows.map(({ cell }) => literal(cell.twins.map((run) => run.cellNo))),
      rows.map(({ part }) => part.n),
      rows.map(({ part }) => literal(part.eligible)),
      rows.map(({ part }) => literal(part.negatives)),
      rows.map(({ part }) => literal(part.mirrored)),
      rows.map(({ part }) => literal(part.stable)),
      rows.map(({ part }) => literal(part.robust)),
      rows.map(({ part }) => literal(part.noiseNegatives)),
      rows.map(({ part }) => literal(part.meanBase)),
      rows.map(({ part }) => literal(part.meanScore)),
      rows.map(({ part }) => literal(part.p)),
      version,
    ],
  );
}

async function insertSets(db: Db, judged: readonly Judged[]): Promise<void> {
  await query(
    db,
    `insert into negative_set (sweep_no, cell_no, metric, variant, sample_idx, rep, levels, robust)
     select u.sweep_no, u.cell_no, u.metric, u.variant, u.sample_idx::int[], u.rep::smallint[],
            u.levels::int[], u.robust::int[]
       from unnest($1::int[], $2::int[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[])
            as u (sweep_no, cell_no, metric, variant, sample_idx, rep, levels, robust)`,
    [
      judged.map((cell) => cell.run.sweepNo),
      judged.map((cell) => cell.run.cellNo),
      judged.map((cell) => cell.metric),
      judged.map((cell) => cell.variant),
      judged.map(({ set }) => literal(set.sampleIdx)),
      judged.map(({ set }) => literal(set.rep)),
      judged.map(({ set }) => literal(set.levels)),
      judged.map(({ set }) => literal(set.robust)),
    ],
  );
}
