/** What a report reads: mostly the views of schema `kv`, keyed by cell keys in hex. */
import { type Db, query } from '../activities/database.ts';
import type { JsonObject } from '../workflows/contracts.ts';

export interface CellLine {
  cell_no: number;
  cell_key: string;
  status: string;
  model: string;
  /** Null for imported scores, as are backend, effective parameters and all that only a run has. */
  model_sha: string | null;
  workload: JsonObject;
  dataset: string | null;
  kind: 'generate' | 'throughput' | 'score' | 'import';
  requested: JsonObject;
  effective: JsonObject | null;
  derived: JsonObject;
  label: string;
  compressor: string;
  batch_size: number | null;
  asked_batch: number | null;
  invariant: boolean | null;
  scheduler: string | null;
  backend: string | null;
  baseline_cell_key: string | null;
  is_baseline: boolean;
  noise_kind: string | null;
  noise_no: number | null;
  stop_ids: number[] | null;
  engine: string | null;
  build: string | null;
  numerics: string | null;
  host: string | null;
  device: string | null;
  host_facts: JsonObject | null;
  measured: JsonObject | null;
  compressed: boolean | null;
  reused_from: string | null;
  prompt_set: string | null;
  n_prompts: number;
  seed: number;
}

export async function cellLines(db: Db, sweepId: string): Promise<CellLine[]> {
  return await query(
    db,
    `select v.cell_no, v.cell_key, v.status, v.model, v.model_sha, v.workload, v.dataset, v.kind, v.requested, v.effective,
            c.derived, v.label, v.compressor, v.batch_size, c.batch as asked_batch, v.invariant, v.scheduler, v.backend,
            v.baseline_cell_key, v.is_baseline, v.noise_kind, c.noise_no, v.stop_ids, v.engine,
            r.provenance ->> 'build' as build, v.numerics, v.host, v.device, r.provenance -> 'host' as host_facts,
            r.provenance -> 'measured' as measured, v.compressed, v.reused_from, encode(c.prompt_set, 'hex') as prompt_set,
            (c.run ->> 'n_prompts')::int as n_prompts, (c.run ->> 'seed')::bigint as seed
       from kv.cells v
       join sweep s on s.id = v.sweep
       join cell c on c.sweep_no = s.sweep_no and c.cell_no = v.cell_no
       left join newest_run r on r.key = c.key
      where v.sweep = $1
      order by v.cell_no`,
    [sweepId],
  );
}

export interface ShiftLine {
  cell_key: string;
  prompt_key: string;
  replicate: number;
  l_base: number;
  l_comp: number;
  d: number | null;
  d_lo: number | null;
  d_hi: number | null;
  censor: 'none' | 'comp' | 'base' | 'both';
  same: boolean;
  first_diff: number | null;
  stop_missed: boolean;
  stop_early: boolean;
  beyond_noise: boolean | null;
}

export async function shiftLines(db: Db, keys: readonly string[]): Promise<ShiftLine[]> {
  return await query(
    db,
    `select cell_key, prompt_key, replicate, l_base, l_comp, d, d_lo, d_hi, censor, same, first_diff, stop_missed,
            stop_early, beyond_noise
       from kv.length_shift
      where cell_key = any($1)
      order by cell_key, prompt_key collate "C", replicate`,
    [keys],
  );
}

export interface TimeLine {
  cell_key: string;
  prompt_key: string;
  replicate: number;
  time_ratio: number;
}

export async function timeLines(db: Db, keys: readonly string[]): Promise<TimeLine[]> {
  return await query(
    db,
    `select cell_key, prompt_key, replicate, time_ratio
       from kv.e2e_latency
      where cell_key = any($1) and time_ratio is not null
      order by cell_key, prompt_key collate "C", replicate`,
    [keys],
  );
}

export interface LargestLine {
  cell_key: string;
  label: string;
  answers_batch_size: number;
  cache_memory: number | null;
  own_batch_size: number;
  base_batch_size: number;
  y_answers_longer: number;
  mod_x_tokens_faster: number;
  mod_service_ratio: number;
  mod_share_slower: number;
  mod_requests_faster: number;
}

