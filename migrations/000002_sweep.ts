import { type Kysely, sql } from 'kysely';

/** What exists and what is done: sweeps, groups, cells, and the append-only history of who tried what. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table sweep (
      sweep_no int generated always as identity,
      id text not null,
      spec jsonb not null,
      spec_sha bytea not null,
      provenance jsonb not null,
      limits jsonb not null,
      status text not null default 'planned',
      stop_reason text,
      run_no int not null default 0,
      run_key text,
      run_at timestamptz,
      created_at timestamptz not null default now(),
      constraint sweep_pkey primary key (sweep_no),
      constraint sweep_id_once unique (id),
      constraint sweep_status_known
        check (status in ('planned', 'running', 'paused', 'stopped', 'cancelled', 'finished'))
    )`.execute(db);
  await sql`
    create table cell_group (
      sweep_no int not null,
      group_no int not null,
      engine_key text not null,
      queue text not null,
      canary boolean not null,
      est_ms bigint,
      lease text,
      run_no int not null default 0,
      lease_ms bigint not null default 0,
      constraint cell_group_pkey primary key (sweep_no, group_no),
      constraint cell_group_of_sweep foreign key (sweep_no) references sweep (sweep_no)
    )`.execute(db);
  // What a worker runs is `run`; the generated columns are what people select by, never a second copy to keep true.
  await sql`
    create table cell (
      sweep_no int not null,
      cell_no int not null,
      group_no int not null,
      key bytea not null,
      run jsonb not null,
      model text not null generated always as (run -> 'model' ->> 'name') stored,
      model_sha bytea not null generated always as (decode(run -> 'model' ->> 'sha256', 'hex')) stored,
      prompt_set bytea generated always as (decode(run ->> 'prompt_set', 'hex')) stored,
      backend text not null generated always as (run ->> 'backend') stored,
      invariant boolean not null generated always as ((run ->> 'invariant')::boolean) stored,
      batch int generated always as (case when run ->> 'batch' <> 'max' then (run ->> 'batch')::int end) stored,
      workload text not null generated always as (
        case when run -> 'workload' ? 'generate' then 'generate'
             when run -> 'workload' ? 'throughput' then 'throughput'
             when run -> 'workload' ? 'score' then 'score' end) stored,
      compressor text not null,
      label text not null,
      requested jsonb not null,
      effective jsonb not null,
      derived jsonb not null,
      noise_kind text,
      noise_no int,
      dataset text,
      axes jsonb not null,
      is_baseline boolean not null,
      baseline_key bytea,
      n_planned int not null,
      est_ms bigint,
      status text not null default 'pending',
      lease text,
      tries int not null default 0,
      err_class text,
      n_alarms int not null default 0,
      summary jsonb,
      provenance jsonb,
      started_at timestamptz,
      finished_at timestamptz,
      reused_from int,
      constraint cell_pkey primary key (sweep_no, cell_no),
      constraint cell_key_once unique (sweep_no, key),
      constraint cell_of_group foreign key (sweep_no, group_no) references cell_group (sweep_no, group_no),
      constraint cell_reused_from foreign key (reused_from) references sweep (sweep_no),
      constraint cell_key_is_sha256 check (octet_length(key) = 32),
      constraint cell_status_known check (status in ('pending', 'leased', 'done', 'failed', 'lost')),
      constraint cell_noise_kind_known check (noise_kind in ('seed', 'batch', 'backend', 'rerun')),
      constraint cell_noise_is_numbered check ((noise_kind is null) = (noise_no is null)),
      constraint cell_reused_is_done check (reused_from is null or status = 'done')
    )`.execute(db);
  await sql`
    create index cell_open on cell (sweep_no, group_no)
     where status in ('pending', 'leased', 'lost')`.execute(db);
  await sql`
    create index cell_done on cell (key)
     where status = 'done' and reused_from is null`.execute(db);
  await sql`create index cell_by_group on cell (sweep_no, group_no)`.execute(db);
  await sql`create index cell_axes on cell using gin (axes)`.execute(db);
  await sql`
    create table attempt (
      sweep_no int not null,
      group_no int not null,
      lease text not null,
      host_id int,
      engine_build_id int,
      started_at timestamptz not null default now(),
      ended_at timestamptz,
      outcome text,
      constraint attempt_pkey primary key (sweep_no, group_no, lease),
      constraint attempt_of_group foreign key (sweep_no, group_no) references cell_group (sweep_no, group_no),
      constraint attempt_on_host foreign key (host_id) references host (id),
      constraint attempt_of_build foreign key (engine_build_id) references engine_build (id)
    )`.execute(db);
  await sql`
    create table cell_error (
      id bigint generated always as identity,
      sweep_no int not null,
      cell_no int not null,
      lease text,
      at timestamptz not null default clock_timestamp(),
      class text not null,
      kind text,
      message text,
      tail text,
      constraint cell_error_pkey primary key (id),
      constraint cell_error_class_known check (class in ('SpecInvalid', 'OutOfMemory', 'EngineCrash', 'EngineStall',
                                                         'HostFault', 'StaleAttempt', 'Poison'))
    )`.execute(db);
  await sql`create index cell_error_of_cell on cell_error (sweep_no, cell_no)`.execute(db);
  await sql`
    create table event (
      id bigint generated always as identity,
      sweep_no int not null,
      at timestamptz not null default clock_timestamp(),
      user_name text not null,
      action text not null,
      reason text,
      old jsonb,
      new jsonb,
      constraint event_pkey primary key (id),
      constraint event_of_sweep foreign key (sweep_no) references sweep (sweep_no)
    )`.execute(db);
  await sql`create index event_by_sweep on event (sweep_no, id)`.execute(db);
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql`drop table event, cell_error, attempt, cell, cell_group, sweep`.execute(db);
}
