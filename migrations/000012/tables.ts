import { type Kysely, sql } from 'kysely';

/**
 * What aggregation keeps of negatives. Each row can be dropped and computed again; keyed by the run of a cell, never by a
 * cell that reuses another sweep's run. Arrays [rule][theta] are flat, rule by rule: default, median, mean; theta 1, 2, 4, 8,
 * 10, 16, 24, 32 %. Rule artifact is median, weighed by the views.
 */
export async function createTables(db: Kysely<unknown>): Promise<void> {
  // rep_*: the other uncompressed runs that serve as replicates; robust_* are over the mean score per record of all of them.
  await sql`
    create table negative_threshold (
      sweep_no int not null,
      cell_no int not null,
      metric text not null,
      variant text not null,
      n int not null,
      median double precision not null,
      mean double precision not null,
      rep_sweeps int[] not null,
      rep_cells int[] not null,
      robust_median double precision,
      robust_mean double precision,
      version text not null,
      computed_at timestamptz not null default clock_timestamp(),
      constraint negative_threshold_pkey primary key (sweep_no, cell_no, metric, variant),
      constraint negative_threshold_pairs_up check (cardinality(rep_sweeps) = cardinality(rep_cells))
    )`.execute(db);
  // twin_*: replicates of the compressed cell.
  await sql`
    create table negative_summary (
      sweep_no int not null,
      cell_no int not null,
      metric text not null,
      variant text not null,
      task_type text not null,
      base_sweep_no int not null,
      base_cell_no int not null,
      twin_sweeps int[] not null,
      twin_cells int[] not null,
      n int not null,
      eligible int[] not null,
      negatives int[] not null,
      mirrored int[] not null,
      stable int[],
      robust int[],
      noise_negatives int[],
      mean_base double precision[] not null,
      mean_score double precision[] not null,
      p double precision[] not null,
      version text not null,
      computed_at timestamptz not null default clock_timestamp(),
      constraint negative_summary_pkey primary key (sweep_no, cell_no, metric, variant, task_type)
    )`.execute(db);
  // Sparse and one row a cell: only samples that are negative or mirrored at the least theta, or robust at any. `levels`
  // holds 4 bits each: at how many thetas the sample is negative under default, median, mean, then mirrored. `robust` has bit
  // 8 * rule + theta. `rep` is null if all are 0. A sample of 0 against 0 is left out: `median` calls it negative at every theta.
  await sql`
    create table negative_set (
      sweep_no int not null,
      cell_no int not null,
      metric text not null,
      variant text not null,
      sample_idx int[] not null,
      rep smallint[],
      levels int[] not null,
      robust int[],
      constraint negative_set_pkey primary key (sweep_no, cell_no, metric, variant)
    )`.execute(db);
  // Nobody selects by what an array holds, and statistics of its elements would cost more than the rest.
  for (const table of ['negative_summary', 'negative_set']) {
    await sql`
      do $$
      declare
        name text;
      begin
        for name in
          select attname from pg_attribute
           where attrelid = ${sql.lit(table)}::regclass and attnum > 0 and attndims > 0
        loop
          execute format('alter table ${sql.raw(table)} alter column %I set statistics 0', name);
        end loop;
      end $$`.execute(db);
  }
}

export async function dropTables(db: Kysely<unknown>): Promise<void> {
  await sql`drop table negative_set, negative_summary, negative_threshold`.execute(db);
}