/** Only where all is known: a cell without decode steps has no rate. */
export async function largestLines(db: Db, keys: readonly string[]): Promise<LargestLine[]> {
  if (keys.length === 0) return [];
  return await query(
    db,
    `select cell_key, label, answers_batch_size, cache_memory::float8 as cache_memory, own_batch_size, base_batch_size,
            y_answers_longer, mod_x_tokens_faster, mod_service_ratio, mod_share_slower, mod_requests_faster
       from kv.e2e_latency_at_max
      where cell_key = any($1) and num_nulls(y_answers_longer, mod_x_tokens_faster, mod_service_ratio) = 0
      order by array_position($1, cell_key), cache_memory nulls first`,
    [keys],
  );
}

export interface EstimateLine {
  cell_key: string;
  statistic: string;
  value: number | null;
  lo: number | null;
  hi: number | null;
  p: number | null;
  seed: number | null;
  n_clusters: number | null;
  b: number | null;
  version: string;
}

export async function estimateLines(db: Db, keys: readonly string[]): Promise<EstimateLine[]> {
  return await query(
    db,
    `select cell_key, statistic, value, lo, hi, p, n_clusters, seed, b, version
       from kv.estimates
      where cell_key = any($1)`,
    [keys],
  );
}

export interface CacheLine {
  cell_key: string;
  seen_mean: number;
  kept_mean: number;
  bytes_end_mean: number;
  of_f16: number;
  /** 8 * bytes_end / elements still held; bytes_f16 = seen x elements per token x 2 bytes. */
  bits_per_element: number;
}

export async function cacheLines(db: Db, keys: readonly string[]): Promise<CacheLine[]> {
  return await query(
    db,
    `select encode(r.key, 'hex') as cell_key, avg(s.seen)::float8 as seen_mean, avg(s.kept_mean)::float8 as kept_mean,
            avg(s.bytes_end)::float8 as bytes_end_mean, (sum(s.bytes_end) / sum(s.bytes_f16))::float8 as of_f16,
            (8 * sum(s.bytes_end))::float8 / nullif(sum(s.kept_mean * s.bytes_f16 / 2 / s.seen), 0)::float8 as bits_per_element
       from newest_run r
       join sample s using (sweep_no, cell_no)
      where r.key in (select decode(k, 'hex') from unnest($1::text[]) as k)
        and s.finish <> 3 and s.seen > 0 and s.bytes_f16 > 0 and s.bytes_end is not null and s.kept_mean is not null
      group by r.key`,
    [keys],
  );
}

export interface MemoryLine {
  cell_key: string;
  bytes_end: number;
  bytes_f16: number;
  bytes_ideal: number | null;
}

/** Sums over the samples that tell both. */
export async function memoryLines(db: Db, keys: readonly string[]): Promise<MemoryLine[]> {
  return await query(
    db,
    `select encode(r.key, 'hex') as cell_key, sum(s.bytes_end)::float8 as bytes_end, sum(s.bytes_f16)::float8 as bytes_f16,
            case when count(s.extra ->> 'bytes_ideal') = count(*) then sum((s.extra ->> 'bytes_ideal')::float8) end as bytes_ideal
       from newest_run r
       join sample s using (sweep_no, cell_no)
      where r.key in (select decode(k, 'hex') from unnest($1::text[]) as k)
        and s.finish <> 3 and s.bytes_end is not null and s.bytes_f16 > 0
      group by r.key`,
    [keys],
  );
}

export interface LongestLine {
  cell_key: string;
  samples: number;
  longest: number | null;
}

export async function longestLines(db: Db, keys: readonly string[]): Promise<LongestLine[]> {
  return await query(
    db,
    `select encode(r.key, 'hex') as cell_key, count(*)::int as samples, max(s.seen) as longest
       from newest_run r
       join sample s using (sweep_no, cell_no)
      where r.key in (select decode(k, 'hex') from unnest($1::text[]) as k)
      group by r.key`,
    [keys],
  );
}

