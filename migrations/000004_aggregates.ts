import { type Kysely, sql } from 'kysely';

/**
 * What aggregation computes from measurements. Every row can be dropped and computed again; `version` says by
 * which code. Keyed by the run of a cell (never by a cell that reuses another sweep's run).
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table length_shift (
      sweep_no int not null,
      cell_no int not null,
      sample_idx int not null,
      rep smallint not null,
      base_sweep_no int not null,
      base_cell_no int not null,
      l_base int not null,
      l_comp int not null,
      d double precision,
      d_lo double precision,
      d_hi double precision,
      censor text not null,
      same boolean not null,
      first_diff int,
      stop_missed boolean not null,
      stop_early boolean not null,
      beyond_noise boolean,
      constraint length_shift_pkey primary key (sweep_no, cell_no, sample_idx, rep),
      constraint length_shift_censor_known check (censor in ('none', 'comp', 'base', 'both'))
    )`.execute(db);
  await sql`
    create table cell_stats (
      sweep_no int not null,
      cell_no int not null,
      task_type text not null default '',
      stats jsonb not null,
      version text not null,
      computed_at timestamptz not null default clock_timestamp(),
      constraint cell_stats_pkey primary key (sweep_no, cell_no, task_type)
    )`.execute(db);
  await sql`
    create table estimate (
      sweep_no int not null,
      cell_no int not null,
      statistic text not null,
      value double precision,
      lo double precision,
      hi double precision,
      p double precision,
      n int not null,
      n_clusters int,
      b int,
      seed bigint,
      version text not null,
      constraint estimate_pkey primary key (sweep_no, cell_no, statistic)
    )`.execute(db);
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql`drop table estimate, cell_stats, length_shift`.execute(db);
}
