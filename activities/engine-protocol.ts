/**
 * Protocol 1 of `gpu-runner`, as TypeScript sees it: what may be sent, and the schema of each event. Unknown fields
 * of an event are ignored (but kept inside `kv`, which is stored as it came); an unknown event is a broken engine.
 */
import { z } from 'zod';
import type { EngineWorkload, JsonObject } from '../workflows/contracts.ts';

/** One JSON object per line, at most so long, in both directions. */
export const MAX_LINE_BYTES = 8 * 1024 * 1024;
export const PROTOCOL = 1;

export interface SampleItem {
  sample: string;
  replicate: number;
  seed: number;
  prompt?: string;
  messages?: { role: string; content: string }[];
  tokens?: number[];
  continuation?: string | number[];
  max_new_tokens?: number;
}

export interface LoadRequest {
  op: 'load';
  id: string;
  model: { path: string; sha256: string };
  backend: 'cpu' | 'cuda';
  threads?: number;
  /** Bytes that KV pages and workspace may take; four fifths of the free memory without it. */
  memory_limit?: number;
  chat_template?: string;
}

export interface CellRequest {
  op: 'cell';
  cell: string;
  compressor: JsonObject;
  batch: number | 'max';
  scheduler: 'static' | 'continuous';
  invariant: boolean;
  invariant_rows?: number;
  workload: EngineWorkload;
  /** sha256 -> local file, for a compressor that names an artefact. */
  artefacts?: Record<string, string>;
}

export interface CalibrateRequest {
  op: 'calibrate';
  id: string;
  compressor: JsonObject;
  tokens: number[][];
  /** Where the artefact goes. */
  out: string;
}

export type EngineRequest =
  | LoadRequest
  | CellRequest
  | CalibrateRequest
  | { op: 'samples'; cell: string; items: SampleItem[] }
  | { op: 'start' | 'cancel'; cell: string }
  | { op: 'ping'; id: string }
  | { op: 'shutdown' };

const n = z.int().nonnegative();
const count = z.int().nonnegative();
const seconds = z.number();
const json = z.custom<JsonObject>((v) => typeof v === 'object' && v !== null && !Array.isArray(v));
/** `kv` of engine 3.2; kept whole, the named fields are those that columns are made of. */
const kv = z.looseObject({
  seen: count,
  kept_mean: z.number().optional(),
  bytes_end: z.number().optional(),
  bytes_peak: z.number().optional(),
});
const sampleError = z.object({ kind: z.string(), message: z.string() });

