import { type Kysely, sql } from 'kysely';

/**
 * What engines measured, written once per key in the transaction that finishes the cell. Narrow on purpose: no
 * uuid, no foreign keys, outputs by the hash of their bytes.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  // sample_idx = index in the cell's prompt set. finish: 0 stop, 1 length, 2 context, 3 error.
  await sql`
    create table sample (
      sweep_no int not null,
      cell_no int not null,
      sample_idx int not null,
      rep smallint not null,
      finish smallint not null,
      truncated boolean not null,
      seed bigint not null,
      prompt_tokens_raw int,
      prompt_tokens int,
      new_tokens int,
      stop_id int,
      seen int,
      kept_min int,
      kept_max int,
      kept_mean double precision,
      queue_us bigint,
      prefill_us bigint,
      decode_us bigint,
      bytes_end bigint,
      bytes_peak bigint,
      bytes_f16 bigint,
      prompt_sha bytea,
      out_sha bytea,
      text_sha bytea,
      error_kind text,
      extra jsonb,
      constraint sample_pkey primary key (sweep_no, cell_no, sample_idx, rep),
      constraint sample_finish_known check (finish between 0 and 3),
      constraint sample_error_has_kind check ((finish = 3) = (error_kind is not null))
    ) partition by list (sweep_no)`.execute(db);
  await sql`create table sample_small partition of sample default`.execute(db);
  await sql`
    create table kept (
      sweep_no int not null,
      cell_no int not null,
      sample_idx int not null,
      rep smallint not null,
      seen int not null,
      layers smallint not null,
      kv_heads smallint not null,
      bitmap bytea not null,
      constraint kept_pkey primary key (sweep_no, cell_no, sample_idx, rep)
    )`.execute(db);
  await sql`
    create table throughput_run (
      sweep_no int not null,
      cell_no int not null,
      phase text not null,
      repeat int not null,
      guard boolean not null,
      batch int not null,
      prompt_tokens int not null,
      steps int not null,
      tokens bigint not null,
      seconds double precision not null,
      bytes_step bigint,
      bound_s double precision,
      peak_bytes bigint,
      bytes_end bigint,
      kept_mean double precision,
      clock_mhz double precision,
      us_step jsonb,
      constraint throughput_run_pkey primary key (sweep_no, cell_no, phase, guard, repeat),
      constraint throughput_run_phase_known check (phase in ('prefill', 'decode'))
    )`.execute(db);
  await sql`
    create table throughput_probe (
      sweep_no int not null,
      cell_no int not null,
      batch int not null,
      fits boolean not null,
      error_kind text,
      constraint throughput_probe_pkey primary key (sweep_no, cell_no, batch)
    )`.execute(db);
  await sql`
    create table score (
      sweep_no int not null,
      cell_no int not null,
      sample_idx int not null,
      rep smallint not null,
      metric text not null,
      variant text not null default '',
      scorer_version text not null,
      score double precision not null,
      ref_index int,
      constraint score_pkey primary key (sweep_no, cell_no, sample_idx, rep, metric, variant),
      constraint score_is_a_share check (score between 0 and 1)
    )`.execute(db);
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql`drop table score, throughput_probe, throughput_run, kept, sample`.execute(db);
}
