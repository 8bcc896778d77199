/** From the engine's events to the ledger's rows. Seconds become integer microseconds here, rounded to the nearest. */
import { createHash } from 'node:crypto';
import type { JsonObject } from '../workflows/contracts.ts';
import type { CellPrompt, CellRecord } from './cells.ts';
import type { EventOf } from './engine-protocol.ts';
import { EngineFault } from './failures.ts';
import type {
  CellSummary,
  CommitInput,
  KeptRow,
  OutputRow,
  ProbeRow,
  SampleRow,
  ThroughputRow,
} from './ledger/types.ts';

type CellRows = Pick<CommitInput, 'effective' | 'summary' | 'samples' | 'outputs' | 'kept' | 'throughput' | 'probes'>;

/** All that one transaction writes for a finished cell, but for its lease and provenance. */
export function cellRows(record: CellRecord, prompts: readonly CellPrompt[], numerics: string): CellRows {
  const indexOf = new Map(prompts.map((prompt) => [prompt.key, prompt.sampleIdx]));
  const outputs = new Map<string, OutputRow>();
  const keep = (bytes: Uint8Array) => {
    const sha = createHash('sha256').update(bytes).digest('hex');
    if (!outputs.has(sha)) outputs.set(sha, { sha, bytes });
    return sha;
  };
  return {
    effective: record.planned.effective,
    summary: summaryOf(record, numerics),
    samples: record.samples.map((event) => {
      const sampleIdx = indexOf.get(event.sample)!;
      return event.event === 'sample' ? generatedRow(event, sampleIdx, keep) : scoredRow(event, sampleIdx, keep);
    }),
    outputs: [...outputs.values()],
    kept: record.kept.map((event) => keptRow(event, indexOf.get(event.sample)!)),
    throughput: record.throughput.map((event) => throughputRow(event, false)),
    probes: record.probes.map(
      (event): ProbeRow => ({ batch: event.batch, fits: event.fits, errorKind: event.kind ?? null }),
    ),
  };
}

/** Token ids as the engine hashes them: little-endian u32. */
export function tokenBytes(ids: readonly number[]): Uint8Array {
  const bytes = Buffer.alloc(ids.length * 4);
  for (const [i, id] of ids.entries()) bytes.writeUInt32LE(id, i * 4);
  return bytes;
}

function generatedRow(event: EventOf<'sample'>, sampleIdx: number, keep: (bytes: Uint8Array) => string): SampleRow {
  const failed = event.finish_reason === 'error';
  const outSha = failed ? null : keep(tokenBytes(event.token_ids));
  if (outSha !== null && outSha !== event.output_sha) {
    throw new EngineFault('protocol', `the engine's output_sha of sample ${event.sample} is not that of its token ids`);
  }
  const { columns, rest } = kvColumns(event.kv);
  return {
    sampleIdx,
    rep: event.replicate,
    seed: event.seed,
    finish: event.finish_reason,
    truncated: event.truncated ?? false,
    promptTokensRaw: event.n_prompt_raw ?? null,
    promptTokens: event.n_prompt ?? null,
    newTokens: failed ? null : event.n_out,
    stopId: event.stop_id ?? null,
    ...columns,
    queueUs: microseconds(event.t_submit, event.t_admit),
    prefillUs: microseconds(event.t_admit, event.t_first),
    decodeUs: microseconds(event.t_first, event.t_last),
    promptSha: event.prompt_sha ?? null,
    outSha,
    textSha: failed ? null : keep(Buffer.from(event.text, 'utf8')),
    errorKind: failed ? (event.error?.kind ?? 'internal') : null,
    extra: extraOf(rest, {
      stop_string: event.stop_string,
      us_steps: event.us_steps,
      error_message: event.error?.message,
    }),
  };
}

