/** Runs one cell on a loaded engine and collects what it measured. Knows the protocol, not the database. */
import { createHash } from 'node:crypto';
import type { CellRun, JsonObject } from '../workflows/contracts.ts';
import type { EngineProcess } from './engine-process.ts';
import type { EngineEvent, EngineRequest, EventOf, SampleItem } from './engine-protocol.ts';
import { EngineFault } from './failures.ts';

/** A prompt as the ledger hands it out; `sampleIdx` is its index in the prompt set. */
export interface CellPrompt {
  sampleIdx: number;
  key: string;
  prompt?: string | null;
  messages?: { role: string; content: string }[] | null;
  tokens?: number[] | null;
  continuation?: string | null;
  maxNewTokens?: number | null;
  /** `continuation_tokens`: the continuation as token ids, which then are what is scored. */
  meta?: JsonObject | null;
}

/** All events of one finished cell, in the order of their arrival. */
export interface CellRecord {
  planned: EventOf<'planned'>;
  finished: EventOf<'finished'>;
  samples: (EventOf<'sample'> | EventOf<'scored'>)[];
  kept: EventOf<'kept'>[];
  throughput: EventOf<'throughput'>[];
  probes: EventOf<'probe'>[];
}

/**
 * A cell is buffered here until its commit, because it is written in one transaction. This bounds it: 100,000
 * samples of 500 tokens are 400 MB.
 */
export const CELL_BYTES = 512 * 1024 * 1024;

/** Items of one `samples` line: well under the line limit, so that one long prompt more still fits. */
const ITEM_LINE_BYTES = 2 * 1024 * 1024;

export interface CellOptions {
  /** The engine's id of the cell: the cell key, so that a saved request can be replayed. */
  id: string;
  run: CellRun;
  /** The first `run.n_prompts` prompts of the set; empty for `throughput`. */
  prompts: readonly CellPrompt[];
  /** sha256 -> local file of each artefact that `run` names. */
  artefacts?: Record<string, string>;
  stallMs: number;
  timeoutMs: number;
  signal: AbortSignal;
  onEvent: (event: EngineEvent) => void;
}

/** The seed of a sample: 48 bits, so that it is exact as a JSON number. */
export function sampleSeed(seed: number, promptKey: string, replicate: number): number {
  const digest = createHash('sha256').update(`kvsweep-seed-1|${seed}|${promptKey}|${replicate}`).digest('hex');
  return Number.parseInt(digest.slice(0, 12), 16);
}

/** The items of a cell, replicate by replicate within each prompt. */
export function sampleItems(run: CellRun, prompts: readonly CellPrompt[]): SampleItem[] {
  return prompts.flatMap((prompt) =>
    Array.from({ length: run.replicates }, (_, replicate): SampleItem => {
      const item: SampleItem = { sample: prompt.key, replicate, seed: sampleSeed(run.seed, prompt.key, replicate) };
      if (prompt.tokens) item.tokens = prompt.tokens;
      else if (prompt.messages) item.messages = prompt.messages;
      else item.prompt = prompt.prompt ?? '';
      const continuation = (prompt.meta?.continuation_tokens as number[] | undefined) ?? prompt.continuation;
      if ('score' in run.workload && continuation != null) item.continuation = continuation;
      if ('generate' in run.workload && prompt.maxNewTokens != null) item.max_new_tokens = prompt.maxNewTokens;
      return item;
    }),
  );
}

