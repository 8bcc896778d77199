-- Written by tools/dump-schema.ts from the catalogue; do not edit.

-- Tables

create table artefact (
  sha bytea not null,
  kind text not null,
  bytes bytea not null,
  constraint artefact_pkey PRIMARY KEY (sha)
);
create table attempt (
  sweep_no integer not null,
  group_no integer not null,
  lease text not null,
  host_id integer,
  engine_build_id integer,
  started_at timestamp with time zone not null default now(),
  ended_at timestamp with time zone,
  outcome text,
  constraint attempt_pkey PRIMARY KEY (sweep_no, group_no, lease),
  constraint attempt_of_build FOREIGN KEY (engine_build_id) REFERENCES engine_build(id),
  constraint attempt_of_group FOREIGN KEY (sweep_no, group_no) REFERENCES cell_group(sweep_no, group_no),
  constraint attempt_on_host FOREIGN KEY (host_id) REFERENCES host(id)
);
create table calibration (
  key bytea not null,
  artefact_sha bytea not null,
  compressor text not null,
  parameters jsonb not null,
  model_sha bytea not null,
  token_set bytea not null,
  numerics text not null,
  made_at timestamp with time zone not null default clock_timestamp(),
  constraint calibration_pkey PRIMARY KEY (key),
  constraint calibration_artefact FOREIGN KEY (artefact_sha) REFERENCES artefact(sha),
  constraint calibration_key_is_sha256 CHECK (octet_length(key) = 32),
  constraint calibration_tokens FOREIGN KEY (token_set) REFERENCES prompt_set(sha)
);
create table cell (
  sweep_no integer not null,
  cell_no integer not null,
  group_no integer not null,
  key bytea not null,
  run jsonb not null,
  model text not null generated always as (((run -> 'model'::text) ->> 'name'::text)) stored,
  model_sha bytea generated always as (decode(((run -> 'model'::text) ->> 'sha256'::text), 'hex'::text)) stored,
  prompt_set bytea generated always as (decode((run ->> 'prompt_set'::text), 'hex'::text)) stored,
  backend text generated always as ((run ->> 'backend'::text)) stored,
  invariant boolean generated always as (((run ->> 'invariant'::text))::boolean) stored,
  batch integer generated always as (
CASE
    WHEN ((run ->> 'batch'::text) <> 'max'::text) THEN ((run ->> 'batch'::text))::integer
    ELSE NULL::integer
END) stored,
  workload text not null generated always as (
CASE
    WHEN ((run -> 'workload'::text) ? 'generate'::text) THEN 'generate'::text
    WHEN ((run -> 'workload'::text) ? 'throughput'::text) THEN 'throughput'::text
    WHEN ((run -> 'workload'::text) ? 'score'::text) THEN 'score'::text
    WHEN ((run -> 'workload'::text) ? 'import'::text) THEN 'import'::text
    ELSE NULL::text
END) stored,
  compressor text not null,
  label text not null,
  requested jsonb not null,
  effective jsonb,
  derived jsonb not null,
  noise_kind text,
  noise_no integer,
  dataset text,
  axes jsonb not null,
  is_baseline boolean not null,
  baseline_key bytea,
  n_planned integer not null,
  est_ms bigint,
  status text not null default 'pending'::text,
  lease text,
  tries integer not null default 0,
  err_class text,
  n_alarms integer not null default 0,
  summary jsonb,
  provenance jsonb,
  started_at timestamp with time zone,
  finished_at timestamp with time zone,
  reused_from integer,
  replicate_of bytea,
  constraint cell_pkey PRIMARY KEY (sweep_no, cell_no),
  constraint cell_key_is_sha256 CHECK (octet_length(key) = 32),
  constraint cell_key_once UNIQUE (sweep_no, key),
  constraint cell_noise_is_numbered CHECK ((noise_kind IS NULL) = (noise_no IS NULL)),
  constraint cell_noise_kind_known CHECK (noise_kind = ANY (ARRAY['seed'::text, 'batch'::text, 'backend'::text, 'rerun'::text])),
  constraint cell_of_group FOREIGN KEY (sweep_no, group_no) REFERENCES cell_group(sweep_no, group_no),
  constraint cell_reused_from FOREIGN KEY (reused_from) REFERENCES sweep(sweep_no),
  constraint cell_reused_is_done CHECK (reused_from IS NULL OR status = 'done'::text),
  constraint cell_status_known CHECK (status = ANY (ARRAY['pending'::text, 'leased'::text, 'done'::text, 'failed'::text, 'lost'::text]))
);
create table cell_error (
  id bigint not null generated always as identity,
  sweep_no integer not null,
  cell_no integer not null,
  lease text,
  at timestamp with time zone not null default clock_timestamp(),
  class text not null,
  kind text,
  message text,
  tail text,
  constraint cell_error_pkey PRIMARY KEY (id),
  constraint cell_error_class_known CHECK (class = ANY (ARRAY['SpecInvalid'::text, 'OutOfMemory'::text, 'EngineCrash'::text, 'EngineStall'::text, 'HostFault'::text, 'StaleAttempt'::text, 'Poison'::text]))
);
create table cell_group (
  sweep_no integer not null,
  group_no integer not null,
  engine_key text not null,
  queue text not null,
  canary boolean not null,
  est_ms bigint,
  lease text,
  run_no integer not null default 0,
  lease_ms bigint not null default 0,
  constraint cell_group_pkey PRIMARY KEY (sweep_no, group_no),
  constraint cell_group_of_sweep FOREIGN KEY (sweep_no) REFERENCES sweep(sweep_no)
);
create table cell_stage (
  sweep_no integer not null,
  cell_no integer not null,
  stage text not null,
  version text not null,
  inputs text not null,
  computed_at timestamp with time zone not null default clock_timestamp(),
  constraint cell_stage_pkey PRIMARY KEY (sweep_no, cell_no, stage)
);
create table cell_stats (
  sweep_no integer not null,
  cell_no integer not null,
  task_type text not null default ''::text,
  stats jsonb not null,
  version text not null,
  computed_at timestamp with time zone not null default clock_timestamp(),
  constraint cell_stats_pkey PRIMARY KEY (sweep_no, cell_no, task_type)
);
create table engine_build (
  id integer not null generated always as identity,
  sha bytea not null,
  version text not null,
  build text not null,
  numerics jsonb not null,
  constraint engine_build_pkey PRIMARY KEY (id),
  constraint engine_build_sha_once UNIQUE (sha)
);
create table estimate (
  sweep_no integer not null,
  cell_no integer not null,
  statistic text not null,
  value double precision,
  lo double precision,
  hi double precision,
  p double precision,
  n integer not null,
  n_clusters integer,
  b integer,
  seed bigint,
  version text not null,
  constraint estimate_pkey PRIMARY KEY (sweep_no, cell_no, statistic)
);
create table event (
  id bigint not null generated always as identity,
  sweep_no integer not null,
  at timestamp with time zone not null default clock_timestamp(),
  user_name text not null,
  action text not null,
  reason text,
  old jsonb,
  new jsonb,
  constraint event_pkey PRIMARY KEY (id),
  constraint event_of_sweep FOREIGN KEY (sweep_no) REFERENCES sweep(sweep_no)
);
create table host (
  id integer not null generated always as identity,
  name text not null,
  facts jsonb not null,
  facts_md5 text not null generated always as (md5((facts)::text)) stored,
  constraint host_pkey PRIMARY KEY (id),
  constraint host_facts_once UNIQUE (name, facts_md5)
);
create table kept (
  sweep_no integer not null,
  cell_no integer not null,
  sample_idx integer not null,
  rep smallint not null,
  seen integer not null,
  layers smallint not null,
  kv_heads smallint not null,
  bitmap bytea not null,
  constraint kept_pkey PRIMARY KEY (sweep_no, cell_no, sample_idx, rep)
);
create table model (
  sha bytea not null,
  name text not null,
  path text not null,
  meta jsonb not null,
  constraint model_pkey PRIMARY KEY (sha),
  constraint model_sha_is_sha256 CHECK (octet_length(sha) = 32)
);
create table negative_set (
  sweep_no integer not null,
  cell_no integer not null,
  metric text not null,
  variant text not null,
  sample_idx integer[] not null,
  rep smallint[],
  levels integer[] not null,
  robust integer[],
  constraint negative_set_pkey PRIMARY KEY (sweep_no, cell_no, metric, variant)
);
create table negative_summary (
  sweep_no integer not null,
  cell_no integer not null,
  metric text not null,
  variant text not null,
  task_type text not null,
  base_sweep_no integer not null,
  base_cell_no integer not null,
  twin_sweeps integer[] not null,
  twin_cells integer[] not null,
  n integer not null,
  eligible integer[] not null,
  negatives integer[] not null,
  mirrored integer[] not null,
  stable integer[],
  robust integer[],
  noise_negatives integer[],
  mean_base double precision[] not null,
  mean_score double precision[] not null,
  p double precision[] not null,
  version text not null,
  computed_at timestamp with time zone not null default clock_timestamp(),
  constraint negative_summary_pkey PRIMARY KEY (sweep_no, cell_no, metric, variant, task_type)
);
create table negative_threshold (
  sweep_no integer not null,
  cell_no integer not null,
  metric text not null,
  variant text not null,
  n integer not null,
  median double precision not null,
  mean double precision not null,
  rep_sweeps integer[] not null,
  rep_cells integer[] not null,
  robust_median double precision,
  robust_mean double precision,
  version text not null,
  computed_at timestamp with time zone not null default clock_timestamp(),
  constraint negative_threshold_pkey PRIMARY KEY (sweep_no, cell_no, metric, variant),
  constraint negative_threshold_pairs_up CHECK (cardinality(rep_sweeps) = cardinality(rep_cells))
);
create table output (
  sha bytea not null,
  size integer not null,
  bytes bytea,
  uri text,
  constraint output_pkey PRIMARY KEY (sha),
  constraint output_has_one_place CHECK (num_nonnulls(bytes, uri) = 1)
);
create table output_diff (
  sweep_no integer not null,
  cell_no integer not null,
  sample_idx integer not null,
  base_sweep_no integer not null,
  base_cell_no integer not null,
  first_diff integer not null,
  rep smallint not null,
  stop_missed boolean not null,
  stop_early boolean not null,
  constraint output_diff_pkey PRIMARY KEY (sweep_no, cell_no, sample_idx, rep)
);
create table prompt (
  prompt_set bytea not null,
  idx integer not null,
  key text not null,
  prompt text,
  messages jsonb,
  tokens integer[],
  continuation text,
  answers text[],
  metric text,
  variant text,
  task_type text,
  max_new_tokens integer,
  meta jsonb,
  constraint prompt_pkey PRIMARY KEY (prompt_set, idx),
  constraint prompt_has_one_form CHECK (num_nonnulls(prompt, messages, tokens) <= 1),
  constraint prompt_key_once UNIQUE (prompt_set, key),
  constraint prompt_of_set FOREIGN KEY (prompt_set) REFERENCES prompt_set(sha)
);
create table prompt_set (
  sha bytea not null,
  dataset text not null,
  size integer not null,
  meta jsonb not null,
  constraint prompt_set_pkey PRIMARY KEY (sha),
  constraint prompt_set_sha_is_sha256 CHECK (octet_length(sha) = 32)
);
create table sample (
  sweep_no integer not null,
  cell_no integer not null,
  sample_idx integer not null,
  rep smallint not null,
  finish smallint not null,
  truncated boolean not null,
  seed bigint not null,
  prompt_tokens_raw integer,
  prompt_tokens integer,
  new_tokens integer,
  stop_id integer,
  seen integer,
  kept_min integer,
  kept_max integer,
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
  constraint sample_pkey PRIMARY KEY (sweep_no, cell_no, sample_idx, rep),
  constraint sample_error_has_kind CHECK ((finish = 3) = (error_kind IS NOT NULL)),
  constraint sample_finish_known CHECK (finish >= 0 AND finish <= 3)
) partition by LIST (sweep_no);
create table score (
  sweep_no integer not null,
  cell_no integer not null,
  sample_idx integer not null,
  rep smallint not null,
  metric text not null,
  variant text not null default ''::text,
  scorer_version text not null,
  score double precision not null,
  ref_index integer,
  extra jsonb,
  constraint score_pkey PRIMARY KEY (sweep_no, cell_no, sample_idx, rep, metric, variant),
  constraint score_is_a_share CHECK (score >= 0::double precision AND score <= 1::double precision)
);
create table sweep (
  sweep_no integer not null generated always as identity,
  id text not null,
  spec jsonb not null,
  spec_sha bytea not null,
  provenance jsonb not null,
  limits jsonb not null,
  status text not null default 'planned'::text,
  stop_reason text,
  run_no integer not null default 0,
  run_key text,
  run_at timestamp with time zone,
  created_at timestamp with time zone not null default now(),
  constraint sweep_pkey PRIMARY KEY (sweep_no),
  constraint sweep_id_once UNIQUE (id),
  constraint sweep_status_known CHECK (status = ANY (ARRAY['planned'::text, 'running'::text, 'paused'::text, 'stopped'::text, 'cancelled'::text, 'finished'::text]))
);
create table throughput_probe (
  sweep_no integer not null,
  cell_no integer not null,
  batch integer not null,
  fits boolean not null,
  error_kind text,
  constraint throughput_probe_pkey PRIMARY KEY (sweep_no, cell_no, batch)
);
create table throughput_run (
  sweep_no integer not null,
  cell_no integer not null,
  phase text not null,
  repeat integer not null,
  guard boolean not null,
  batch integer not null,
  prompt_tokens integer not null,
  steps integer not null,
  tokens bigint not null,
  seconds double precision not null,
  bytes_step bigint,
  bound_s double precision,
  peak_bytes bigint,
  bytes_end bigint,
  kept_mean double precision,
  clock_mhz double precision,
  us_step jsonb,
  constraint throughput_run_pkey PRIMARY KEY (sweep_no, cell_no, phase, guard, repeat),
  constraint throughput_run_phase_known CHECK (phase = ANY (ARRAY['prefill'::text, 'decode'::text]))
);

-- Partitions

create table sample_small partition of sample DEFAULT;

-- Indexes that no constraint makes

CREATE INDEX cell_by_group ON public.cell USING btree (sweep_no, group_no);
CREATE INDEX cell_done ON public.cell USING btree (key) WHERE ((status = 'done'::text) AND (reused_from IS NULL));
CREATE INDEX cell_error_of_cell ON public.cell_error USING btree (sweep_no, cell_no);
CREATE INDEX cell_hex ON public.cell USING btree (encode(key, 'hex'::text));
CREATE INDEX cell_noise ON public.cell USING btree (baseline_key) WHERE (noise_kind IS NOT NULL);
CREATE INDEX cell_open ON public.cell USING btree (sweep_no, group_no) WHERE (status = ANY (ARRAY['pending'::text, 'leased'::text, 'lost'::text]));
CREATE INDEX cell_replicates ON public.cell USING btree (replicate_of) WHERE (replicate_of IS NOT NULL);
CREATE INDEX event_by_sweep ON public.event USING btree (sweep_no, id);

-- Functions

CREATE OR REPLACE FUNCTION public.at_tokens(tokens double precision[], points double precision[], t double precision)
 RETURNS double precision
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN (SELECT CASE WHEN (at.i = 0) THEN (at_tokens.points)[1] WHEN (at.i = cardinality(at_tokens.tokens)) THEN (at_tokens.points)[at.i] ELSE ((at_tokens.points)[at.i] + ((((at_tokens.points)[(at.i + 1)] - (at_tokens.points)[at.i]) * ln((at_tokens.t / (at_tokens.tokens)[at.i]))) / ln(((at_tokens.tokens)[(at.i + 1)] / (at_tokens.tokens)[at.i])))) END AS "case" FROM (SELECT width_bucket(at_tokens.t, at_tokens.tokens) AS i) at)
;
CREATE OR REPLACE FUNCTION public.decode_steps(new_tokens integer, stop_id integer)
 RETURNS integer
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN ((new_tokens - 1) + ((stop_id IS NOT NULL))::integer)
;
CREATE OR REPLACE FUNCTION public.finish_name(finish smallint)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE STRICT
RETURN (ARRAY['stop'::text, 'length'::text, 'context'::text, 'error'::text])[(finish + 1)]
;
CREATE OR REPLACE FUNCTION public.modelled_ms(tokens double precision[], prefill_tok_s double precision[], tpot_ms double precision[], t double precision, steps integer)
 RETURNS double precision
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN ((((1000)::double precision * t) / at_tokens(tokens, prefill_tok_s, t)) + ((GREATEST(steps, 0))::double precision * at_tokens(tokens, tpot_ms, t)))
;
CREATE OR REPLACE FUNCTION kv.negative_rows(theta double precision, rule text)
 RETURNS TABLE(cell_key text, baseline_cell_key text, compressor text, label text, batch_size integer, noise_kind text, dataset text, task_type text, prompt_key text, replicate integer, metric text, variant text, base_score double precision, score double precision, threshold double precision, eligible boolean, negative boolean, mirrored boolean, stable boolean, robust_negative boolean, weight integer)
 LANGUAGE sql
 STABLE PARALLEL SAFE