const hello = z.object({
  event: z.literal('hello'),
  n,
  protocol: z.int(),
  engine: z.string(),
  build: z.string(),
  numerics: z.record(z.string(), z.string()),
  pid: z.int(),
});
const loaded = z.object({
  event: z.literal('loaded'),
  n,
  id: z.string(),
  backend: z.string(),
  device: json,
  model: json,
  weights: json.optional(),
  t_load: seconds.optional(),
  measured: json.nullish(),
});
const planned = z.object({
  event: z.literal('planned'),
  n,
  cell: z.string(),
  requested: json.optional(),
  effective: json,
  derived: json.optional(),
  batch: z.union([z.int(), z.literal('max')]).nullish(),
  scheduler: z.string().optional(),
  invariant: z.boolean().optional(),
  numerics: z.string().optional(),
  stop_ids: z.array(z.int()).optional(),
  page: json.nullish(),
  memory: json.nullish(),
  samples: count.nullish(),
});
const progress = z.object({
  event: z.literal('progress'),
  n,
  cell: z.string().nullish(),
  phase: z.string(),
  done: count,
  total: count,
  tokens: count,
});
const sample = z.object({
  event: z.literal('sample'),
  n,
  cell: z.string(),
  sample: z.string(),
  replicate: count,
  seed: z.number(),
  n_prompt_raw: count.nullish(),
  n_prompt: count.nullish(),
  truncated: z.boolean().nullish(),
  prompt_sha: z.string().nullish(),
  n_out: count,
  finish_reason: z.enum(['stop', 'length', 'context', 'error']),
  stop_id: z.int().nullish(),
  stop_string: z.string().nullish(),
  text: z.string(),
  token_ids: z.array(z.int()),
  output_sha: z.string(),
  t_submit: seconds.nullish(),
  t_admit: seconds.nullish(),
  t_first: seconds.nullish(),
  t_last: seconds.nullish(),
  us_steps: z.array(z.number()).nullish(),
  kv: kv.nullish(),
  error: sampleError.nullish(),
});
const scored = z.object({
  event: z.literal('scored'),
  n,
  cell: z.string(),
  sample: z.string(),
  replicate: count,
  seed: z.number(),
  n_prompt: count.nullish(),
  n_scored: count,
  logprobs: z.array(z.number()),
  argmax: z.array(z.int()),
  top_ids: z.array(z.array(z.int())).nullish(),
  top_logprobs: z.array(z.array(z.number())).nullish(),
  kv: kv.nullish(),
  error: sampleError.nullish(),
});
const throughput = z.object({
  event: z.literal('throughput'),
  n,
  cell: z.string(),
  repeat: count,
  phase: z.enum(['prefill', 'decode']),
  batch: count,
  prompt_tokens: count,
  steps: count.nullish(),
  tokens: count,
  seconds,
  tokens_s: z.number(),
  bytes_step: z.number().nullish(),
  bound_s: z.number().nullish(),
  of_bound: z.number().nullish(),
  us_step: json.nullish(),
  peak_bytes: z.number().nullish(),
  clock_mhz: z.number().nullish(),
  kv: z.looseObject({}).nullish(),
});
const probe = z.object({
  event: z.literal('probe'),
  n,
  cell: z.string(),
  batch: count,
  fits: z.boolean(),
  kind: z.string().nullish(),
});
const kept = z.object({
  event: z.literal('kept'),
  n,
  cell: z.string(),
  sample: z.string(),
  replicate: count,
  seen: count,
  layers: count,
  kv_heads: count,
  bitmap: z.base64(),
});
const finished = z.object({
  event: z.literal('finished'),
  n,
  cell: z.string(),
  samples: count.nullish(),
  tokens: count.nullish(),
  seconds: seconds.nullish(),
  peak_bytes: z.number().nullish(),
  inert: z.boolean().nullish(),
  max_batch: count.nullish(),
});
const failed = z.object({
  event: z.literal('failed'),
  n,
  cell: z.string().nullish(),
  id: z.string().nullish(),
  kind: z.string(),
  code: z.string().nullish(),
  where: z.string().nullish(),
  message: z.string(),
  usable: z.boolean(),
});
const cancelled = z.object({ event: z.literal('cancelled'), n, cell: z.string(), samples: count.nullish() });
const encoded = z.object({ event: z.literal('encoded'), n, id: z.string(), ids: z.array(z.array(z.int())) });
const calibrated = z.object({
  event: z.literal('calibrated'),
  n,
  id: z.string(),
  sha256: z.string(),
  path: z.string(),
  bytes: count,
});
const pong = z.object({ event: z.literal('pong'), n, id: z.string(), state: z.string() });
const bye = z.object({ event: z.literal('bye'), n, code: z.int() });

export const engineEvent = z.discriminatedUnion('event', [
  hello,
  loaded,
  planned,
  progress,
  sample,
  scored,
  throughput,
  probe,
  kept,
  finished,
  failed,
  cancelled,
  encoded,
  calibrated,
  pong,
  bye,
]);

export type EngineEvent = z.infer<typeof engineEvent>;
export type EventOf<Name extends EngineEvent['event']> = Extract<EngineEvent, { event: Name }>;

/** Parses one line; the error is a sentence that says what was wrong with it. */
export function parseEvent(line: string): EngineEvent {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new Error(`the engine wrote a line that is not JSON: ${excerpt(line)}`);
  }
  const result = engineEvent.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const where = issue?.path.join('.') || 'event';
  throw new Error(
    `the engine wrote an event outside of protocol ${PROTOCOL} (${where}: ${issue?.message}): ${excerpt(line)}`,
  );
}

function excerpt(line: string): string {
  return JSON.stringify(line.length > 120 ? `${line.slice(0, 120)}…` : line);
}