function scoredRow(event: EventOf<'scored'>, sampleIdx: number, keep: (bytes: Uint8Array) => string): SampleRow {
  const { columns, rest } = kvColumns(event.kv);
  const failed = event.error != null;
  return {
    sampleIdx,
    rep: event.replicate,
    seed: event.seed,
    finish: failed ? 'error' : 'length',
    truncated: false,
    promptTokensRaw: null,
    promptTokens: event.n_prompt ?? null,
    newTokens: failed ? null : event.n_scored,
    stopId: null,
    ...columns,
    queueUs: null,
    prefillUs: null,
    decodeUs: null,
    promptSha: null,
    outSha: failed ? null : keep(tokenBytes(event.argmax)),
    textSha: null,
    errorKind: event.error?.kind ?? null,
    extra: extraOf(rest, {
      logprob_sum: event.logprobs.reduce((sum, value) => sum + value, 0),
      n_match: matches(event),
      error_message: event.error?.message,
    }),
  };
}

/**
 * Positions where the given token is the most likely one: there its log-probability is that of the best. Null if the
 * engine was not asked for the best ones (`top_k` 0).
 */
function matches(event: EventOf<'scored'>): number | null {
  const top = event.top_logprobs;
  if (!top || top.length !== event.logprobs.length) return null;
  return event.logprobs.filter((value, i) => value === top[i]?.[0]).length;
}

function keptRow(event: EventOf<'kept'>, sampleIdx: number): KeptRow {
  return {
    sampleIdx,
    rep: event.replicate,
    seen: event.seen,
    layers: event.layers,
    kvHeads: event.kv_heads,
    bitmap: Buffer.from(event.bitmap, 'base64'),
  };
}

/** `guard`: the second timing of a group's first baseline point, which serves `drift` only. */
export function throughputRow(event: EventOf<'throughput'>, guard: boolean): ThroughputRow {
  const kv = event.kv as { bytes_end?: number; kept_mean?: number } | null | undefined;
  return {
    phase: event.phase,
    repeat: event.repeat,
    guard,
    batch: event.batch,
    promptTokens: event.prompt_tokens,
    steps: event.steps ?? 0,
    tokens: event.tokens,
    seconds: event.seconds,
    bytesStep: event.bytes_step ?? null,
    boundS: event.bound_s ?? null,
    peakBytes: event.peak_bytes ?? null,
    bytesEnd: kv?.bytes_end ?? null,
    keptMean: kv?.kept_mean ?? null,
    clockMhz: event.clock_mhz ?? null,
    usStep: event.us_step ?? null,
  };
}

function summaryOf({ planned, finished }: CellRecord, numerics: string): CellSummary {
  const batch = finished.max_batch ?? planned.batch;
  return {
    tokens: finished.tokens ?? 0,
    seconds: finished.seconds ?? 0,
    inert: finished.inert ?? false,
    peak_bytes: finished.peak_bytes ?? null,
    batch: typeof batch === 'number' ? batch : null,
    max_batch: finished.max_batch ?? null,
    numerics: planned.numerics ?? numerics,
    stop_ids: planned.stop_ids ?? [],
    page: planned.page ?? null,
    memory: planned.memory ?? null,
    derived: planned.derived ?? {},
  };
}

const KV_COLUMNS = {
  seen: 'seen',
  kept_min: 'keptMin',
  kept_max: 'keptMax',
  kept_mean: 'keptMean',
  bytes_end: 'bytesEnd',
  bytes_peak: 'bytesPeak',
  bytes_f16: 'bytesF16',
} as const;
type KvColumn = (typeof KV_COLUMNS)[keyof typeof KV_COLUMNS];

function kvColumns(kv: Record<string, unknown> | null | undefined): {
  columns: Record<KvColumn, number | null>;
  rest: Record<string, unknown>;
} {
  const columns = Object.fromEntries(Object.values(KV_COLUMNS).map((c) => [c, null])) as Record<
    KvColumn,
    number | null
  >;
  const rest: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(kv ?? {})) {
    if (name in KV_COLUMNS) columns[KV_COLUMNS[name as keyof typeof KV_COLUMNS]] = value as number;
    else rest[name] = value;
  }
  return { columns, rest };
}

function extraOf(...parts: Record<string, unknown>[]): JsonObject | null {
  const entries = parts
    .flatMap((part) => Object.entries(part))
    .filter(([, value]) => value !== null && value !== undefined);
  return entries.length === 0 ? null : (Object.fromEntries(entries) as JsonObject);
}

function microseconds(from: number | null | undefined, to: number | null | undefined): number | null {
  return from == null || to == null ? null : Math.round((to - from) * 1e6);
}