AS $function$
    select p.cell_key, p.baseline_cell_key, p.compressor, p.label, p.batch_size, p.noise_kind, p.dataset, p.task_type, p.prompt_key, p.replicate, p.metric, p.variant, p.base_score, p.score,
           e.threshold, e.eligible, e.eligible and not (p.base_score * (1 - $1) < p.score),
           p.score >= e.threshold and ($2 <> 'default' or p.score > 0)
             and not (p.score * (1 - $1) < p.base_score),
           not (p.base_max * (1 - $1) > p.base_min),
           p.base_mean >= e.robust and ($2 <> 'default' or p.base_mean > 0)
             and not (p.base_max * (1 - $1) > p.base_min) and not (p.base_min * (1 - $1) < p.score_max),
           case when $2 = 'artifact' then p.weight else 1 end
      from kv.negative_pairs p
     cross join lateral (
           select case when $2 = 'mean' then p.mean else p.median end as threshold,
                  case when $2 = 'mean' then p.robust_mean else p.robust_median end as robust,
                  p.base_score >= case when $2 = 'mean' then p.mean else p.median end
                    and ($2 <> 'default' or p.base_score > 0) as eligible) e
     where $2 in ('default', 'median', 'mean', 'artifact') $function$
;
CREATE OR REPLACE FUNCTION public.not_inert(compressor text, summary jsonb)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN (compressor <> 'none'::text) THEN (NOT COALESCE(((summary ->> 'inert'::text))::boolean, false)) ELSE NULL::boolean END
;
CREATE OR REPLACE FUNCTION public.reader_role()
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
RETURN 'kv_reader'::text
;
CREATE OR REPLACE FUNCTION public.token_ids(bytes bytea)
 RETURNS integer[]
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE STRICT
RETURN ARRAY(SELECT (((get_byte(token_ids.bytes, (4 * i.i)) + (get_byte(token_ids.bytes, ((4 * i.i) + 1)) << 8)) + (get_byte(token_ids.bytes, ((4 * i.i) + 2)) << 16)) + (get_byte(token_ids.bytes, ((4 * i.i) + 3)) << 24)) FROM generate_series(0, ((octet_length(token_ids.bytes) / 4) - 1)) i(i) ORDER BY i.i)
;

-- Views

create view kv.calibrations (calibration_key, artefact_sha, compressor, parameters, model_sha, token_set_sha, token_set, n_sequences, numerics, bytes, made_at) as
 SELECT encode(c.key, 'hex'::text) AS calibration_key,
    encode(c.artefact_sha, 'hex'::text) AS artefact_sha,
    c.compressor,
    c.parameters,
    encode(c.model_sha, 'hex'::text) AS model_sha,
    encode(c.token_set, 'hex'::text) AS token_set_sha,
    t.dataset AS token_set,
    t.size AS n_sequences,
    c.numerics,
    octet_length(a.bytes) AS bytes,
    c.made_at
   FROM calibration c
     JOIN artefact a ON a.sha = c.artefact_sha
     JOIN prompt_set t ON t.sha = c.token_set;