export interface ScoreLine {
  cell_key: string;
  metric: string;
  n: number;
  score: number;
  delta: number | null;
  n_worse: number | null;
  n_better: number | null;
}

export async function scoreLines(db: Db, keys: readonly string[]): Promise<ScoreLine[]> {
  return await query(
    db,
    `select cell_key, metric, n, score, delta, n_worse, n_better
       from kv.score_summary
      where cell_key = any($1)
      order by cell_key, metric`,
    [keys],
  );
}

export interface TextLine {
  cell_key: string;
  prompt_key: string;
  replicate: number;
  text: string | null;
  new_tokens: number;
  finish: string;
  service_ms: number | null;
}

/** Answers of the given (cell, prompt, replicate) triples. */
export async function textLines(
  db: Db,
  wanted: readonly { cellKey: string; promptKey: string; replicate: number }[],
): Promise<TextLine[]> {
  return await query(
    db,
    `select s.cell_key, s.prompt_key, s.replicate, s.text, s.new_tokens, s.finish, s.prefill_ms + s.decode_ms as service_ms
       from kv.samples s
      where s.cell_key = any($1) and (s.cell_key, s.prompt_key, s.replicate) in (
            select * from unnest($1::text[], $2::text[], $3::int[]))`,
    [wanted.map((w) => w.cellKey), wanted.map((w) => w.promptKey), wanted.map((w) => w.replicate)],
  );
}

export interface PromptLine {
  key: string;
  prompt: string | null;
  messages: { role: string; content: string }[] | null;
  references: string[] | null;
}

export async function promptLines(db: Db, promptSet: string, keys: readonly string[]): Promise<PromptLine[]> {
  return await query(
    db,
    `select key, prompt, messages, answers as "references" from prompt where prompt_set = decode($1, 'hex') and key = any($2)`,
    [promptSet, keys],
  );
}

export interface RateLine {
  cell_key: string;
  batch_size: number;
  prompt_tokens: number;
  new_tokens: number;
  phase: 'prefill' | 'decode';
  repeats: number;
  tok_s: number;
  tok_s_q25: number;
  tok_s_q75: number;
  noisy: boolean;
  drift: number | null;
  bound_ms: number | null;
  of_bound: number | null;
  s_max: number | null;
  max_batch: number | null;
  base_max_batch: number | null;
  cache_memory: number | null;
  s_same: number | null;
  bytes_end: number | null;
}

export async function rateLines(db: Db, keys: readonly string[]): Promise<RateLine[]> {
  return await query(
    db,
    `select cell_key, batch_size, prompt_tokens, new_tokens, phase, repeats, tok_s, tok_s_q25, tok_s_q75, noisy, drift,
            bound_ms, of_bound, s_max, max_batch, base_max_batch, cache_memory::float8 as cache_memory, s_same, bytes_end
       from kv.throughput
      where cell_key = any($1)`,
    [keys],
  );
}

export interface PerplexityLine {
  cell_key: string;
  n_tokens: number;
  ppl: number;
  top1: number;
  delta: number | null;
  delta_lo: number | null;
  delta_hi: number | null;
}

export async function perplexityLines(db: Db, keys: readonly string[]): Promise<PerplexityLine[]> {
  return await query(
    db,
    'select cell_key, n_tokens, ppl, top1, delta, delta_lo, delta_hi from kv.perplexity where cell_key = any($1)',
    [keys],
  );
}

export async function modelMeta(
  db: Db,
  shas: readonly string[],
): Promise<{ sha: string; name: string; meta: JsonObject }[]> {
  return await query(
    db,
    `select encode(sha, 'hex') as sha, name, meta from model where encode(sha, 'hex') = any($1) order by name`,
    [shas],
  );
}

export async function promptSetMeta(
  db: Db,
  shas: readonly string[],
): Promise<{ sha: string; dataset: string; size: number; meta: JsonObject }[]> {
  return await query(
    db,
    `select encode(sha, 'hex') as sha, dataset, size, meta from prompt_set where encode(sha, 'hex') = any($1) order by dataset`,
    [shas],
  );
}