/** Sends the cell and reads until it has finished; every failure is an {@link EngineFault}. */
export async function runCell(engine: EngineProcess, options: CellOptions): Promise<CellRecord> {
  const { id, run } = options;
  const items = sampleItems(run, options.prompts);
  const cell: EngineRequest = {
    op: 'cell',
    cell: id,
    compressor: run.compressor,
    batch: run.batch,
    scheduler: run.scheduler,
    invariant: run.invariant,
    invariant_rows: run.invariant_rows,
    workload: run.workload,
    ...(options.artefacts ? { artefacts: options.artefacts } : {}),
  };
  const [first, ...rest] = [...chunked(items)].map((part): EngineRequest => ({ op: 'samples', cell: id, items: part }));
  const start: EngineRequest = { op: 'start', cell: id };
  // A small cell is one write; of a large one each part waits until the engine has taken the one before.
  if (rest.length === 0) await engine.send(cell, ...(first ? [first] : []), start);
  else for (const request of [cell, first!, ...rest, start]) await engine.send(request);

  const record: Omit<CellRecord, 'planned' | 'finished'> = { samples: [], kept: [], throughput: [], probes: [] };
  const due = new Set(items.map((item) => `${item.replicate}|${item.sample}`));
  const endAt = performance.now() + options.timeoutMs;
  let planned: EventOf<'planned'> | null = null;
  let bytes = 0;
  const broken = (message: string) => new EngineFault('protocol', message, { tail: engine.stderrTail() });

  for (;;) {
    const event = await nextEvent(engine, options, endAt);
    options.onEvent(event);
    bytes += weight(event);
    if (bytes > CELL_BYTES) {
      throw new EngineFault(
        'too_large',
        `the cell wrote more than ${CELL_BYTES} bytes of results; split its prompts or drop the trace`,
      );
    }
    switch (event.event) {
      case 'planned':
        planned = event;
        break;
      case 'sample':
      case 'scored':
        if (!due.delete(`${event.replicate}|${event.sample}`)) {
          throw broken(`the engine sent sample ${event.sample} replicate ${event.replicate} twice or unasked`);
        }
        record.samples.push(event);
        break;
      case 'kept':
        record.kept.push(event);
        break;
      case 'throughput':
        record.throughput.push(event);
        break;
      case 'probe':
        record.probes.push(event);
        break;
      case 'failed':
        throw new EngineFault(event.kind, event.message, { tail: engine.stderrTail(), usable: event.usable });
      case 'finished':
        if (!planned) throw broken('the engine finished a cell that it never planned');
        if (due.size > 0)
          throw broken(`the engine finished the cell with ${due.size} of ${items.length} samples missing`);
        return { ...record, planned, finished: event };
      case 'progress':
        break;
      default:
        throw broken(`the engine sent ${event.event} while a cell ran`);
    }
  }
}

async function nextEvent(engine: EngineProcess, options: CellOptions, endAt: number): Promise<EngineEvent> {
  const left = endAt - performance.now();
  try {
    return await engine.next({ stallMs: Math.min(options.stallMs, Math.max(left, 0)), signal: options.signal });
  } catch (error) {
    if (!(error instanceof EngineFault) || error.kind !== 'stall' || performance.now() < endAt) throw error;
    const limit = Math.round(options.timeoutMs / 1000);
    throw new EngineFault('cell_timeout', `the cell ran longer than cell_timeout, ${limit} s`, {
      tail: error.tail,
      cause: error,
    });
  }
}

function* chunked(items: readonly SampleItem[]): Generator<SampleItem[]> {
  let part: SampleItem[] = [];
  let size = 0;
  for (const item of items) {
    const weight = JSON.stringify(item).length * 2; // UTF-8 may take more bytes than UTF-16 units
    if (part.length > 0 && size + weight > ITEM_LINE_BYTES) {
      yield part;
      part = [];
      size = 0;
    }
    part.push(item);
    size += weight;
  }
  if (part.length > 0) yield part;
}

/** Roughly the bytes that an event holds in memory. */
function weight(event: EngineEvent): number {
  switch (event.event) {
    case 'sample':
      return 512 + 2 * event.text.length + 8 * (event.token_ids.length + (event.us_steps?.length ?? 0));
    case 'scored':
      return 512 + 16 * event.logprobs.length * (1 + (event.top_ids?.[0]?.length ?? 0));
    case 'kept':
      return 256 + event.bitmap.length;
    default:
      return 256;
  }
}
