import { type Kysely, sql } from 'kysely';

/**
 * Differences of lengths are computed when asked for. What stays stored: where two outputs part, for those that do; the
 * summaries; and by which version and from which runs each stage computed a cell.
 */
export async function tablesUp(db: Kysely<unknown>): Promise<void> {
  await sql`drop table length_shift`.execute(db);
  await sql`
    create table output_diff (
      sweep_no int not null,
      cell_no int not null,
      sample_idx int not null,
      base_sweep_no int not null,
      base_cell_no int not null,
      first_diff int not null,
      rep smallint not null,
      stop_missed boolean not null,
      stop_early boolean not null,
      constraint output_diff_pkey primary key (sweep_no, cell_no, sample_idx, rep)
    )`.execute(db);
  await sql`
    create table cell_stage (
      sweep_no int not null,
      cell_no int not null,
      stage text not null,
      version text not null,
      inputs text not null,
      computed_at timestamptz not null default clock_timestamp(),
      constraint cell_stage_pkey primary key (sweep_no, cell_no, stage)
    )`.execute(db);
  await sql`alter table score add column extra jsonb`.execute(db);
  // Summaries have another shape now. All that is stored here can be computed again, and is when next asked for.
  await sql`truncate cell_stats, estimate`.execute(db);
  // Noise cells are looked up by the baseline that they are held against.
  await sql`create index cell_noise on cell (baseline_key) where noise_kind is not null`.execute(db);
  // A summary is about 2 kB: kept as it is in its row, or every column of a view would unpack it again.
  await sql`alter table cell_stats set (toast_tuple_target = 8160)`.execute(db);
}

export async function tablesDown(db: Kysely<unknown>): Promise<void> {
  await sql`truncate cell_stats, estimate`.execute(db);
  await sql`alter table cell_stats reset (toast_tuple_target)`.execute(db);
  await sql`drop index cell_noise`.execute(db);
  await sql`alter table score drop column extra`.execute(db);
  await sql`drop table cell_stage, output_diff`.execute(db);
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
}
