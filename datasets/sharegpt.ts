/**
 * ShareGPT: an array of `{id, conversations: [{from, value}, ...]}`; the prompt is the first human turn.
 *
 * Two passes over what can be a large file: the first keeps offsets and hashes only, the second reads the chosen
 * records. Public copies exist that are cut off in the middle of a string, so a truncated tail is accepted, counted
 * and told; `strict` refuses it.
 */
import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { SplitMix64 } from '../analysis/random.ts';
import { type ArrayEnd, arrayElements } from './json-array.ts';
import {
  DatasetError,
  type DatasetPrompt,
  type JsonObject,
  type PromptSet,
  promptSet,
  type SelectOptions,
  selectPrompts,
} from './prompt-set.ts';

export interface ShareGptOptions extends SelectOptions {
  path: string;
  /** Part of every prompt key; `sharegpt` if absent. */
  name?: string;
  /** A truncated tail, an unreadable record or bytes after the array are errors. */
  strict?: boolean;
}

/** Where a kept record lies in the file. */
interface Place {
  id: string;
  offset: number;
  length: number;
}

export interface ShareGptIndex {
  sourceSha: string;
  sourceBytes: number;
  records: number;
  kept: Place[];
  droppedBad: number;
  droppedNoHuman: number;
  droppedDuplicate: number;
  droppedTail: 0 | 1;
  droppedTailBytes: number;
  trailingBytes: number;
}

/** The first human turn of a record; null if it has none with any text. */
export function firstHumanTurn(record: unknown): string | null {
  const turns = (record as { conversations?: unknown } | null)?.conversations;
  if (!Array.isArray(turns)) return null;
  const turn = turns.find((t: unknown) => {
    const from = (t as { from?: unknown } | null)?.from;
    return from === 'human' || from === 'user';
  }) as { value?: unknown } | undefined;
  return typeof turn?.value === 'string' && turn.value.trim() !== '' ? turn.value : null;
}

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return undefined; // counted as bad by the caller
  }
}

/** First pass: which records are usable, and where they lie. Memory grows with their number, not with their text. */
export async function indexShareGpt(chunks: AsyncIterable<Buffer> | Iterable<Buffer>): Promise<ShareGptIndex> {
  const hash = createHash('sha256');
  const out: ShareGptIndex = {
    sourceSha: '',
    sourceBytes: 0,
    records: 0,
    kept: [],
    droppedBad: 0,
    droppedNoHuman: 0,
    droppedDuplicate: 0,
    droppedTail: 0,
    droppedTailBytes: 0,
    trailingBytes: 0,
  };
  async function* hashed() {
    for await (const chunk of chunks) {
      hash.update(chunk);
      out.sourceBytes += chunk.length;
      yield chunk;
    }
  }
  const texts = new Set<string>();
  const ids = new Set<string>();
  const elements = arrayElements(hashed());
  let end: ArrayEnd;
  for (;;) {
    const step = await elements.next();
    if (step.done) {
      end = step.value;
      break;
    }
    const { index, offset, bytes } = step.value;
    out.records++;
    const record = parse(bytes);
    if (typeof record !== 'object' || record === null || Array.isArray(record)) {
      out.droppedBad++;
      continue;
    }
    const text = firstHumanTurn(record);
    if (text === null) {
      out.droppedNoHuman++;
      continue;
    }
    const textSha = createHash('sha256').update(text, 'utf8').digest('base64');
    if (texts.has(textSha)) {
      out.droppedDuplicate++;
      continue;
    }
    texts.add(textSha);
    const id = recordId((record as { id?: unknown }).id, index, ids);
    ids.add(id);
    out.kept.push({ id, offset, length: bytes.length });
  }
  out.sourceSha = hash.digest('hex');
  out.droppedTail = end.closed ? 0 : 1;
  out.droppedTailBytes = end.tailBytes;
  out.trailingBytes = end.trailingBytes;
  return out;
}

/** The record's own id, or `#<index>` if it is missing, repeated, or could be taken for such an index. */
function recordId(id: unknown, index: number, taken: ReadonlySet<string>): string {
  const own = typeof id === 'number' ? String(id) : id;
  if (typeof own !== 'string' || own === '' || /^#\d+$/.test(own) || taken.has(own)) return `#${index}`;
  return own;
}

async function* prompts(file: FileHandle, places: readonly Place[], name: string): AsyncGenerator<DatasetPrompt> {
  for (const { id, offset, length } of places) {
    const { buffer } = await file.read(Buffer.alloc(length), 0, length, offset);
    const prompt = firstHumanTurn(parse(buffer));
    if (prompt === null) throw new DatasetError(`record ${id} changed while it was being read; load the file again`);
    yield { key: `${name}/${id}`, prompt };
  }
}

export async function loadShareGpt(options: ShareGptOptions): Promise<PromptSet> {
  const file = await openFile(options.path);
  try {
    return await loadFrom(file, options);
  } finally {
    await file.close();
  }
}

async function loadFrom(file: FileHandle, options: ShareGptOptions): Promise<PromptSet> {
  const { path, name = 'sharegpt', strict = false } = options;
  const stream = file.createReadStream({ autoClose: false, highWaterMark: 1 << 20 });
  const index = await indexShareGpt(stream as AsyncIterable<Buffer>);
  const warnings = complaints(index);
  if (strict && warnings[0]) throw new DatasetError(`${path}: ${warnings[0]}`);
  const places = SplitMix64.fromKey(`kvsweep-data-1|${index.sourceSha}|${options.seed}`).shuffle(index.kept);
  const selection = await selectPrompts(prompts(file, places, name), options);
  const meta: JsonObject = {
    kind: 'sharegpt',
    source_sha256: index.sourceSha,
    source_bytes: index.sourceBytes,
    licence: 'user-shared conversations of ShareGPT; no licence of their own; nothing of them is redistributed',
    records: index.records,
    usable: index.kept.length,
    dropped_bad: index.droppedBad,
    dropped_no_human: index.droppedNoHuman,
    dropped_duplicate: index.droppedDuplicate,
    dropped_tail: index.droppedTail,
    dropped_tail_bytes: index.droppedTailBytes,
  };
  return promptSet(name, selection, options, meta, warnings);
}

async function openFile(path: string): Promise<FileHandle> {
  try {
    return await open(path);
  } catch (cause) {
    throw new DatasetError(`cannot read the data set ${path}: ${(cause as Error).message}`, { cause });
  }
}

function complaints(index: ShareGptIndex): string[] {
  const out: string[] = [];
  if (index.droppedTail) {
    out.push(
      `the file is cut off: ${index.records} whole records were read, the last ${index.droppedTailBytes} bytes were not`,
    );
  }
  if (index.droppedBad) out.push(`${index.droppedBad} records are not valid JSON objects and were left out`);
  if (index.trailingBytes) out.push(`${index.trailingBytes} bytes after the end of the array were ignored`);
  return out;
}