create view kv.cells (sweep, cell_no, cell_key, status, model, model_sha, workload, dataset, kind, compressor, requested, effective, label, batch_size, invariant, scheduler, backend, baseline_cell_key, is_baseline, noise_kind, max_new_tokens, sampling, template_sha, chat_template_sha, stop_ids, engine, numerics, host, device, n_planned, n_done, n_error, n_alarms, compressed, error_kind, axes, reused_from, started_at, finished_at) as
 SELECT s.id AS sweep,
    c.cell_no,
    encode(c.key, 'hex'::text) AS cell_key,
    c.status,
    c.model,
    encode(c.model_sha, 'hex'::text) AS model_sha,
    c.run -> 'workload'::text AS workload,
    c.dataset,
    c.workload AS kind,
    c.compressor,
    c.requested,
    COALESCE(r.effective, c.effective) AS effective,
    c.label,
    COALESCE((r.summary ->> 'batch'::text)::integer, c.batch) AS batch_size,
    c.invariant,
    c.run ->> 'scheduler'::text AS scheduler,
    c.backend,
    ( SELECT encode(b.key, 'hex'::text) AS encode
           FROM newest_run b
          WHERE b.key = c.baseline_key) AS baseline_cell_key,
    c.is_baseline,
    c.noise_kind,
    (c.run #>> '{workload,generate,max_new_tokens}'::text[])::integer AS max_new_tokens,
    c.run #> '{workload,generate,sampling}'::text[] AS sampling,
    p.meta ->> 'template_sha'::text AS template_sha,
    encode(sha256(convert_to(COALESCE(c.run #>> '{model,chat_template}'::text[], m.meta ->> 'chat_template'::text), 'UTF8'::name)), 'hex'::text) AS chat_template_sha,
        CASE
            WHEN jsonb_typeof(r.summary -> 'stop_ids'::text) = 'array'::text THEN ARRAY( SELECT jsonb_array_elements_text.value::integer AS value
               FROM jsonb_array_elements_text(r.summary -> 'stop_ids'::text) jsonb_array_elements_text(value))
            ELSE NULL::integer[]
        END AS stop_ids,
    COALESCE(e.version, r.provenance ->> 'engine'::text) AS engine,
    r.summary ->> 'numerics'::text AS numerics,
    h.name AS host,
    COALESCE(r.provenance #>> '{device,name}'::text[], h.facts #>> '{device,name}'::text[]) AS device,
    c.n_planned,
    n.done AS n_done,
    n.error AS n_error,
    COALESCE(r.n_alarms, 0) AS n_alarms,
    not_inert(c.compressor, r.summary) AS compressed,
    c.err_class AS error_kind,
    c.axes,
    o.id AS reused_from,
    COALESCE(r.started_at, c.started_at) AS started_at,
    COALESCE(r.finished_at, c.finished_at) AS finished_at
   FROM cell c
     JOIN sweep s USING (sweep_no)
     LEFT JOIN cell r ON r.key = c.key AND r.sweep_no = COALESCE(c.reused_from, c.sweep_no) AND c.status = 'done'::text
     LEFT JOIN sweep o ON o.sweep_no = c.reused_from
     LEFT JOIN attempt a ON a.sweep_no = r.sweep_no AND a.group_no = r.group_no AND a.lease = r.lease
     LEFT JOIN engine_build e ON e.id = a.engine_build_id
     LEFT JOIN host h ON h.id = a.host_id
     LEFT JOIN prompt_set p ON p.sha = c.prompt_set
     LEFT JOIN model m ON m.sha = c.model_sha
     LEFT JOIN LATERAL ( SELECT
                CASE
                    WHEN c.workload = 'throughput'::text THEN ( SELECT count(*) AS count
                       FROM throughput_run t
                      WHERE t.sweep_no = r.sweep_no AND t.cell_no = r.cell_no AND t.phase = 'decode'::text AND NOT t.guard)
                    WHEN c.workload = 'import'::text THEN ( SELECT count(*) AS count
                       FROM score t
                      WHERE t.sweep_no = r.sweep_no AND t.cell_no = r.cell_no)
                    ELSE ( SELECT count(*) AS count
                       FROM sample t
                      WHERE t.sweep_no = r.sweep_no AND t.cell_no = r.cell_no AND t.finish <> 3)
                END AS done,
            ( SELECT count(*) AS count
                   FROM sample t
                  WHERE t.sweep_no = r.sweep_no AND t.cell_no = r.cell_no AND t.finish = 3) AS error) n ON true;
create view kv.e2e_latency (cell_key, baseline_cell_key, compressor, label, prompt_key, replicate, e2e_ms, service_ms, base_service_ms, time_ratio, prefill_ms, base_prefill_ms, decode_ms, base_decode_ms, steps, base_steps, tpot_ms, base_tpot_ms, l_base, l_comp, paradox, mod_batch_size, mod_service_ms, mod_base_service_ms, mod_time_ratio) as
 SELECT encode(r.key, 'hex'::text) AS cell_key,
    encode(b.key, 'hex'::text) AS baseline_cell_key,
    r.compressor,
    r.label,
    p.key AS prompt_key,
    y.rep::integer AS replicate,
    (y.queue_us + y.prefill_us + y.decode_us)::double precision / 1000.0::double precision AS e2e_ms,
    (y.prefill_us + y.decode_us)::double precision / 1000.0::double precision AS service_ms,
    (x.prefill_us + x.decode_us)::double precision / 1000.0::double precision * d.comparable::double precision AS base_service_ms,
    (y.prefill_us + y.decode_us)::double precision / NULLIF(x.prefill_us + x.decode_us, 0)::double precision * d.comparable::double precision AS time_ratio,
    y.prefill_us::double precision / 1000.0::double precision AS prefill_ms,
    x.prefill_us::double precision / 1000.0::double precision * d.comparable::double precision AS base_prefill_ms,
    y.decode_us::double precision / 1000.0::double precision AS decode_ms,
    x.decode_us::double precision / 1000.0::double precision * d.comparable::double precision AS base_decode_ms,
    y.steps,
    x.steps AS base_steps,
    y.tpot AS tpot_ms,
    x.tpot * d.comparable::double precision AS base_tpot_ms,
    x.new_tokens AS l_base,
    y.new_tokens AS l_comp,
    y.tpot < (x.tpot * d.comparable::double precision) AND (y.prefill_us + y.decode_us) > ((x.prefill_us + x.decode_us) * d.comparable) AS paradox,
    m.batch AS mod_batch_size,
    modelled_ms(m.tokens, m.prefill_tok_s, m.tpot_ms, y.prompt_tokens::double precision, y.steps) AS mod_service_ms,
    modelled_ms(m.base_tokens, m.base_prefill_tok_s, m.base_tpot_ms, x.prompt_tokens::double precision, x.steps) AS mod_base_service_ms,
    modelled_ms(m.tokens, m.prefill_tok_s, m.tpot_ms, y.prompt_tokens::double precision, y.steps) / modelled_ms(m.base_tokens, m.base_prefill_tok_s, m.base_tpot_ms, x.prompt_tokens::double precision, x.steps) AS mod_time_ratio
   FROM newest_run r
     JOIN newest_run b ON b.key = r.baseline_key
     CROSS JOIN LATERAL ( SELECT
                CASE
                    WHEN NOT (r.provenance #>> '{device,name}'::text[]) IS DISTINCT FROM (b.provenance #>> '{device,name}'::text[]) THEN 1
                    ELSE NULL::integer
                END AS comparable) d
     JOIN LATERAL ( SELECT s.sample_idx,
            s.rep,
            s.prompt_sha,
            s.prompt_tokens,
            s.new_tokens,
            s.queue_us,
            s.prefill_us,
            s.decode_us,
            decode_steps(s.new_tokens, s.stop_id) AS steps,
            s.decode_us::double precision / 1000.0::double precision / NULLIF(GREATEST(decode_steps(s.new_tokens, s.stop_id), 0), 0)::double precision AS tpot
           FROM sample s
          WHERE s.sweep_no = r.sweep_no AND s.cell_no = r.cell_no AND s.finish <> 3) y ON true
     JOIN LATERAL ( SELECT s.sample_idx,
            s.rep,
            s.prompt_sha,
            s.prompt_tokens,
            s.new_tokens,
            s.queue_us,
            s.prefill_us,
            s.decode_us,
            decode_steps(s.new_tokens, s.stop_id) AS steps,
            s.decode_us::double precision / 1000.0::double precision / NULLIF(GREATEST(decode_steps(s.new_tokens, s.stop_id), 0), 0)::double precision AS tpot
           FROM sample s
          WHERE s.sweep_no = b.sweep_no AND s.cell_no = b.cell_no AND s.finish <> 3) x ON x.sample_idx = y.sample_idx AND x.rep = y.rep
     JOIN prompt p ON p.prompt_set = r.prompt_set AND p.idx = y.sample_idx
     LEFT JOIN latency_model m ON m.key = r.key
  WHERE r.workload = 'generate'::text AND not_inert(r.compressor, r.summary) AND r.noise_kind IS NULL AND (x.prompt_sha = y.prompt_sha) IS NOT FALSE;
create view kv.e2e_latency_at_max (cell_key, baseline_cell_key, compressor, label, dataset, answers_batch_size, device, cache_memory, prompt_tokens, own_batch_size, base_batch_size, n, y_answers_longer, mod_x_tokens_faster, mod_service_ratio, mod_prefill_ratio, mod_base_decode_share, mod_share_slower, mod_requests_faster) as
 WITH chosen AS (
         SELECT DISTINCT ON (r_1.key, own.memory_limit) r_1.key,
            own.memory_limit,
            own.prompt_tokens,
            own.device,
            own.batch,
            base.batch AS base_batch
           FROM newest_run r_1
             JOIN speed_largest own ON own.model_sha = r_1.model_sha AND own.effective = r_1.effective AND own.backend = r_1.backend AND own.device = COALESCE(r_1.provenance #>> '{device,name}'::text[], ''::text)
             JOIN speed_largest base ON base.model_sha = r_1.model_sha AND base.compressor = 'none'::text AND base.backend = r_1.backend AND base.device = own.device AND NOT base.memory_limit IS DISTINCT FROM own.memory_limit AND base.prompt_tokens = own.prompt_tokens
             CROSS JOIN LATERAL ( SELECT avg(s_1.prompt_tokens)::double precision AS tokens
                   FROM sample s_1
                  WHERE s_1.sweep_no = r_1.sweep_no AND s_1.cell_no = r_1.cell_no) mean
          WHERE r_1.workload = 'generate'::text AND r_1.noise_kind IS NULL AND r_1.compressor <> 'none'::text AND not_inert(r_1.compressor, r_1.summary)
          ORDER BY r_1.key, own.memory_limit, (abs(ln(own.prompt_tokens::double precision / NULLIF(mean.tokens, 0::double precision)))), own.prompt_tokens
        ), modelled AS (
         SELECT r_1.key,
            c_1.memory_limit,
            y.steps,
            x.steps AS base_steps,
            (1000 * y.prompt_tokens)::double precision / at_tokens(o.tokens, o.prefill_tok_s, y.prompt_tokens::double precision) AS prefill,
            (1000 * x.prompt_tokens)::double precision / at_tokens(n.tokens, n.prefill_tok_s, x.prompt_tokens::double precision) AS base_prefill,
            GREATEST(y.steps, 0)::double precision * at_tokens(o.tokens, o.tpot_ms, y.prompt_tokens::double precision) AS decode,
            GREATEST(x.steps, 0)::double precision * at_tokens(n.tokens, n.tpot_ms, x.prompt_tokens::double precision) AS base_decode
           FROM chosen c_1
             JOIN newest_run r_1 ON r_1.key = c_1.key
             JOIN newest_run b ON b.key = r_1.baseline_key
             JOIN speed_curve o ON o.model_sha = r_1.model_sha AND o.effective = r_1.effective AND o.backend = r_1.backend AND o.device = c_1.device AND o.batch = c_1.batch
             JOIN speed_curve n ON n.model_sha = r_1.model_sha AND n.compressor = 'none'::text AND n.backend = r_1.backend AND n.device = c_1.device AND n.batch = c_1.base_batch
             JOIN LATERAL ( SELECT s_1.sample_idx,
                    s_1.rep,
                    s_1.prompt_sha,
                    s_1.prompt_tokens,
                    s_1.new_tokens,
                    s_1.queue_us,
                    s_1.prefill_us,
                    s_1.decode_us,
                    decode_steps(s_1.new_tokens, s_1.stop_id) AS steps,
                    s_1.decode_us::double precision / 1000.0::double precision / NULLIF(GREATEST(decode_steps(s_1.new_tokens, s_1.stop_id), 0), 0)::double precision AS tpot
                   FROM sample s_1
                  WHERE s_1.sweep_no = r_1.sweep_no AND s_1.cell_no = r_1.cell_no AND s_1.finish <> 3) y ON true
             JOIN LATERAL ( SELECT s_1.sample_idx,
                    s_1.rep,
                    s_1.prompt_sha,
                    s_1.prompt_tokens,
                    s_1.new_tokens,
                    s_1.queue_us,
                    s_1.prefill_us,
                    s_1.decode_us,
                    decode_steps(s_1.new_tokens, s_1.stop_id) AS steps,
                    s_1.decode_us::double precision / 1000.0::double precision / NULLIF(GREATEST(decode_steps(s_1.new_tokens, s_1.stop_id), 0), 0)::double precision AS tpot
                   FROM sample s_1
                  WHERE s_1.sweep_no = b.sweep_no AND s_1.cell_no = b.cell_no AND s_1.finish <> 3) x ON x.sample_idx = y.sample_idx AND x.rep = y.rep
          WHERE (x.prompt_sha = y.prompt_sha) IS NOT FALSE
        ), summed AS (
         SELECT modelled.key,
            modelled.memory_limit,
            count(*) AS n,
            sum(modelled.steps)::double precision AS steps,
            sum(modelled.base_steps)::double precision AS base_steps,
            sum(modelled.prefill) AS prefill,
            sum(modelled.base_prefill) AS base_prefill,
            sum(modelled.decode) AS decode,
            sum(modelled.base_decode) AS base_decode,
            avg(((modelled.prefill + modelled.decode) > (modelled.base_prefill + modelled.base_decode))::integer)::double precision AS slower
           FROM modelled
          GROUP BY modelled.key, modelled.memory_limit
        )
 SELECT encode(r.key, 'hex'::text) AS cell_key,
    encode(r.baseline_key, 'hex'::text) AS baseline_cell_key,
    r.compressor,
    r.label,
    r.dataset,
    r.batch AS answers_batch_size,
    NULLIF(c.device, ''::text) AS device,
    c.memory_limit AS cache_memory,
    c.prompt_tokens,
    c.batch AS own_batch_size,
    c.base_batch AS base_batch_size,
    s.n,
    s.steps / NULLIF(s.base_steps, 0::double precision) AS y_answers_longer,
    s.steps / NULLIF(s.decode, 0::double precision) / NULLIF(s.base_steps / NULLIF(s.base_decode, 0::double precision), 0::double precision) AS mod_x_tokens_faster,
    (s.prefill + s.decode) / (s.base_prefill + s.base_decode) AS mod_service_ratio,
    s.prefill / s.base_prefill AS mod_prefill_ratio,
    s.base_decode / (s.base_prefill + s.base_decode) AS mod_base_decode_share,
    s.slower AS mod_share_slower,
    c.batch::double precision / (s.prefill + s.decode) / (c.base_batch::double precision / (s.base_prefill + s.base_decode)) AS mod_requests_faster
   FROM chosen c
     JOIN summed s ON s.key = c.key AND NOT s.memory_limit IS DISTINCT FROM c.memory_limit
     JOIN newest_run r ON r.key = c.key;
create view kv.e2e_latency_summary (cell_key, baseline_cell_key, compressor, label, batch_size, n, x_tokens_faster, y_answers_longer, service_ratio, prefill_ratio, base_decode_share, share_slower, share_paradox, ratio_p50, ratio_p95) as
 SELECT encode(r.key, 'hex'::text) AS cell_key,
    encode(b.key, 'hex'::text) AS baseline_cell_key,
    r.compressor,
    r.label,
    r.batch AS batch_size,
    m."nTimed" AS n,
    m."stepsComp" / NULLIF(m."decodeCompMs", 0::double precision) / NULLIF(m."stepsBase" / NULLIF(m."decodeBaseMs", 0::double precision), 0::double precision) AS x_tokens_faster,
    m."stepsComp" / NULLIF(m."stepsBase", 0::double precision) AS y_answers_longer,
    (m."prefillCompMs" + m."decodeCompMs") / NULLIF(m."prefillBaseMs" + m."decodeBaseMs", 0::double precision) AS service_ratio,
    m."prefillCompMs" / NULLIF(m."prefillBaseMs", 0::double precision) AS prefill_ratio,
    m."decodeBaseMs" / NULLIF(m."prefillBaseMs" + m."decodeBaseMs", 0::double precision) AS base_decode_share,
    m.slower::double precision / m."nTimed"::double precision AS share_slower,
    m.paradox::double precision / m."nTimed"::double precision AS share_paradox,
    (m.exact ->> 'ratioP50'::text)::double precision AS ratio_p50,
    (m.exact ->> 'ratioP95'::text)::double precision AS ratio_p95
   FROM newest_run r
     JOIN LATERAL ( SELECT c.sweep_no,
            c.cell_no,
            c.key
           FROM cell c
          WHERE c.key = r.baseline_key AND c.status = 'done'::text AND c.reused_from IS NULL
          ORDER BY c.finished_at DESC, c.sweep_no DESC
         LIMIT 1) b ON true
     JOIN cell_stats t ON t.sweep_no = r.sweep_no AND t.cell_no = r.cell_no AND t.task_type = ''::text
     CROSS JOIN LATERAL jsonb_to_record(t.stats) m("nTimed" integer, "prefillBaseMs" double precision, "prefillCompMs" double precision, "decodeBaseMs" double precision, "decodeCompMs" double precision, "stepsBase" double precision, "stepsComp" double precision, slower integer, paradox integer, exact jsonb)
  WHERE r.workload = 'generate'::text AND r.noise_kind IS NULL AND not_inert(r.compressor, r.summary) AND m."nTimed" > 0;
create view kv.estimates (cell_key, statistic, value, lo, hi, p, n, n_clusters, b, seed, version) as
 SELECT encode(r.key, 'hex'::text) AS cell_key,
    e.statistic,
    e.value,
    e.lo,
    e.hi,
    e.p,
    e.n,
    e.n_clusters,
    e.b,
    e.seed,
    e.version
   FROM newest_run r
     JOIN estimate e USING (sweep_no, cell_no);
create view kv.kept (cell_key, prompt_key, replicate, layer, kv_head, seen, kept, positions) as
 SELECT encode(r.key, 'hex'::text) AS cell_key,
    p.key AS prompt_key,
    k.rep::integer AS replicate,
    l.layer,
    h.head AS kv_head,
    k.seen,
    bit_count(b.bits)::integer AS kept,
    ARRAY( SELECT at.at
           FROM generate_series(0, k.seen - 1) at(at)
          WHERE get_bit(b.bits, at.at::bigint) = 1
          ORDER BY at.at) AS positions
   FROM newest_run r
     JOIN kept k USING (sweep_no, cell_no)
     JOIN prompt p ON p.prompt_set = r.prompt_set AND p.idx = k.sample_idx
     CROSS JOIN LATERAL generate_series(0, k.layers - 1) l(layer)
     CROSS JOIN LATERAL generate_series(0, k.kv_heads - 1) h(head)
     CROSS JOIN LATERAL ( SELECT SUBSTRING(k.bitmap FROM 1 + (l.layer * k.kv_heads + h.head) * ((k.seen + 7) / 8) FOR (k.seen + 7) / 8) AS bits
         OFFSET 0) b;
create view kv.length_shift (cell_key, baseline_cell_key, compressor, label, noise_kind, dataset, task_type, prompt_key, replicate, l_base, l_comp, d, d_lo, d_hi, censor, same, first_diff, stop_missed, stop_early, beyond_noise) as
 SELECT encode(r.key, 'hex'::text) AS cell_key,
    encode(b.key, 'hex'::text) AS baseline_cell_key,
    r.compressor,
    r.label,
    r.noise_kind,
    r.dataset,
    p.task_type,
    p.key AS prompt_key,
    y.rep::integer AS replicate,
    x.new_tokens AS l_base,
    y.new_tokens AS l_comp,
    d.d,
        CASE
            WHEN (y.finish = ANY (ARRAY[1, 2])) AND d.d IS NOT NULL THEN '-Infinity'::double precision
            ELSE d.d
        END AS d_lo,
        CASE
            WHEN (x.finish = ANY (ARRAY[1, 2])) AND d.d IS NOT NULL THEN 1::double precision
            ELSE d.d
        END AS d_hi,
        CASE
            WHEN x.finish = ANY (ARRAY[1, 2]) THEN
            CASE
                WHEN y.finish = ANY (ARRAY[1, 2]) THEN 'both'::text
                ELSE 'base'::text
            END
            WHEN y.finish = ANY (ARRAY[1, 2]) THEN 'comp'::text
            ELSE 'none'::text
        END AS censor,
    NOT x.out_sha IS DISTINCT FROM y.out_sha AS same,
    o.first_diff,
    COALESCE(o.stop_missed, false) AS stop_missed,
    COALESCE(o.stop_early, false) AS stop_early,
        CASE
            WHEN r.noise_kind IS NULL THEN abs(d.d) > f.d95
            ELSE NULL::boolean
        END AS beyond_noise
   FROM newest_run r
     JOIN LATERAL ( SELECT c.sweep_no,
            c.cell_no,
            c.key
           FROM cell c
          WHERE c.key = r.baseline_key AND c.status = 'done'::text AND c.reused_from IS NULL
          ORDER BY c.finished_at DESC, c.sweep_no DESC
         LIMIT 1) b ON true
     JOIN sample y ON y.sweep_no = r.sweep_no AND y.cell_no = r.cell_no
     JOIN sample x ON x.sweep_no = b.sweep_no AND x.cell_no = b.cell_no AND x.sample_idx = y.sample_idx AND x.rep = y.rep
     CROSS JOIN LATERAL ( SELECT (x.new_tokens - y.new_tokens)::double precision / NULLIF(x.new_tokens, 0)::double precision AS d) d
     JOIN prompt p ON p.prompt_set = r.prompt_set AND p.idx = y.sample_idx
     LEFT JOIN output_diff o ON o.sweep_no = y.sweep_no AND o.cell_no = y.cell_no AND o.sample_idx = y.sample_idx AND o.rep = y.rep AND o.base_sweep_no = b.sweep_no AND o.base_cell_no = b.cell_no AND x.out_sha <> y.out_sha
     LEFT JOIN LATERAL ( SELECT (t.stats #>> '{exact,absD95}'::text[])::double precision AS d95
           FROM ( SELECT DISTINCT ON (c.key) c.sweep_no,
                    c.cell_no,
                    c.noise_kind,
                    c.noise_no
                   FROM cell c
                  WHERE c.baseline_key = r.baseline_key AND (c.noise_kind = ANY (ARRAY['seed'::text, 'batch'::text, 'backend'::text])) AND c.compressor = 'none'::text AND c.status = 'done'::text AND c.reused_from IS NULL
                  ORDER BY c.key, c.finished_at DESC, c.sweep_no DESC) n
             JOIN cell_stats t ON t.sweep_no = n.sweep_no AND t.cell_no = n.cell_no AND t.task_type = ''::text
          ORDER BY (array_position(ARRAY['seed'::text, 'batch'::text, 'backend'::text], n.noise_kind)), n.noise_no
         LIMIT 1) f ON true
  WHERE r.workload = 'generate'::text AND not_inert(r.compressor, r.summary) IS NOT FALSE AND x.finish <> 3 AND y.finish <> 3 AND (x.prompt_sha = y.prompt_sha) IS NOT FALSE;
create view kv.length_shift_summary (cell_key, baseline_cell_key, compressor, label, batch_size, dataset, n, n_undefined, n_missing, n_mismatch, share_gt50, share_longer50, share_longer50_lo, share_longer50_hi, share_shorter50, share_same, share_near, q05, q25, q50, q75, q95, ratio_of_means, geo_ratio, median_ratio, censored_base, censored_comp, noise_longer50, excess_longer50, excess_p, share_gt50_lo, share_gt50_hi, share_shorter50_lo, share_shorter50_hi, q01, q99, iqr, mean_of_ratios, noise_gt50, excess_gt50, excess_gt50_p, noise_shorter50, excess_shorter50, excess_shorter50_p, noise_d95, histogram, median_km, base_median_km) as
 SELECT encode(r.key, 'hex'::text) AS cell_key,
    encode(b.key, 'hex'::text) AS baseline_cell_key,
    r.compressor,
    r.label,
    r.batch AS batch_size,
    r.dataset,
    m.n,
    m."nUndefined" AS n_undefined,
    m."nMissing" AS n_missing,
    m."nMismatch" AS n_mismatch,
    m.gt50::double precision / NULLIF(m.n, 0)::double precision AS share_gt50,
    m.longer50::double precision / NULLIF(m.n, 0)::double precision AS share_longer50,
    m."longer50Certain"::double precision / NULLIF(m.n, 0)::double precision AS share_longer50_lo,
    m."longer50Possible"::double precision / NULLIF(m.n, 0)::double precision AS share_longer50_hi,
    m.shorter50::double precision / NULLIF(m.n, 0)::double precision AS share_shorter50,
    m.same::double precision / NULLIF(m.n, 0)::double precision AS share_same,
    m.near::double precision / NULLIF(m.n, 0)::double precision AS share_near,
    (m.exact #>> '{quantiles,1}'::text[])::double precision AS q05,
    (m.exact #>> '{quantiles,2}'::text[])::double precision AS q25,
    (m.exact #>> '{quantiles,3}'::text[])::double precision AS q50,
    (m.exact #>> '{quantiles,4}'::text[])::double precision AS q75,
    (m.exact #>> '{quantiles,5}'::text[])::double precision AS q95,
    m."sumComp" / NULLIF(m."sumBase", 0::double precision) AS ratio_of_means,
    exp(m."sumLogRatio" / NULLIF(m."nLogRatio", 0)::double precision) AS geo_ratio,
    1::double precision - ((m.exact #>> '{quantiles,3}'::text[])::double precision) AS median_ratio,
    m."censoredBase"::double precision / NULLIF(m.n, 0)::double precision AS censored_base,
    m."censoredComp"::double precision / NULLIF(m.n, 0)::double precision AS censored_comp,
    n.longer50::double precision / NULLIF(n.n, 0)::double precision AS noise_longer50,
    m.longer50::double precision / NULLIF(m.n, 0)::double precision - n.longer50::double precision / NULLIF(n.n, 0)::double precision AS excess_longer50,
    longer.p AS excess_p,
    m."gt50Certain"::double precision / NULLIF(m.n, 0)::double precision AS share_gt50_lo,
    m."gt50Possible"::double precision / NULLIF(m.n, 0)::double precision AS share_gt50_hi,
    m."shorter50Certain"::double precision / NULLIF(m.n, 0)::double precision AS share_shorter50_lo,
    m."shorter50Possible"::double precision / NULLIF(m.n, 0)::double precision AS share_shorter50_hi,
    (m.exact #>> '{quantiles,0}'::text[])::double precision AS q01,
    (m.exact #>> '{quantiles,6}'::text[])::double precision AS q99,
    ((m.exact #>> '{quantiles,4}'::text[])::double precision) - ((m.exact #>> '{quantiles,2}'::text[])::double precision) AS iqr,
    1::double precision - m."sumD" / NULLIF(m.n, 0)::double precision AS mean_of_ratios,
    n.gt50::double precision / NULLIF(n.n, 0)::double precision AS noise_gt50,
    m.gt50::double precision / NULLIF(m.n, 0)::double precision - n.gt50::double precision / NULLIF(n.n, 0)::double precision AS excess_gt50,
    gt.p AS excess_gt50_p,
    n.shorter50::double precision / NULLIF(n.n, 0)::double precision AS noise_shorter50,
    m.shorter50::double precision / NULLIF(m.n, 0)::double precision - n.shorter50::double precision / NULLIF(n.n, 0)::double precision AS excess_shorter50,
    shorter.p AS excess_shorter50_p,
    n.d95 AS noise_d95,
    ARRAY( SELECT v.value::integer AS v
           FROM jsonb_array_elements_text(t.stats -> 'histogram'::text) v(value)) AS histogram,
    (t.stats #>> '{own,medianKm}'::text[])::double precision AS median_km,
    (u.stats #>> '{own,medianKm}'::text[])::double precision AS base_median_km
   FROM newest_run r
     JOIN LATERAL ( SELECT c.sweep_no,
            c.cell_no,
            c.key
           FROM cell c
          WHERE c.key = r.baseline_key AND c.status = 'done'::text AND c.reused_from IS NULL
          ORDER BY c.finished_at DESC, c.sweep_no DESC
         LIMIT 1) b ON true
     JOIN cell_stats t ON t.sweep_no = r.sweep_no AND t.cell_no = r.cell_no AND t.task_type = ''::text
     CROSS JOIN LATERAL jsonb_to_record(t.stats) m(n integer, "nUndefined" integer, "nMissing" integer, "nMismatch" integer, gt50 integer, "gt50Certain" integer, "gt50Possible" integer, longer50 integer, "longer50Certain" integer, "longer50Possible" integer, shorter50 integer, "shorter50Certain" integer, "shorter50Possible" integer, same integer, near integer, "censoredBase" integer, "censoredComp" integer, "sumBase" double precision, "sumComp" double precision, "sumD" double precision, "sumLogRatio" double precision, "nLogRatio" integer, exact jsonb)
     LEFT JOIN cell_stats u ON u.sweep_no = b.sweep_no AND u.cell_no = b.cell_no AND u.task_type = ''::text
     LEFT JOIN LATERAL ( SELECT sum((t_1.stats ->> 'n'::text)::integer) AS n,
            sum((t_1.stats ->> 'gt50'::text)::integer) AS gt50,
            sum((t_1.stats ->> 'longer50'::text)::integer) AS longer50,
            sum((t_1.stats ->> 'shorter50'::text)::integer) AS shorter50,
            (array_agg((t_1.stats #>> '{exact,absD95}'::text[])::double precision ORDER BY (array_position(ARRAY['seed'::text, 'batch'::text, 'backend'::text], n_1.noise_kind)), n_1.noise_no))[1] AS d95
           FROM ( SELECT DISTINCT ON (c.key) c.sweep_no,
                    c.cell_no,
                    c.noise_kind,
                    c.noise_no
                   FROM cell c
                  WHERE c.baseline_key = r.baseline_key AND (c.noise_kind = ANY (ARRAY['seed'::text, 'batch'::text, 'backend'::text])) AND c.compressor = 'none'::text AND c.status = 'done'::text AND c.reused_from IS NULL
                  ORDER BY c.key, c.finished_at DESC, c.sweep_no DESC) n_1
             JOIN cell_stats t_1 ON t_1.sweep_no = n_1.sweep_no AND t_1.cell_no = n_1.cell_no AND t_1.task_type = ''::text) n ON true
     LEFT JOIN estimate longer ON longer.sweep_no = r.sweep_no AND longer.cell_no = r.cell_no AND longer.statistic = 'excess_share_longer50'::text
     LEFT JOIN estimate gt ON gt.sweep_no = r.sweep_no AND gt.cell_no = r.cell_no AND gt.statistic = 'excess_share_gt50'::text
     LEFT JOIN estimate shorter ON shorter.sweep_no = r.sweep_no AND shorter.cell_no = r.cell_no AND shorter.statistic = 'excess_share_shorter50'::text
  WHERE r.workload = 'generate'::text AND r.noise_kind IS NULL AND not_inert(r.compressor, r.summary) AND m.n IS NOT NULL;
create view kv.negative_pairs (cell_key, baseline_cell_key, compressor, label, batch_size, noise_kind, dataset, task_type, prompt_key, replicate, metric, variant, base_score, score, median, mean, weight, base_min, base_max, base_mean, score_max, robust_median, robust_mean) as
 SELECT encode(r.key, 'hex'::text) AS cell_key,
    encode(b.key, 'hex'::text) AS baseline_cell_key,
    r.compressor,
    r.label,
    r.batch AS batch_size,
    r.noise_kind,
    r.dataset,
    p.task_type,
    p.key AS prompt_key,
    c.rep::integer AS replicate,
    c.metric,
    c.variant,
    x.score AS base_score,
    c.score,
    t.median,
    t.mean,
        CASE
            WHEN r.dataset = 'passage_count'::text OR r.dataset ~~ '%/passage_count'::text THEN 2
            ELSE 1
        END AS weight,
    k.base_min,
    k.base_max,
    k.base_mean,
        CASE
            WHEN k.base_mean IS NOT NULL THEN v.score_max
            ELSE NULL::double precision
        END AS score_max,
        CASE
            WHEN k.base_mean IS NOT NULL THEN t.robust_median
            ELSE NULL::double precision
        END AS robust_median,
        CASE
            WHEN k.base_mean IS NOT NULL THEN t.robust_mean
            ELSE NULL::double precision
        END AS robust_mean
   FROM negative_summary n
     JOIN cell r ON r.sweep_no = n.sweep_no AND r.cell_no = n.cell_no
     JOIN cell b ON b.sweep_no = n.base_sweep_no AND b.cell_no = n.base_cell_no
     JOIN negative_threshold t ON t.sweep_no = n.base_sweep_no AND t.cell_no = n.base_cell_no AND t.metric = n.metric AND t.variant = n.variant
     JOIN score c ON c.sweep_no = n.sweep_no AND c.cell_no = n.cell_no AND c.metric = n.metric AND c.variant = n.variant
     JOIN score x ON x.sweep_no = n.base_sweep_no AND x.cell_no = n.base_cell_no AND x.sample_idx = c.sample_idx AND x.rep = c.rep AND x.metric = n.metric AND x.variant = n.variant
     JOIN prompt p ON p.prompt_set = r.prompt_set AND p.idx = c.sample_idx
     LEFT JOIN LATERAL ( SELECT min(s.score) AS base_min,
            max(s.score) AS base_max,
            avg(s.score ORDER BY u.no, s.rep) AS base_mean
           FROM UNNEST(t.sweep_no || t.rep_sweeps, t.cell_no || t.rep_cells) WITH ORDINALITY u(sweep_no, cell_no, no)
             JOIN score s ON s.sweep_no = u.sweep_no AND s.cell_no = u.cell_no AND s.sample_idx = c.sample_idx AND s.metric = c.metric AND s.variant = c.variant
         HAVING count(*) >= 2) k ON t.robust_median IS NOT NULL AND r.noise_kind IS NULL
     LEFT JOIN LATERAL ( SELECT max(s.score) AS score_max
           FROM UNNEST(r.sweep_no || n.twin_sweeps, r.cell_no || n.twin_cells) u(sweep_no, cell_no)
             JOIN score s ON s.sweep_no = u.sweep_no AND s.cell_no = u.cell_no AND s.sample_idx = c.sample_idx AND s.metric = c.metric AND s.variant = c.variant) v ON k.base_mean IS NOT NULL
  WHERE n.task_type = ''::text AND r.status = 'done'::text AND r.reused_from IS NULL AND r.replicate_of IS NULL AND not_inert(r.compressor, r.summary) IS NOT FALSE AND NOT (EXISTS ( SELECT
           FROM cell z
          WHERE z.key = r.key AND z.status = 'done'::text AND z.reused_from IS NULL AND ((ROW(z.finished_at, z.sweep_no) > ROW(r.finished_at, r.sweep_no)))));
create view kv.negative_sets (cell_key, baseline_cell_key, compressor, label, batch_size, noise_kind, dataset, task_type, prompt_key, replicate, metric, variant, rule, base_score, score, negative_to, mirrored_to, robust_at) as
 SELECT encode(r.key, 'hex'::text) AS cell_key,
    encode(b.key, 'hex'::text) AS baseline_cell_key,
    r.compressor,
    r.label,
    r.batch AS batch_size,
    r.noise_kind,
    r.dataset,
    p.task_type,
    p.key AS prompt_key,
    COALESCE(s.rep::integer, 0) AS replicate,
    n.metric,
    n.variant,
    g.rule,
    x.score AS base_score,
    o.score,
    (ARRAY[1, 2, 4, 8, 10, 16, 24, 32])[l.down]::double precision / 100::double precision AS negative_to,
    (ARRAY[1, 2, 4, 8, 10, 16, 24, 32])[l.up]::double precision / 100::double precision AS mirrored_to,
        CASE
            WHEN s.robust IS NOT NULL THEN ARRAY( SELECT q.percent::double precision / 100::double precision
               FROM unnest(ARRAY[1, 2, 4, 8, 10, 16, 24, 32]) WITH ORDINALITY q(percent, t)
              WHERE ((s.robust >> (8 * (g.no - 1) + q.t::integer - 1)) & 1) = 1
              ORDER BY q.t)
            ELSE NULL::double precision[]
        END AS robust_at
   FROM negative_set n
     JOIN cell r ON r.sweep_no = n.sweep_no AND r.cell_no = n.cell_no
     JOIN negative_summary m ON m.sweep_no = n.sweep_no AND m.cell_no = n.cell_no AND m.metric = n.metric AND m.variant = n.variant AND m.task_type = ''::text
     JOIN cell b ON b.sweep_no = m.base_sweep_no AND b.cell_no = m.base_cell_no
     CROSS JOIN LATERAL UNNEST(n.sample_idx, n.rep, n.levels, n.robust) s(sample_idx, rep, levels, robust)
     JOIN prompt p ON p.prompt_set = r.prompt_set AND p.idx = s.sample_idx
     LEFT JOIN score o ON o.sweep_no = n.sweep_no AND o.cell_no = n.cell_no AND o.sample_idx = s.sample_idx AND o.rep = COALESCE(s.rep::integer, 0) AND o.metric = n.metric AND o.variant = n.variant
     LEFT JOIN score x ON x.sweep_no = b.sweep_no AND x.cell_no = b.cell_no AND x.sample_idx = s.sample_idx AND x.rep = COALESCE(s.rep::integer, 0) AND x.metric = n.metric AND x.variant = n.variant
     CROSS JOIN ( VALUES (1,'default'::text), (2,'median'::text), (3,'mean'::text)) g(no, rule)
     CROSS JOIN LATERAL ( SELECT (s.levels >> (4 * (g.no - 1))) & 15 AS down,
            (s.levels >> (4 * (g.no + 2))) & 15 AS up,
            (COALESCE(s.robust, 0) >> (8 * (g.no - 1))) & 255 AS robust) l
  WHERE (l.down > 0 OR l.up > 0 OR l.robust > 0) AND r.status = 'done'::text AND r.reused_from IS NULL AND r.replicate_of IS NULL AND not_inert(r.compressor, r.summary) IS NOT FALSE AND NOT (EXISTS ( SELECT
           FROM cell z
          WHERE z.key = r.key AND z.status = 'done'::text AND z.reused_from IS NULL AND ((ROW(z.finished_at, z.sweep_no) > ROW(r.finished_at, r.sweep_no)))));
create view kv.negatives (cell_key, baseline_cell_key, compressor, label, batch_size, noise_kind, dataset, task_type, prompt_key, replicate, metric, variant, theta, rule, base_score, score, threshold, eligible, negative, mirrored, stable, robust_negative, weight) as
 SELECT p.cell_key,
    p.baseline_cell_key,
    p.compressor,
    p.label,
    p.batch_size,
    p.noise_kind,
    p.dataset,
    p.task_type,
    p.prompt_key,
    p.replicate,
    p.metric,
    p.variant,
    g.theta,
    g.rule,
    p.base_score,
    p.score,
    e.threshold,
    e.eligible,
    e.eligible AND NOT (p.base_score * (1::double precision - g.theta)) < p.score AS negative,
    p.score >= e.threshold AND (g.rule <> 'default'::text OR p.score > 0::double precision) AND NOT (p.score * (1::double precision - g.theta)) < p.base_score AS mirrored,
    NOT (p.base_max * (1::double precision - g.theta)) > p.base_min AS stable,
    p.base_mean >= e.robust AND (g.rule <> 'default'::text OR p.base_mean > 0::double precision) AND NOT (p.base_max * (1::double precision - g.theta)) > p.base_min AND NOT (p.base_min * (1::double precision - g.theta)) < p.score_max AS robust_negative,
        CASE
            WHEN g.rule = 'artifact'::text THEN p.weight
            ELSE 1
        END AS weight
   FROM kv.negative_pairs p
     CROSS JOIN ( SELECT percent.percent::double precision / 100::double precision AS theta,
            rule.rule
           FROM unnest(ARRAY[1, 2, 4, 8, 10, 16, 24, 32]) percent(percent),
            unnest(ARRAY['default'::text, 'median'::text, 'mean'::text, 'artifact'::text]) rule(rule)) g
     CROSS JOIN LATERAL ( SELECT
                CASE
                    WHEN g.rule = 'mean'::text THEN p.mean
                    ELSE p.median
                END AS threshold,
                CASE
                    WHEN g.rule = 'mean'::text THEN p.robust_mean
                    ELSE p.robust_median
                END AS robust,
            p.base_score >=
                CASE
                    WHEN g.rule = 'mean'::text THEN p.mean
                    ELSE p.median
                END AND (g.rule <> 'default'::text OR p.base_score > 0::double precision) AS eligible) e;
create view kv.negatives_summary (cell_key, baseline_cell_key, compressor, label, batch_size, noise_kind, dataset, task_type, metric, variant, rule, theta, n, eligible, negatives, mirrored, net, p, robust, stable, noise_negatives, threshold, mean_base, mean_score, base_runs, runs) as
 SELECT encode(r.key, 'hex'::text) AS cell_key,
    encode(b.key, 'hex'::text) AS baseline_cell_key,
    r.compressor,
    r.label,
    r.batch AS batch_size,
    r.noise_kind,
    r.dataset,
    n.task_type,
    n.metric,
    n.variant,
    (ARRAY['default'::text, 'median'::text, 'mean'::text, 'artifact'::text])[g.rule] AS rule,
    (ARRAY[1, 2, 4, 8, 10, 16, 24, 32])[g.theta]::double precision / 100::double precision AS theta,
    g.weight * n.n AS n,
    g.weight * n.eligible[g.counted] AS eligible,
    g.weight * n.negatives[g.at] AS negatives,
    g.weight * n.mirrored[g.at] AS mirrored,
    g.weight * (n.negatives[g.at] - n.mirrored[g.at]) AS net,
    n.p[g.at] AS p,
    g.weight * n.robust[g.at] AS robust,
    g.weight * n.stable[g.at] AS stable,
    g.weight * n.noise_negatives[g.at] AS noise_negatives,
        CASE
            WHEN g.rule = 3 THEN t.mean
            ELSE t.median
        END AS threshold,
    n.mean_base[g.at] AS mean_base,
    n.mean_score[g.at] AS mean_score,
    1 + cardinality(t.rep_cells) AS base_runs,
    1 + cardinality(n.twin_cells) AS runs
   FROM negative_summary n
     JOIN cell r ON r.sweep_no = n.sweep_no AND r.cell_no = n.cell_no
     JOIN cell b ON b.sweep_no = n.base_sweep_no AND b.cell_no = n.base_cell_no
     JOIN negative_threshold t ON t.sweep_no = n.base_sweep_no AND t.cell_no = n.base_cell_no AND t.metric = n.metric AND t.variant = n.variant
     CROSS JOIN LATERAL ( SELECT rules.rule,
            theta.theta,
            rules.counted,
            8 * (rules.counted - 1) + theta.theta AS at,
                CASE
                    WHEN rules.rule = 4 AND (r.dataset = 'passage_count'::text OR r.dataset ~~ '%/passage_count'::text) THEN 2
                    ELSE 1
                END AS weight
           FROM ( VALUES (1,1), (2,2), (3,3), (4,2)) rules(rule, counted),
            generate_series(1, 8) theta(theta)) g
  WHERE r.status = 'done'::text AND r.reused_from IS NULL AND r.replicate_of IS NULL AND not_inert(r.compressor, r.summary) IS NOT FALSE AND NOT (EXISTS ( SELECT
           FROM cell z
          WHERE z.key = r.key AND z.status = 'done'::text AND z.reused_from IS NULL AND ((ROW(z.finished_at, z.sweep_no) > ROW(r.finished_at, r.sweep_no)))));
create view kv.noise_floor (baseline_cell_key, noise_cell_key, noise_kind, n, share_same, noise_d95, share_gt50, share_longer50, share_shorter50, n_missing, negatives_theta10, mirrored_theta10) as
 SELECT encode(b.key, 'hex'::text) AS baseline_cell_key,
    encode(r.key, 'hex'::text) AS noise_cell_key,
    r.noise_kind,
    m.n,
    m.same::double precision / NULLIF(m.n, 0)::double precision AS share_same,
    (m.exact ->> 'absD95'::text)::double precision AS noise_d95,
    m.gt50::double precision / NULLIF(m.n, 0)::double precision AS share_gt50,
    m.longer50::double precision / NULLIF(m.n, 0)::double precision AS share_longer50,
    m.shorter50::double precision / NULLIF(m.n, 0)::double precision AS share_shorter50,
    m."nMissing" AS n_missing,
    ( SELECT sum(s.negatives[5])::integer AS sum
           FROM negative_summary s
          WHERE s.sweep_no = r.sweep_no AND s.cell_no = r.cell_no AND s.task_type = ''::text) AS negatives_theta10,
    ( SELECT sum(s.mirrored[5])::integer AS sum
           FROM negative_summary s
          WHERE s.sweep_no = r.sweep_no AND s.cell_no = r.cell_no AND s.task_type = ''::text) AS mirrored_theta10
   FROM newest_run r
     JOIN LATERAL ( SELECT c.sweep_no,
            c.cell_no,
            c.key
           FROM cell c
          WHERE c.key = r.baseline_key AND c.status = 'done'::text AND c.reused_from IS NULL
          ORDER BY c.finished_at DESC, c.sweep_no DESC
         LIMIT 1) b ON true
     JOIN cell_stats t ON t.sweep_no = r.sweep_no AND t.cell_no = r.cell_no AND t.task_type = ''::text
     CROSS JOIN LATERAL jsonb_to_record(t.stats) m(n integer, "nUndefined" integer, "nMissing" integer, "nMismatch" integer, gt50 integer, "gt50Certain" integer, "gt50Possible" integer, longer50 integer, "longer50Certain" integer, "longer50Possible" integer, shorter50 integer, "shorter50Certain" integer, "shorter50Possible" integer, same integer, near integer, "censoredBase" integer, "censoredComp" integer, "sumBase" double precision, "sumComp" double precision, "sumD" double precision, "sumLogRatio" double precision, "nLogRatio" integer, exact jsonb)
  WHERE r.workload = 'generate'::text AND r.noise_kind IS NOT NULL AND r.compressor = 'none'::text AND m.n IS NOT NULL;
create view kv.pairs (compressor, label, cell_key, baseline_cell_key) as
 SELECT compressor,
    label,
    encode(key, 'hex'::text) AS cell_key,
    ( SELECT encode(b.key, 'hex'::text) AS encode
           FROM newest_run b
          WHERE b.key = r.baseline_key) AS baseline_cell_key
   FROM newest_run r
  WHERE not_inert(compressor, summary) AND replicate_of IS NULL;
create view kv.perplexity (cell_key, baseline_cell_key, n_samples, n_tokens, ppl, top1, base_ppl, delta, delta_lo, delta_hi, compressed) as
 WITH scored AS (
         SELECT r_1.key,
            s.sample_idx,
            s.rep,
            s.new_tokens AS n,
            (s.extra ->> 'logprob_sum'::text)::double precision AS sum,
            (s.extra ->> 'n_match'::text)::double precision AS hits
           FROM newest_run r_1
             JOIN sample s USING (sweep_no, cell_no)
          WHERE r_1.workload = 'score'::text AND s.finish <> 3
        ), whole AS (
         SELECT scored.key,
            count(*) AS samples,
            sum(scored.n) AS n,
            exp((- sum(scored.sum)) / sum(scored.n)::double precision) AS ppl,
            sum(scored.hits) / sum(scored.n) FILTER (WHERE scored.hits IS NOT NULL)::double precision AS top1
           FROM scored
          GROUP BY scored.key
        )
 SELECT encode(r.key, 'hex'::text) AS cell_key,
    encode(b.key, 'hex'::text) AS baseline_cell_key,
    w.samples AS n_samples,
    w.n AS n_tokens,
    w.ppl,
    w.top1,
    b.ppl AS base_ppl,
        CASE
            WHEN not_inert(r.compressor, r.summary) IS NOT FALSE THEN d.delta
            ELSE NULL::double precision
        END AS delta,
        CASE
            WHEN not_inert(r.compressor, r.summary) IS NOT FALSE THEN e.lo
            ELSE NULL::double precision
        END AS delta_lo,
        CASE
            WHEN not_inert(r.compressor, r.summary) IS NOT FALSE THEN e.hi
            ELSE NULL::double precision
        END AS delta_hi,
    not_inert(r.compressor, r.summary) AS compressed
   FROM newest_run r
     JOIN whole w USING (key)
     LEFT JOIN whole b ON b.key = r.baseline_key
     LEFT JOIN LATERAL ( SELECT sum(base.sum) / sum(base.n)::double precision - sum(comp.sum) / sum(comp.n)::double precision AS delta
           FROM scored base
             JOIN scored comp USING (sample_idx, rep)
          WHERE base.key = r.baseline_key AND comp.key = r.key) d ON true
     LEFT JOIN estimate e ON e.sweep_no = r.sweep_no AND e.cell_no = r.cell_no AND e.statistic = 'log_ppl'::text;
create view kv.samples (cell_key, prompt_key, replicate, seed, prompt_sha, prompt_tokens_raw, prompt_tokens, truncated, new_tokens, finish, stop_id, error_kind, cap, queue_ms, prefill_ms, decode_ms, steps, tpot_ms, kept_mean, kept_min, kept_max, bytes_end, bytes_peak, bytes_f16, text, tokens_sha, token_ids, kept_layers, budgets, bytes_ideal, dropped, sealed_k, sealed_v, selections, first_drop) as
 SELECT encode(r.key, 'hex'::text) AS cell_key,
    p.key AS prompt_key,
    s.rep::integer AS replicate,
    s.seed,
    encode(s.prompt_sha, 'hex'::text) AS prompt_sha,
    s.prompt_tokens_raw,
    s.prompt_tokens,
    s.truncated,
    s.new_tokens,
    finish_name(s.finish) AS finish,
    s.stop_id,
    s.error_kind,
    COALESCE(p.max_new_tokens, (r.run #>> '{workload,generate,max_new_tokens}'::text[])::integer) AS cap,
    s.queue_us::double precision / 1000.0::double precision AS queue_ms,
    s.prefill_us::double precision / 1000.0::double precision AS prefill_ms,
    s.decode_us::double precision / 1000.0::double precision AS decode_ms,
    decode_steps(s.new_tokens, s.stop_id) AS steps,
    s.decode_us::double precision / 1000.0::double precision / NULLIF(GREATEST(decode_steps(s.new_tokens, s.stop_id), 0), 0)::double precision AS tpot_ms,
    s.kept_mean,
    s.kept_min,
    s.kept_max,
    s.bytes_end,
    s.bytes_peak,
    s.bytes_f16,
    convert_from(t.bytes, 'UTF8'::name) AS text,
    encode(s.out_sha, 'hex'::text) AS tokens_sha,
    token_ids(o.bytes) AS token_ids,
        CASE
            WHEN jsonb_typeof(s.extra -> 'kept_layers'::text) = 'array'::text THEN ARRAY( SELECT jsonb_array_elements_text.value::double precision AS value
               FROM jsonb_array_elements_text(s.extra -> 'kept_layers'::text) jsonb_array_elements_text(value))
            ELSE NULL::double precision[]
        END AS kept_layers,
    NULLIF(s.extra -> 'budgets'::text, 'null'::jsonb) AS budgets,
    (s.extra ->> 'bytes_ideal'::text)::bigint AS bytes_ideal,
    (s.extra ->> 'dropped'::text)::bigint AS dropped,
    (s.extra ->> 'sealed_k'::text)::bigint AS sealed_k,
    (s.extra ->> 'sealed_v'::text)::bigint AS sealed_v,
    (s.extra ->> 'selections'::text)::bigint AS selections,
    (s.extra ->> 'first_drop'::text)::bigint AS first_drop
   FROM newest_run r
     JOIN sample s USING (sweep_no, cell_no)
     JOIN prompt p ON p.prompt_set = r.prompt_set AND p.idx = s.sample_idx
     LEFT JOIN output t ON t.sha = s.text_sha
     LEFT JOIN output o ON o.sha = s.out_sha;
create view kv.score_summary (cell_key, baseline_cell_key, compressor, label, batch_size, dataset, metric, variant, n, score, n_pairs, base_score, delta, n_worse, n_better, compressed, noise_kind) as
 SELECT encode(r.key, 'hex'::text) AS cell_key,
    encode(b.key, 'hex'::text) AS baseline_cell_key,
    r.compressor,
    r.label,
    r.batch AS batch_size,
    r.dataset,
    own.metric,
    own.variant,
    own.n,
    own.score,
    pair.n AS n_pairs,
    pair.base AS base_score,
    pair.delta,
    pair.worse AS n_worse,
    pair.better AS n_better,
    not_inert(r.compressor, r.summary) AS compressed,
    r.noise_kind
   FROM newest_run r
     CROSS JOIN LATERAL ( SELECT s.metric,
            s.variant,
            count(*) AS n,
            avg(s.score) AS score
           FROM score s
          WHERE s.sweep_no = r.sweep_no AND s.cell_no = r.cell_no
          GROUP BY s.metric, s.variant) own
     LEFT JOIN LATERAL ( SELECT c.sweep_no,
            c.cell_no,
            c.key
           FROM cell c
          WHERE c.key = r.baseline_key AND c.status = 'done'::text AND c.reused_from IS NULL
          ORDER BY c.finished_at DESC, c.sweep_no DESC
         LIMIT 1) b ON not_inert(r.compressor, r.summary) IS NOT FALSE
     LEFT JOIN LATERAL ( SELECT count(*) AS n,
            avg(base.score) AS base,
            avg(comp.score - base.score) AS delta,
            count(*) FILTER (WHERE comp.score < base.score) AS worse,
            count(*) FILTER (WHERE comp.score > base.score) AS better
           FROM score comp
             JOIN score base USING (sample_idx, rep, metric, variant)
          WHERE comp.sweep_no = r.sweep_no AND comp.cell_no = r.cell_no AND comp.metric = own.metric AND comp.variant = own.variant AND base.sweep_no = b.sweep_no AND base.cell_no = b.cell_no) pair ON b.key IS NOT NULL
  WHERE r.noise_kind IS NULL OR r.compressor = 'none'::text;
create view kv.scores (cell_key, prompt_key, replicate, dataset, task_type, metric, variant, scorer_version, score, ref_index, extra) as
 SELECT encode(r.key, 'hex'::text) AS cell_key,
    p.key AS prompt_key,
    s.rep::integer AS replicate,
    r.dataset,
    p.task_type,
    s.metric,
    s.variant,
    s.scorer_version,
    s.score,
    s.ref_index,
    s.extra
   FROM newest_run r
     JOIN score s USING (sweep_no, cell_no)
     JOIN prompt p ON p.prompt_set = r.prompt_set AND p.idx = s.sample_idx;
create view kv.throughput (cell_key, model, compressor, label, device, batch_size, prompt_tokens, new_tokens, phase, repeats, tok_s, tok_s_q25, tok_s_q75, times_ms, noisy, drift, bound_ms, of_bound, base_tok_s, s_same, max_batch, tok_s_at_max, base_max_batch, base_tok_s_at_max, s_max, kept_mean, bytes_end, bytes_peak, compressed, searched, cache_memory) as
 WITH medians AS (
         SELECT throughput_run.sweep_no,
            throughput_run.cell_no,
            throughput_run.phase,
            throughput_run.guard,
            percentile_cont(0.5::double precision) WITHIN GROUP (ORDER BY throughput_run.seconds) AS median
           FROM throughput_run
          GROUP BY throughput_run.sweep_no, throughput_run.cell_no, throughput_run.phase, throughput_run.guard
        ), drifts AS (
         SELECT c.sweep_no,
            c.group_no,
            g.phase,
            max(abs(g.median / m.median - 1::double precision)) AS drift
           FROM medians g
             JOIN medians m ON m.sweep_no = g.sweep_no AND m.cell_no = g.cell_no AND m.phase = g.phase AND NOT m.guard
             JOIN cell c ON c.sweep_no = g.sweep_no AND c.cell_no = g.cell_no
          WHERE g.guard
          GROUP BY c.sweep_no, c.group_no, g.phase
        ), timed AS (
         SELECT r.key,
            r.baseline_key,
            r.sweep_no,
            r.group_no,
            r.model,
            r.model_sha,
            r.compressor,
            r.label,
            r.effective,
            r.backend,
            r.invariant,
            r.run ->> 'scheduler'::text AS scheduler,
            (r.run ->> 'memory_limit'::text)::bigint AS memory,
            (r.run ->> 'batch'::text) = 'max'::text AS searched,
            r.provenance #>> '{device,name}'::text[] AS device,
            (r.run #>> '{workload,throughput,new_tokens}'::text[])::integer AS new_tokens,
            not_inert(r.compressor, r.summary) AS compressed,
            t_1.phase,
            max(t_1.batch) AS batch,
            max(t_1.prompt_tokens) AS prompt_tokens,
            count(*) AS repeats,
            max(t_1.tokens) AS tokens,
            percentile_cont(ARRAY[0.25, 0.5, 0.75]::double precision[]) WITHIN GROUP (ORDER BY t_1.seconds) AS q,
            array_agg(t_1.seconds * 1000::double precision ORDER BY t_1.repeat) AS times,
            percentile_cont(0.5::double precision) WITHIN GROUP (ORDER BY t_1.bound_s) AS bound_s,
            max(t_1.kept_mean) AS kept_mean,
            max(t_1.bytes_end) AS bytes_end,
            max(t_1.peak_bytes) AS bytes_peak
           FROM newest_run r
             JOIN throughput_run t_1 USING (sweep_no, cell_no)
          WHERE NOT t_1.guard
          GROUP BY r.key, r.baseline_key, r.sweep_no, r.group_no, r.model, r.model_sha, r.compressor, r.label, r.effective, r.backend, r.invariant, r.run, r.provenance, r.summary, t_1.phase
        ), rated AS (
         SELECT timed.key,
            timed.baseline_key,
            timed.sweep_no,
            timed.group_no,
            timed.model,
            timed.model_sha,
            timed.compressor,
            timed.label,
            timed.effective,
            timed.backend,
            timed.invariant,
            timed.scheduler,
            timed.memory,
            timed.searched,
            timed.device,
            timed.new_tokens,
            timed.compressed,
            timed.phase,
            timed.batch,
            timed.prompt_tokens,
            timed.repeats,
            timed.tokens,
            timed.q,
            timed.times,
            timed.bound_s,
            timed.kept_mean,
            timed.bytes_end,
            timed.bytes_peak,
            timed.tokens::double precision / timed.q[2] AS tok_s
           FROM timed
        ), largest AS (
         SELECT DISTINCT ON (rated.model_sha, rated.effective, rated.backend, rated.invariant, rated.scheduler, rated.device, rated.memory, rated.prompt_tokens, rated.new_tokens, rated.phase) rated.model_sha,
            rated.effective,
            rated.backend,
            rated.invariant,
            rated.scheduler,
            rated.device,
            rated.memory,
            rated.prompt_tokens,
            rated.new_tokens,
            rated.phase,
            rated.compressor,
            rated.batch,
            rated.tok_s
           FROM rated
          ORDER BY rated.model_sha, rated.effective, rated.backend, rated.invariant, rated.scheduler, rated.device, rated.memory, rated.prompt_tokens, rated.new_tokens, rated.phase, rated.searched DESC, rated.batch DESC
        )
 SELECT encode(t.key, 'hex'::text) AS cell_key,
    t.model,
    t.compressor,
    t.label,
    t.device,
    t.batch AS batch_size,
    t.prompt_tokens,
    t.new_tokens,
    t.phase,
    t.repeats,
    t.tok_s,
    t.tokens::double precision / t.q[3] AS tok_s_q25,
    t.tokens::double precision / t.q[1] AS tok_s_q75,
    t.times AS times_ms,
    ((t.q[3] - t.q[1]) / t.q[2]) > 0.05::double precision AS noisy,
    d.drift,
    t.bound_s * 1000::double precision AS bound_ms,
    t.bound_s / t.q[2] AS of_bound,
    b.tok_s AS base_tok_s,
        CASE
            WHEN t.compressed THEN t.tok_s / b.tok_s
            ELSE NULL::double precision
        END AS s_same,
    own.batch AS max_batch,
    own.tok_s AS tok_s_at_max,
    base.batch AS base_max_batch,
    base.tok_s AS base_tok_s_at_max,
        CASE
            WHEN t.compressed THEN own.tok_s / base.tok_s
            ELSE NULL::double precision
        END AS s_max,
    t.kept_mean,
    t.bytes_end,
    t.bytes_peak,
    t.compressed,
    t.searched,
    t.memory AS cache_memory
   FROM rated t
     LEFT JOIN rated b ON b.key = t.baseline_key AND b.phase = t.phase AND b.batch = t.batch
     LEFT JOIN drifts d ON d.sweep_no = t.sweep_no AND d.group_no = t.group_no AND d.phase = t.phase
     LEFT JOIN largest own ON own.model_sha = t.model_sha AND own.effective = t.effective AND own.backend = t.backend AND own.invariant = t.invariant AND own.scheduler = t.scheduler AND own.prompt_tokens = t.prompt_tokens AND own.new_tokens = t.new_tokens AND own.phase = t.phase AND NOT own.device IS DISTINCT FROM t.device AND NOT own.memory IS DISTINCT FROM t.memory
     LEFT JOIN largest base ON base.model_sha = t.model_sha AND base.backend = t.backend AND base.invariant = t.invariant AND base.scheduler = t.scheduler AND base.prompt_tokens = t.prompt_tokens AND base.new_tokens = t.new_tokens AND base.phase = t.phase AND NOT base.device IS DISTINCT FROM t.device AND NOT base.memory IS DISTINCT FROM t.memory AND base.compressor = 'none'::text;
create view latency_model (key, batch, tokens, prefill_tok_s, tpot_ms, base_tokens, base_prefill_tok_s, base_tpot_ms) as
 SELECT DISTINCT ON (r.key) r.key,
    own.batch,
    own.tokens,
    own.prefill_tok_s,
    own.tpot_ms,
    base.tokens AS base_tokens,
    base.prefill_tok_s AS base_prefill_tok_s,
    base.tpot_ms AS base_tpot_ms
   FROM newest_run r
     JOIN speed_curve own ON own.model_sha = r.model_sha AND own.effective = r.effective AND own.backend = r.backend AND own.device = COALESCE(r.provenance #>> '{device,name}'::text[], ''::text)
     JOIN speed_curve base ON base.model_sha = r.model_sha AND base.compressor = 'none'::text AND base.backend = r.backend AND base.device = own.device AND base.batch = own.batch
  WHERE r.workload = 'generate'::text AND r.noise_kind IS NULL AND r.compressor <> 'none'::text AND not_inert(r.compressor, r.summary)
  ORDER BY r.key, (abs(ln(own.batch::double precision / r.batch::double precision))), own.batch;
create view newest_run (sweep_no, cell_no, group_no, key, run, model, model_sha, prompt_set, backend, invariant, batch, workload, compressor, label, requested, effective, derived, noise_kind, noise_no, dataset, axes, is_baseline, baseline_key, n_planned, est_ms, status, lease, tries, err_class, n_alarms, summary, provenance, started_at, finished_at, reused_from, replicate_of) as
 SELECT DISTINCT ON (key) sweep_no,
    cell_no,
    group_no,
    key,
    run,
    model,
    model_sha,
    prompt_set,
    backend,
    invariant,
    batch,
    workload,
    compressor,
    label,
    requested,
    effective,
    derived,
    noise_kind,
    noise_no,
    dataset,
    axes,
    is_baseline,
    baseline_key,
    n_planned,
    est_ms,
    status,
    lease,
    tries,
    err_class,
    n_alarms,
    summary,
    provenance,
    started_at,
    finished_at,
    reused_from,
    replicate_of
   FROM cell
  WHERE status = 'done'::text AND reused_from IS NULL
  ORDER BY key, finished_at DESC, sweep_no DESC;
create view speed_curve (model_sha, compressor, effective, backend, device, batch, tokens, prefill_tok_s, tpot_ms) as
 SELECT model_sha,
    compressor,
    effective,
    backend,
    device,
    batch,
    array_agg(prompt_tokens::double precision ORDER BY prompt_tokens) AS tokens,
    array_agg(prefill_tok_s ORDER BY prompt_tokens) AS prefill_tok_s,
    array_agg(tpot_ms ORDER BY prompt_tokens) AS tpot_ms
   FROM ( SELECT DISTINCT ON (speed_point.model_sha, speed_point.compressor, speed_point.effective, speed_point.backend, speed_point.device, speed_point.batch, speed_point.prompt_tokens) speed_point.key,
            speed_point.model_sha,
            speed_point.compressor,
            speed_point.effective,
            speed_point.backend,
            speed_point.device,
            speed_point.invariant,
            speed_point.memory_limit,
            speed_point.is_max,
            speed_point.batch,
            speed_point.prompt_tokens,
            speed_point.steps,
            speed_point.prefill_tok_s,
            speed_point.tpot_ms
           FROM speed_point
          ORDER BY speed_point.model_sha, speed_point.compressor, speed_point.effective, speed_point.backend, speed_point.device, speed_point.batch, speed_point.prompt_tokens, speed_point.invariant, speed_point.steps DESC, speed_point.key) p
  GROUP BY model_sha, compressor, effective, backend, device, batch;
create view speed_largest (model_sha, compressor, effective, backend, device, memory_limit, prompt_tokens, batch) as
 SELECT DISTINCT ON (model_sha, compressor, effective, backend, device, memory_limit, prompt_tokens) model_sha,
    compressor,
    effective,
    backend,
    device,
    memory_limit,
    prompt_tokens,
    batch
   FROM speed_point
  ORDER BY model_sha, compressor, effective, backend, device, memory_limit, prompt_tokens, is_max DESC, batch DESC;
create view speed_point (key, model_sha, compressor, effective, backend, device, invariant, memory_limit, is_max, batch, prompt_tokens, steps, prefill_tok_s, tpot_ms) as
 WITH phases AS (
         SELECT r_1.key,
            t.phase,
            max(t.batch) AS batch,
            max(t.prompt_tokens) AS prompt_tokens,
            max(t.steps) AS steps,
            percentile_cont(0.5::double precision) WITHIN GROUP (ORDER BY t.seconds) AS seconds
           FROM newest_run r_1
             JOIN throughput_run t USING (sweep_no, cell_no)
          WHERE NOT t.guard
          GROUP BY r_1.key, t.phase
        )
 SELECT r.key,
    r.model_sha,
    r.compressor,
    r.effective,
    r.backend,
    COALESCE(r.provenance #>> '{device,name}'::text[], ''::text) AS device,
    r.invariant,
    (r.run ->> 'memory_limit'::text)::bigint AS memory_limit,
    (r.run ->> 'batch'::text) = 'max'::text AS is_max,
    d.batch,
    d.prompt_tokens,
    d.steps,
    p.prompt_tokens::double precision / p.seconds AS prefill_tok_s,
    1000::double precision * d.seconds / d.steps::double precision AS tpot_ms
   FROM newest_run r
     JOIN phases p ON p.key = r.key AND p.phase = 'prefill'::text
     JOIN phases d ON d.key = r.key AND d.phase = 'decode'::text
  WHERE not_inert(r.compressor, r.summary) IS NOT FALSE AND d.steps > 0;

-- Comments

comment on view kv.calibrations is 'One row per calibration artefact that was made: which model, method and tokens it belongs to.';
comment on column kv.calibrations.calibration_key is 'sha256 of all that the artefact depends on, hex';
comment on column kv.calibrations.artefact_sha is 'sha256 of the artefact, hex: what a cell names';
comment on column kv.calibrations.compressor is 'method that the artefact is for';
comment on column kv.calibrations.parameters is 'parameters that it was made with';
comment on column kv.calibrations.model_sha is 'sha256 of the model file, hex';
comment on column kv.calibrations.token_set_sha is 'sha256 of the token set, hex';
comment on column kv.calibrations.token_set is 'data set of the tokens';
comment on column kv.calibrations.n_sequences is 'sequences of the token set';
comment on column kv.calibrations.numerics is 'numerics version of the engine that made it';
comment on column kv.calibrations.bytes is 'size of the artefact';
comment on column kv.calibrations.made_at is 'when';
comment on view kv.cells is 'One row per (sweep, cell). A cell that reuses a run of another sweep shows that run.';
comment on column kv.cells.sweep is 'name of the sweep';
comment on column kv.cells.cell_no is 'number of the cell in its sweep';
comment on column kv.cells.cell_key is 'key of the cell, hex: equal keys mean equal results';
comment on column kv.cells.status is 'pending, leased, done, failed (its own fault) or lost (not its fault)';
comment on column kv.cells.model is 'name of the model';
comment on column kv.cells.model_sha is 'sha256 of the model file, hex; null for an import';
comment on column kv.cells.workload is 'the workload as the engine got it; for an import the source of the scores';
comment on column kv.cells.dataset is 'data set of the prompts; null for throughput';
comment on column kv.cells.kind is 'generate, throughput, score or import';
comment on column kv.cells.compressor is 'method, or methods joined by +; none = uncompressed';
comment on column kv.cells.requested is 'parameters as written in the spec';
comment on column kv.cells.effective is 'parameters as the engine resolved and reported them; null for an import, where only labels are known';
comment on column kv.cells.label is 'short name of the compressor configuration';
comment on column kv.cells.batch_size is 'sequences at a time; for batch "max" the size found, null before the run';
comment on column kv.cells.invariant is 'true: tokens do not depend on the batch; null for an import';
comment on column kv.cells.scheduler is 'static or continuous';
comment on column kv.cells.backend is 'cpu or cuda; null for an import';
comment on column kv.cells.baseline_cell_key is 'key of its baseline, null if that is not done';
comment on column kv.cells.is_baseline is 'compressor none and no noise';
comment on column kv.cells.noise_kind is 'seed, batch, backend or rerun for a noise cell, else null';
comment on column kv.cells.max_new_tokens is 'cap on the tokens of an answer';
comment on column kv.cells.sampling is 'greedy, or temperature and its limits';
comment on column kv.cells.template_sha is 'sha256 of the prompt template of the data set, hex';
comment on column kv.cells.chat_template_sha is 'sha256 of the chat template text, hex; null if the model has none';
comment on column kv.cells.stop_ids is 'token ids that end an answer';
comment on column kv.cells.engine is 'version of the engine that ran it';
comment on column kv.cells.numerics is 'numerics version of the engine: output bits are equal within one';
comment on column kv.cells.host is 'name of the host that ran it';
comment on column kv.cells.device is 'name of the GPU or CPU';
comment on column kv.cells.n_planned is 'samples planned; for throughput the repeats';
comment on column kv.cells.n_done is 'samples stored without an error; for throughput the timed repeats, for an import the scores';
comment on column kv.cells.n_error is 'samples that ended with an error of their own';
comment on column kv.cells.n_alarms is 'samples whose tokens contradict an earlier run of the same key';
comment on column kv.cells.compressed is 'false: the compressor acted in no sample (inert), so the cell is left out of shares; null for none';
comment on column kv.cells.error_kind is 'class of failure of a failed cell';
comment on column kv.cells.axes is 'the coordinates as written in the spec';
comment on column kv.cells.reused_from is 'name of the sweep whose run this cell reuses, else null';
comment on column kv.cells.started_at is 'start of the run';
comment on column kv.cells.finished_at is 'end of the run';
comment on view kv.e2e_latency is 'One row per pair of a baseline sample and a compressed one, both without an error and with the same prompt. Times are null if the two cells ran on different devices. Columns mod_ are modelled from throughput cells of the same model, compressor, backend and device.';
comment on column kv.e2e_latency.cell_key is 'key of the compressed cell, hex';
comment on column kv.e2e_latency.baseline_cell_key is 'key of the baseline, hex';
comment on column kv.e2e_latency.compressor is 'method, or methods joined by +';
comment on column kv.e2e_latency.label is 'short name of the compressor configuration';
comment on column kv.e2e_latency.prompt_key is 'data set and record id of the prompt';
comment on column kv.e2e_latency.replicate is 'number of the replicate';
comment on column kv.e2e_latency.e2e_ms is 'queue + prefill + decode of the compressed sample';
comment on column kv.e2e_latency.service_ms is 'prefill + decode of the compressed sample';
comment on column kv.e2e_latency.base_service_ms is 'prefill + decode of the uncompressed sample';
comment on column kv.e2e_latency.time_ratio is 'service_ms / base_service_ms: over 1 = the request got slower';
comment on column kv.e2e_latency.prefill_ms is 'prefill of the compressed sample';
comment on column kv.e2e_latency.base_prefill_ms is 'prefill of the uncompressed sample';
comment on column kv.e2e_latency.decode_ms is 'decode of the compressed sample';
comment on column kv.e2e_latency.base_decode_ms is 'decode of the uncompressed sample';
comment on column kv.e2e_latency.steps is 'decode steps of the compressed sample';
comment on column kv.e2e_latency.base_steps is 'decode steps of the uncompressed sample';
comment on column kv.e2e_latency.tpot_ms is 'decode time per step of the compressed sample';
comment on column kv.e2e_latency.base_tpot_ms is 'decode time per step of the uncompressed sample';
comment on column kv.e2e_latency.l_base is 'tokens of the uncompressed answer';
comment on column kv.e2e_latency.l_comp is 'tokens of the compressed answer';
comment on column kv.e2e_latency.paradox is 'tokens came faster and yet the request got slower';
comment on column kv.e2e_latency.mod_batch_size is 'batch size of those throughput cells: the nearest to that of the cell that both methods have';
comment on column kv.e2e_latency.mod_service_ms is 'modelled: prompt tokens at the prefill rate of one sequence, plus decode steps at the step time there; linear in ln of the prompt length between two throughput points, null without any';
comment on column kv.e2e_latency.mod_base_service_ms is 'the same for the uncompressed sample';
comment on column kv.e2e_latency.mod_time_ratio is 'mod_service_ms / mod_base_service_ms';
comment on view kv.e2e_latency_at_max is 'One row per compressed generate cell and cache limit, where both methods have throughput cells: what a request takes when each method serves its own largest batch. Lengths are measured, times (mod_) modelled from those throughput cells.';
comment on column kv.e2e_latency_at_max.cell_key is 'key of the compressed cell whose answers are taken, hex';
comment on column kv.e2e_latency_at_max.baseline_cell_key is 'key of its baseline, hex';
comment on column kv.e2e_latency_at_max.compressor is 'method, or methods joined by +';
comment on column kv.e2e_latency_at_max.label is 'short name of the compressor configuration';
comment on column kv.e2e_latency_at_max.dataset is 'data set of the prompts';
comment on column kv.e2e_latency_at_max.answers_batch_size is 'batch size at which the answers were generated';
comment on column kv.e2e_latency_at_max.device is 'name of the GPU or CPU';
comment on column kv.e2e_latency_at_max.cache_memory is 'bytes of cache and workspace that the throughput cells were allowed; null = what the engine chose';
comment on column kv.e2e_latency_at_max.prompt_tokens is 'prompt length of the throughput cells: of those that both methods have the nearest to the mean prompt';
comment on column kv.e2e_latency_at_max.own_batch_size is 'largest batch of the compressed method there';
comment on column kv.e2e_latency_at_max.base_batch_size is 'largest batch of the uncompressed model there';
comment on column kv.e2e_latency_at_max.n is 'pairs of answers';
comment on column kv.e2e_latency_at_max.y_answers_longer is 'measured: answers got so many times longer, in decode steps';
comment on column kv.e2e_latency_at_max.mod_x_tokens_faster is 'modelled: the tokens of one answer came so many times faster (under 1: the larger batch is slower)';
comment on column kv.e2e_latency_at_max.mod_service_ratio is 'modelled: a request takes so many times as long';
comment on column kv.e2e_latency_at_max.mod_prefill_ratio is 'modelled: its prefill takes so many times as long';
comment on column kv.e2e_latency_at_max.mod_base_decode_share is 'modelled: share of decode in the service time of the baseline';
comment on column kv.e2e_latency_at_max.mod_share_slower is 'modelled: share of requests that take longer';
comment on column kv.e2e_latency_at_max.mod_requests_faster is 'modelled: requests finished per second, as a multiple of the uncompressed model at its largest batch';
comment on view kv.e2e_latency_summary is 'One row per compressed cell with pairs. With w the decode share of the baseline: service_ratio = w * y_answers_longer / x_tokens_faster + (1 - w) * prefill_ratio, exactly. Written by the aggregation of a sweep.';
comment on column kv.e2e_latency_summary.cell_key is 'key of the compressed cell, hex';
comment on column kv.e2e_latency_summary.baseline_cell_key is 'key of the baseline, hex';
comment on column kv.e2e_latency_summary.compressor is 'method, or methods joined by +';
comment on column kv.e2e_latency_summary.label is 'short name of the compressor configuration';
comment on column kv.e2e_latency_summary.batch_size is 'sequences at a time';
comment on column kv.e2e_latency_summary.n is 'pairs with times';
comment on column kv.e2e_latency_summary.x_tokens_faster is 'tokens came so many times faster';
comment on column kv.e2e_latency_summary.y_answers_longer is 'answers got so many times longer, in decode steps';
comment on column kv.e2e_latency_summary.service_ratio is 'requests took so many times as long';
comment on column kv.e2e_latency_summary.prefill_ratio is 'prefill took so many times as long';
comment on column kv.e2e_latency_summary.base_decode_share is 'w: share of decode in the service time of the baseline';
comment on column kv.e2e_latency_summary.share_slower is 'share of requests with time_ratio > 1';
comment on column kv.e2e_latency_summary.share_paradox is 'share of requests whose tokens came faster and that yet got slower';
comment on column kv.e2e_latency_summary.ratio_p50 is 'median of time_ratio';
comment on column kv.e2e_latency_summary.ratio_p95 is '95 % quantile of time_ratio';
comment on view kv.estimates is 'One row per (cell, statistic): values with bootstrap intervals and permutation p values.';
comment on column kv.estimates.cell_key is 'key of the cell, hex';
comment on column kv.estimates.statistic is 'name of the statistic';
comment on column kv.estimates.value is 'its value';
comment on column kv.estimates.lo is 'lower end of the 95 % interval';
comment on column kv.estimates.hi is 'upper end of the 95 % interval';
comment on column kv.estimates.p is 'p value of the test that belongs to it';
comment on column kv.estimates.n is 'pairs';
comment on column kv.estimates.n_clusters is 'prompts, the unit of resampling';
comment on column kv.estimates.b is 'resamples';
comment on column kv.estimates.seed is 'seed of the resampling';
comment on column kv.estimates.version is 'version of the code that computed it';
comment on view kv.kept is 'One row per (sample, layer, kv head) of cells run with trace: kept: which tokens the cache held at the end.';
comment on column kv.kept.cell_key is 'key of the cell, hex';
comment on column kv.kept.prompt_key is 'data set and record id of the prompt';
comment on column kv.kept.replicate is 'number of the replicate';
comment on column kv.kept.layer is 'layer, from 0';
comment on column kv.kept.kv_head is 'kv head, from 0';
comment on column kv.kept.seen is 'tokens that entered the cache';
comment on column kv.kept.kept is 'tokens held at the end';
comment on column kv.kept.positions is 'their positions, ascending';
comment on view kv.length_shift is 'One row per pair of a baseline sample and a sample of a compressed or a noise cell: D = (l_base - l_comp) / l_base; D < 0 = the compressed answer is longer. Cells whose compressor did not act are left out. D is computed when asked for; where two outputs part comes from the aggregation of the sweep.';
comment on column kv.length_shift.cell_key is 'key of the compressed (or noise) cell, hex';
comment on column kv.length_shift.baseline_cell_key is 'key of the baseline, hex';
comment on column kv.length_shift.compressor is 'method, or methods joined by +; none for a noise cell';
comment on column kv.length_shift.label is 'short name of the compressor configuration';
comment on column kv.length_shift.noise_kind is 'kind of the noise cell, or of a replicate of a compressed cell; null for a compressed one';
comment on column kv.length_shift.dataset is 'data set of the prompt';
comment on column kv.length_shift.task_type is 'task type of the prompt, if the data set has any';
comment on column kv.length_shift.prompt_key is 'data set and record id of the prompt';
comment on column kv.length_shift.replicate is 'number of the replicate';
comment on column kv.length_shift.l_base is 'tokens of the uncompressed answer';
comment on column kv.length_shift.l_comp is 'tokens of the compressed answer';
comment on column kv.length_shift.d is 'D; null if the uncompressed answer is empty';
comment on column kv.length_shift.d_lo is 'least value that the true D can have, given that answers were cut';
comment on column kv.length_shift.d_hi is 'greatest value that the true D can have';
comment on column kv.length_shift.censor is 'which side was cut: none, comp, base, both';
comment on column kv.length_shift.same is 'token ids are identical';
comment on column kv.length_shift.first_diff is 'length of the common prefix in tokens; null if identical, or not aggregated yet';
comment on column kv.length_shift.stop_missed is 'the whole uncompressed answer is a proper prefix: the compressed one missed the end';
comment on column kv.length_shift.stop_early is 'the whole compressed answer is a proper prefix: it ended early';
comment on column kv.length_shift.beyond_noise is '|D| is over the 95 % quantile of |D| between uncompressed runs; null without a noise cell';
comment on view kv.length_shift_summary is 'One row per compressed cell with pairs: the distribution of D, its noise floor and the excess over it. Written by the aggregation of a sweep; replicates of compressed cells are left out.';
comment on column kv.length_shift_summary.cell_key is 'key of the compressed cell, hex';
comment on column kv.length_shift_summary.baseline_cell_key is 'key of the baseline, hex';
comment on column kv.length_shift_summary.compressor is 'method, or methods joined by +';
comment on column kv.length_shift_summary.label is 'short name of the compressor configuration';
comment on column kv.length_shift_summary.batch_size is 'sequences at a time';
comment on column kv.length_shift_summary.dataset is 'data set of the prompts';
comment on column kv.length_shift_summary.n is 'pairs with a D';
comment on column kv.length_shift_summary.n_undefined is 'pairs whose uncompressed answer is empty';
comment on column kv.length_shift_summary.n_missing is 'pairs with an errored or missing side, left out';
comment on column kv.length_shift_summary.n_mismatch is 'pairs whose prompts differ in token ids, left out';
comment on column kv.length_shift_summary.share_gt50 is 'share of |D| > 0.5';
comment on column kv.length_shift_summary.share_longer50 is 'share of D <= -0.5: at least half as long again';
comment on column kv.length_shift_summary.share_longer50_lo is 'least value of that share, given that answers were cut';
comment on column kv.length_shift_summary.share_longer50_hi is 'greatest value of that share';
comment on column kv.length_shift_summary.share_shorter50 is 'share of D >= 0.5';
comment on column kv.length_shift_summary.share_same is 'share of identical answers';
comment on column kv.length_shift_summary.share_near is 'share of |D| <= 0.05';
comment on column kv.length_shift_summary.q05 is '5 % quantile of D';
comment on column kv.length_shift_summary.q25 is '25 % quantile of D';
comment on column kv.length_shift_summary.q50 is 'median of D';
comment on column kv.length_shift_summary.q75 is '75 % quantile of D';
comment on column kv.length_shift_summary.q95 is '95 % quantile of D';
comment on column kv.length_shift_summary.ratio_of_means is 'tokens of all compressed answers over tokens of all uncompressed ones';
comment on column kv.length_shift_summary.geo_ratio is 'geometric mean of l_comp / l_base';
comment on column kv.length_shift_summary.median_ratio is '1 - median of D';
comment on column kv.length_shift_summary.censored_base is 'share of uncompressed answers that were cut';
comment on column kv.length_shift_summary.censored_comp is 'share of compressed answers that were cut';
comment on column kv.length_shift_summary.noise_longer50 is 'share of D <= -0.5 between uncompressed runs; null if the noise floor was not measured';
comment on column kv.length_shift_summary.excess_longer50 is 'share_longer50 - noise_longer50';
comment on column kv.length_shift_summary.excess_p is 'one-sided p value of that excess';
comment on column kv.length_shift_summary.share_gt50_lo is 'least value of share_gt50, given that answers were cut';
comment on column kv.length_shift_summary.share_gt50_hi is 'greatest value of share_gt50';
comment on column kv.length_shift_summary.share_shorter50_lo is 'least value of share_shorter50, given that answers were cut';
comment on column kv.length_shift_summary.share_shorter50_hi is 'greatest value of share_shorter50';
comment on column kv.length_shift_summary.q01 is '1 % quantile of D';
comment on column kv.length_shift_summary.q99 is '99 % quantile of D';
comment on column kv.length_shift_summary.iqr is 'q75 - q25';
comment on column kv.length_shift_summary.mean_of_ratios is '1 - mean of D; led by short uncompressed answers';
comment on column kv.length_shift_summary.noise_gt50 is 'share of |D| > 0.5 between uncompressed runs';
comment on column kv.length_shift_summary.excess_gt50 is 'share_gt50 - noise_gt50';
comment on column kv.length_shift_summary.excess_gt50_p is 'one-sided p value of that excess';
comment on column kv.length_shift_summary.noise_shorter50 is 'share of D >= 0.5 between uncompressed runs';
comment on column kv.length_shift_summary.excess_shorter50 is 'share_shorter50 - noise_shorter50';
comment on column kv.length_shift_summary.excess_shorter50_p is 'one-sided p value of that excess';
comment on column kv.length_shift_summary.noise_d95 is '95 % quantile of |D| between uncompressed runs';
comment on column kv.length_shift_summary.histogram is 'counts of D: 60 bins of 0.05 from -2 to 1, left-closed, then those below -2';
comment on column kv.length_shift_summary.median_km is 'median length of the compressed answers by Kaplan and Meier; null = beyond the cap';
comment on column kv.length_shift_summary.base_median_km is 'the same of the uncompressed answers';
comment on view kv.negative_pairs is 'One row per scored pair of a baseline sample and a sample of a compressed or a noise cell: both scores, the thresholds of the baseline, and what replicates say. Inert cells and replicates of compressed cells are left out.';
comment on column kv.negative_pairs.cell_key is 'key of the compressed (or noise) cell, hex';
comment on column kv.negative_pairs.baseline_cell_key is 'key of the baseline, hex';
comment on column kv.negative_pairs.compressor is 'method, or methods joined by +; none for a noise cell';
comment on column kv.negative_pairs.label is 'short name of the compressor configuration';
comment on column kv.negative_pairs.batch_size is 'sequences at a time';
comment on column kv.negative_pairs.noise_kind is 'kind of the noise cell; null for a compressed one';
comment on column kv.negative_pairs.dataset is 'data set of the prompt';
comment on column kv.negative_pairs.task_type is 'task type of the prompt, if the data set has any';
comment on column kv.negative_pairs.prompt_key is 'data set and record id of the prompt';
comment on column kv.negative_pairs.replicate is 'number of the replicate';
comment on column kv.negative_pairs.metric is 'name of the metric';
comment on column kv.negative_pairs.variant is 'variant of the metric';
comment on column kv.negative_pairs.base_score is 'score of the uncompressed answer';
comment on column kv.negative_pairs.score is 'score of the compressed answer';
comment on column kv.negative_pairs.median is 'median of the baseline''s scores';
comment on column kv.negative_pairs.mean is 'mean of the baseline''s scores';
comment on column kv.negative_pairs.weight is 'how often rule artifact counts the record: 2 in passage_count, else 1';
comment on column kv.negative_pairs.base_min is 'least score over the uncompressed runs; null with fewer than two of them';
comment on column kv.negative_pairs.base_max is 'greatest score over the uncompressed runs';
comment on column kv.negative_pairs.base_mean is 'mean score over the uncompressed runs';
comment on column kv.negative_pairs.score_max is 'greatest score over the compressed runs';
comment on column kv.negative_pairs.robust_median is 'median of base_mean over the records';
comment on column kv.negative_pairs.robust_mean is 'mean of base_mean over the records';
comment on view kv.negative_sets is 'One row per (sample, metric, rule default, median or mean) that is negative or mirrored at theta 1 % or robust at any, from what aggregation stored: quick over many cells. Samples of 0 against 0, which median calls negative, are left out.';
comment on column kv.negative_sets.cell_key is 'key of the compressed (or noise) cell, hex';
comment on column kv.negative_sets.baseline_cell_key is 'key of the baseline, hex';
comment on column kv.negative_sets.compressor is 'method, or methods joined by +; none for a noise cell';
comment on column kv.negative_sets.label is 'short name of the compressor configuration';
comment on column kv.negative_sets.batch_size is 'sequences at a time';
comment on column kv.negative_sets.noise_kind is 'kind of the noise cell; null for a compressed one';
comment on column kv.negative_sets.dataset is 'data set of the prompt';
comment on column kv.negative_sets.task_type is 'task type of the prompt, if the data set has any';
comment on column kv.negative_sets.prompt_key is 'data set and record id of the prompt';
comment on column kv.negative_sets.replicate is 'number of the replicate';
comment on column kv.negative_sets.metric is 'name of the metric';
comment on column kv.negative_sets.variant is 'variant of the metric';
comment on column kv.negative_sets.rule is 'default, median or mean';
comment on column kv.negative_sets.base_score is 'score of the uncompressed answer';
comment on column kv.negative_sets.score is 'score of the compressed answer';
comment on column kv.negative_sets.negative_to is 'greatest theta of the grid at which it is negative, and it is at every smaller one; null = at none';
comment on column kv.negative_sets.mirrored_to is 'the same of mirrored';
comment on column kv.negative_sets.robust_at is 'thetas of the grid at which it is a robust negative; null without replicates';
comment on view kv.negatives is 'One row per (scored pair, theta of the grid, rule). For other thetas: kv.negative_rows(theta, rule). For sums over many cells: kv.negatives_summary.';
comment on column kv.negatives.cell_key is 'key of the compressed (or noise) cell, hex';
comment on column kv.negatives.baseline_cell_key is 'key of the baseline, hex';
comment on column kv.negatives.compressor is 'method, or methods joined by +; none for a noise cell';
comment on column kv.negatives.label is 'short name of the compressor configuration';
comment on column kv.negatives.batch_size is 'sequences at a time';
comment on column kv.negatives.noise_kind is 'kind of the noise cell; null for a compressed one';
comment on column kv.negatives.dataset is 'data set of the prompt';
comment on column kv.negatives.task_type is 'task type of the prompt, if the data set has any';
comment on column kv.negatives.prompt_key is 'data set and record id of the prompt';
comment on column kv.negatives.replicate is 'number of the replicate';
comment on column kv.negatives.metric is 'name of the metric';
comment on column kv.negatives.variant is 'variant of the metric';
comment on column kv.negatives.theta is 'fraction by which the score has to fall: 0.01, 0.02, 0.04, 0.08, 0.1, 0.16, 0.24, 0.32';
comment on column kv.negatives.rule is 'default, median, mean or artifact';
comment on column kv.negatives.base_score is 'score of the uncompressed answer';
comment on column kv.negatives.score is 'score of the compressed answer';
comment on column kv.negatives.threshold is 'score of the baseline from which a record is eligible';
comment on column kv.negatives.eligible is 'base_score >= threshold (and > 0 under default)';
comment on column kv.negatives.negative is 'eligible, and the score fell by theta or more';
comment on column kv.negatives.mirrored is 'the same with the two runs swapped: what noise alone would give';
comment on column kv.negatives.stable is 'the uncompressed runs agree within theta; null without replicates';
comment on column kv.negatives.robust_negative is 'negative whichever replicates are compared; null without replicates';
comment on column kv.negatives.weight is 'how often the rule counts the record in sums: 2 in passage_count under artifact, else 1';
comment on view kv.negatives_summary is 'One row per (cell, metric, task type, rule, theta of the grid): negatives beside their mirror image. Stored by aggregation; task type empty = all of the cell together. Inert cells are left out.';
comment on column kv.negatives_summary.cell_key is 'key of the compressed (or noise) cell, hex';
comment on column kv.negatives_summary.baseline_cell_key is 'key of the baseline, hex';
comment on column kv.negatives_summary.compressor is 'method, or methods joined by +; none for a noise cell';
comment on column kv.negatives_summary.label is 'short name of the compressor configuration';
comment on column kv.negatives_summary.batch_size is 'sequences at a time';
comment on column kv.negatives_summary.noise_kind is 'kind of the noise cell; null for a compressed one';
comment on column kv.negatives_summary.dataset is 'data set of the prompts';
comment on column kv.negatives_summary.task_type is 'kind of task; empty = all pairs of the cell';
comment on column kv.negatives_summary.metric is 'name of the metric';
comment on column kv.negatives_summary.variant is 'variant of the metric';
comment on column kv.negatives_summary.rule is 'default, median, mean or artifact';
comment on column kv.negatives_summary.theta is 'fraction by which the score has to fall';
comment on column kv.negatives_summary.n is 'scored pairs';
comment on column kv.negatives_summary.eligible is 'pairs whose uncompressed score reaches the threshold';
comment on column kv.negatives_summary.negatives is 'eligible pairs whose score fell by theta or more';
comment on column kv.negatives_summary.mirrored is 'the same with the two runs swapped: what noise alone would give';
comment on column kv.negatives_summary.net is 'negatives - mirrored';
comment on column kv.negatives_summary.p is 'exact two-sided binomial p of negatives among negatives + mirrored, of records counted once';
comment on column kv.negatives_summary.robust is 'pairs that are negative whichever replicates are compared; null without replicates';
comment on column kv.negatives_summary.stable is 'eligible pairs whose uncompressed runs agree within theta; null without replicates';
comment on column kv.negatives_summary.noise_negatives is 'negatives between the baseline and its noise cell; null without one';
comment on column kv.negatives_summary.threshold is 'the baseline''s threshold under the rule';
comment on column kv.negatives_summary.mean_base is 'mean uncompressed score of the negatives';
comment on column kv.negatives_summary.mean_score is 'mean compressed score of the negatives';
comment on column kv.negatives_summary.base_runs is 'uncompressed runs of each prompt';
comment on column kv.negatives_summary.runs is 'compressed runs of each prompt';
comment on view kv.noise_floor is 'One row per (baseline, noise cell): what a length difference means without a compressor. Written by the aggregation of a sweep.';
comment on column kv.noise_floor.baseline_cell_key is 'key of the baseline, hex';
comment on column kv.noise_floor.noise_cell_key is 'key of the noise cell, hex';
comment on column kv.noise_floor.noise_kind is 'what was changed: seed, batch, backend, or rerun (nothing: a check, any difference is a bug)';
comment on column kv.noise_floor.n is 'pairs with a D';
comment on column kv.noise_floor.share_same is 'share of identical answers';
comment on column kv.noise_floor.noise_d95 is '95 % quantile of |D|';
comment on column kv.noise_floor.share_gt50 is 'share of |D| > 0.5';
comment on column kv.noise_floor.share_longer50 is 'share of D <= -0.5';
comment on column kv.noise_floor.share_shorter50 is 'share of D >= 0.5';
comment on column kv.noise_floor.n_missing is 'pairs with an errored or missing side, left out';
comment on column kv.noise_floor.negatives_theta10 is 'negatives at theta 10 %, rule default, over all metrics; null without scores';
comment on column kv.noise_floor.mirrored_theta10 is 'the same with the two runs swapped';
comment on view kv.pairs is 'One row per compressed cell that is done and whose compressor acted, with its baseline. Replicates of compressed cells are left out.';
comment on column kv.pairs.compressor is 'method, or methods joined by +';
comment on column kv.pairs.label is 'short name of the compressor configuration';
comment on column kv.pairs.cell_key is 'key of the compressed cell, hex';
comment on column kv.pairs.baseline_cell_key is 'key of its baseline, null if that is not done';
comment on view kv.perplexity is 'One row per done cell of workload score: perplexity of given continuations, teacher-forced. Inert cells have no delta.';
comment on column kv.perplexity.cell_key is 'key of the cell, hex';
comment on column kv.perplexity.baseline_cell_key is 'key of its baseline, null if that is not done';
comment on column kv.perplexity.n_samples is 'samples scored without an error';
comment on column kv.perplexity.n_tokens is 'tokens scored';
comment on column kv.perplexity.ppl is 'exp of the mean negative log-probability per token';
comment on column kv.perplexity.top1 is 'share of positions where the most probable token is the given one';
comment on column kv.perplexity.base_ppl is 'perplexity of the baseline';
comment on column kv.perplexity.delta is 'ln ppl - ln base_ppl over the prompts that both scored';
comment on column kv.perplexity.delta_lo is 'lower end of its 95 % interval';
comment on column kv.perplexity.delta_hi is 'upper end of its 95 % interval';
comment on column kv.perplexity.compressed is 'false: the compressor acted in no sample (inert); null for none';
comment on view kv.samples is 'One row per sample: one prompt generated (or scored) under one cell.';
comment on column kv.samples.cell_key is 'key of the cell, hex';
comment on column kv.samples.prompt_key is 'data set and record id of the prompt';
comment on column kv.samples.replicate is 'number of the replicate, 0 without sampling';
comment on column kv.samples.seed is 'seed of its random draws';
comment on column kv.samples.prompt_sha is 'sha256 over the token ids of the prompt as little-endian u32, hex';
comment on column kv.samples.prompt_tokens_raw is 'tokens of the prompt before any cut';
comment on column kv.samples.prompt_tokens is 'tokens of the prompt as it was run';
comment on column kv.samples.truncated is 'the prompt was cut in the middle';
comment on column kv.samples.new_tokens is 'length of the answer in tokens, without the end token; for score the tokens scored';
comment on column kv.samples.finish is 'stop = complete; length, context = cut; error';
comment on column kv.samples.stop_id is 'token id that ended the answer; null for a stop string or a cut';
comment on column kv.samples.error_kind is 'kind of error, null if none';
comment on column kv.samples.cap is 'most tokens that the answer could have';
comment on column kv.samples.queue_ms is 'submitted to first prefill launch';
comment on column kv.samples.prefill_ms is 'first prefill launch to first token';
comment on column kv.samples.decode_ms is 'first to last token, the end token included';
comment on column kv.samples.steps is 'decode steps';
comment on column kv.samples.tpot_ms is 'decode time per step';
comment on column kv.samples.kept_mean is 'tokens held in the cache at the end, mean over layers and kv heads';
comment on column kv.samples.kept_min is 'the same, least';
comment on column kv.samples.kept_max is 'the same, most';
comment on column kv.samples.bytes_end is 'bytes of the cache at the end';
comment on column kv.samples.bytes_peak is 'bytes of the cache at its peak';
comment on column kv.samples.bytes_f16 is 'bytes that an uncompressed f16 cache of as many tokens takes';
comment on column kv.samples.text is 'the answer';
comment on column kv.samples.tokens_sha is 'sha256 over the token ids of the answer as little-endian u32, hex';
comment on column kv.samples.token_ids is 'token ids of the answer; for score the most probable id at each position';
comment on column kv.samples.kept_layers is 'tokens held at the end per layer, mean over its kv heads';
comment on column kv.samples.budgets is 'entries that each layer, or each kv head of each layer, was given; null if all have the same';
comment on column kv.samples.bytes_ideal is 'bytes of the payload alone: no page rounding, no side arrays';
comment on column kv.samples.dropped is 'entries dropped, summed over layers and kv heads';
comment on column kv.samples.sealed_k is 'entries whose key was quantised, summed over layers and kv heads';
comment on column kv.samples.sealed_v is 'entries whose value was quantised, summed over layers and kv heads';
comment on column kv.samples.selections is 'selections that dropped something';
comment on column kv.samples.first_drop is 'decode step of the first drop, 0 = at the end of prefill; null if none';
comment on view kv.score_summary is 'One row per (cell, metric): its mean score, and that of its baseline on the same samples. Inert cells are not compared. Replicates of compressed cells are left out.';
comment on column kv.score_summary.cell_key is 'key of the cell, hex';
comment on column kv.score_summary.baseline_cell_key is 'key of its baseline, null if that is not done or the cell is inert';
comment on column kv.score_summary.compressor is 'method, or methods joined by +';
comment on column kv.score_summary.label is 'short name of the compressor configuration';
comment on column kv.score_summary.batch_size is 'sequences at a time';
comment on column kv.score_summary.dataset is 'data set of the prompts';
comment on column kv.score_summary.metric is 'name of the metric';
comment on column kv.score_summary.variant is 'variant of the metric';
comment on column kv.score_summary.n is 'samples with a score';
comment on column kv.score_summary.score is 'mean score';
comment on column kv.score_summary.n_pairs is 'samples that the baseline has a score of too';
comment on column kv.score_summary.base_score is 'mean score of the baseline over those pairs';
comment on column kv.score_summary.delta is 'mean of score - score of the baseline over the pairs';
comment on column kv.score_summary.n_worse is 'pairs with a lower score than the baseline';
comment on column kv.score_summary.n_better is 'pairs with a higher score than the baseline';
comment on column kv.score_summary.compressed is 'false: the compressor acted in no sample (inert); null for none';
comment on column kv.score_summary.noise_kind is 'kind of the noise cell; null for others';
comment on view kv.scores is 'One row per (sample, metric): answers held against their references. Written by the aggregation of a sweep.';
comment on column kv.scores.cell_key is 'key of the cell, hex';
comment on column kv.scores.prompt_key is 'data set and record id of the prompt';
comment on column kv.scores.replicate is 'number of the replicate';
comment on column kv.scores.dataset is 'data set of the prompt';
comment on column kv.scores.task_type is 'kind of task, null if the data set has none';
comment on column kv.scores.metric is 'name of the metric';
comment on column kv.scores.variant is 'variant of the metric, empty if it has one form';
comment on column kv.scores.scorer_version is 'version of the code that computed it';
comment on column kv.scores.score is 'from 0 to 1';
comment on column kv.scores.ref_index is 'index of the reference that won; null if the references are one answer together';
comment on column kv.scores.extra is 'what explains a score, such as {"longPair": true}; mostly null';
comment on view kv.throughput is 'One row per (done cell of workload throughput, phase). Speed-ups are null for inert cells.';
comment on column kv.throughput.cell_key is 'key of the cell, hex';
comment on column kv.throughput.model is 'name of the model';
comment on column kv.throughput.compressor is 'method, or methods joined by +';
comment on column kv.throughput.label is 'short name of the compressor configuration';
comment on column kv.throughput.device is 'name of the GPU or CPU';
comment on column kv.throughput.batch_size is 'sequences at a time';
comment on column kv.throughput.prompt_tokens is 'tokens of each prompt';
comment on column kv.throughput.new_tokens is 'decode steps';
comment on column kv.throughput.phase is 'prefill (to the first token) or decode';
comment on column kv.throughput.repeats is 'timed runs';
comment on column kv.throughput.tok_s is 'tokens per second over all sequences, from the median time';
comment on column kv.throughput.tok_s_q25 is 'from the 75 % quantile of the times: the slow side';
comment on column kv.throughput.tok_s_q75 is 'from the 25 % quantile of the times: the fast side';
comment on column kv.throughput.times_ms is 'all raw times in the order of the runs';
comment on column kv.throughput.noisy is 'interquartile range of the times over 5 % of their median';
comment on column kv.throughput.drift is 'relative change of the first baseline point of the group, timed again at the end; over 0.03 marks all its points';
comment on column kv.throughput.bound_ms is 'least time that the measured memory and arithmetic rates allow';
comment on column kv.throughput.of_bound is 'bound_ms over the median time';
comment on column kv.throughput.base_tok_s is 'tok_s of the baseline at the same batch size';
comment on column kv.throughput.s_same is 'speed-up at the same batch size: tok_s / base_tok_s';
comment on column kv.throughput.max_batch is 'largest batch size of this configuration within the same memory: what its search found, else the largest that is done';
comment on column kv.throughput.tok_s_at_max is 'tok_s there';
comment on column kv.throughput.base_max_batch is 'the same of the uncompressed model';
comment on column kv.throughput.base_tok_s_at_max is 'its tok_s there';
comment on column kv.throughput.s_max is 'speed-up of own maxima: tok_s_at_max / base_tok_s_at_max';
comment on column kv.throughput.kept_mean is 'tokens held per sequence, mean over layers and kv heads';
comment on column kv.throughput.bytes_end is 'bytes of all caches at the end';
comment on column kv.throughput.bytes_peak is 'peak bytes of the engine';
comment on column kv.throughput.compressed is 'false: the compressor did not act; null for none';
comment on column kv.throughput.searched is 'true: the batch size is the largest that fitted, found by a search';
comment on column kv.throughput.cache_memory is 'bytes of cache and workspace that the engine was allowed; null = what the engine chose';

-- The read-only role

alter role kv_reader set default_transaction_read_only=on;
alter role kv_reader set idle_in_transaction_session_timeout=1min;
alter role kv_reader set lock_timeout=5s;
alter role kv_reader set search_path=kv;
alter role kv_reader set statement_timeout=10min;
alter role kv_reader set temp_file_limit=2GB;
alter role kv_reader set transaction_timeout=11min;
grant select on kv.calibrations to kv_reader;
grant select on kv.cells to kv_reader;
grant select on kv.e2e_latency to kv_reader;
grant select on kv.e2e_latency_at_max to kv_reader;
grant select on kv.e2e_latency_summary to kv_reader;
grant select on kv.estimates to kv_reader;
grant select on kv.kept to kv_reader;
grant select on kv.length_shift to kv_reader;
grant select on kv.length_shift_summary to kv_reader;
grant select on kv.negative_pairs to kv_reader;
grant select on kv.negative_sets to kv_reader;
grant select on kv.negatives to kv_reader;
grant select on kv.negatives_summary to kv_reader;
grant select on kv.noise_floor to kv_reader;
grant select on kv.pairs to kv_reader;
grant select on kv.perplexity to kv_reader;
grant select on kv.samples to kv_reader;
grant select on kv.score_summary to kv_reader;
grant select on kv.scores to kv_reader;
grant select on kv.throughput to kv_reader;
revoke execute on function lo_creat(integer) from public;
revoke execute on function lo_create(oid) from public;
revoke execute on function lo_from_bytea(oid,bytea) from public;
revoke execute on function lo_put(oid,bigint,bytea) from public;
revoke execute on function lo_truncate(integer,integer) from public;
revoke execute on function lo_truncate64(integer,bigint) from public;
revoke execute on function lo_unlink(oid) from public;
revoke execute on function lowrite(integer,bytea) from public;
revoke execute on function pg_advisory_lock(bigint) from public;
revoke execute on function pg_advisory_lock(integer,integer) from public;
revoke execute on function pg_advisory_lock_shared(bigint) from public;
revoke execute on function pg_advisory_lock_shared(integer,integer) from public;
revoke execute on function pg_advisory_unlock(bigint) from public;
revoke execute on function pg_advisory_unlock(integer,integer) from public;
revoke execute on function pg_advisory_unlock_all() from public;
revoke execute on function pg_advisory_unlock_shared(bigint) from public;
revoke execute on function pg_advisory_unlock_shared(integer,integer) from public;
revoke execute on function pg_advisory_xact_lock(bigint) from public;
revoke execute on function pg_advisory_xact_lock(integer,integer) from public;
revoke execute on function pg_advisory_xact_lock_shared(bigint) from public;
revoke execute on function pg_advisory_xact_lock_shared(integer,integer) from public;
revoke execute on function pg_cancel_backend(integer) from public;
revoke execute on function pg_logical_emit_message(boolean,text,bytea,boolean) from public;
revoke execute on function pg_logical_emit_message(boolean,text,text,boolean) from public;
revoke execute on function pg_notify(text,text) from public;
revoke execute on function pg_terminate_backend(integer,bigint) from public;
revoke execute on function pg_try_advisory_lock(bigint) from public;
revoke execute on function pg_try_advisory_lock(integer,integer) from public;
revoke execute on function pg_try_advisory_lock_shared(bigint) from public;
revoke execute on function pg_try_advisory_lock_shared(integer,integer) from public;
revoke execute on function pg_try_advisory_xact_lock(bigint) from public;
revoke execute on function pg_try_advisory_xact_lock(integer,integer) from public;
revoke execute on function pg_try_advisory_xact_lock_shared(bigint) from public;
revoke execute on function pg_try_advisory_xact_lock_shared(integer,integer) from public;
revoke execute on function set_config(text,text,boolean) from public;
