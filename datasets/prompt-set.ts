/**
 * What every loader gives back: prompts in a fixed order, an account of what was left out, and the hash that makes
 * the set part of a cell's key.
 */
import { createHash } from 'node:crypto';

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

export interface Message {
  role: 'system' | 'user' | 'assistant';
  content: string;
}

/** One prompt; has either `prompt` or `messages`. */
export interface DatasetPrompt {
  /** `<dataset>/<record id>` */
  key: string;
  prompt?: string;
  messages?: Message[];
  references?: string[];
  metric?: string;
  variant?: string;
  taskType?: string;
  maxNewTokens?: number;
  meta?: JsonObject;
}

export interface PromptSet {
  /** sha256 hex over the canonical JSON of `prompts`. */
  sha: string;
  dataset: string;
  /** Drop counters, sha256 of the source, licence note, limits: the workload's provenance. */
  meta: JsonObject;
  prompts: DatasetPrompt[];
  /** Sentences for the user: a truncated file, fewer prompts than asked for. */
  warnings: string[];
}

/** A prompt that does not fit is passed over, and counted in `dropped_long` or `dropped_short`. */
export interface PromptLimits {
  maxPromptChars?: number;
  minPromptTokens?: number;
  maxPromptTokens?: number;
}

export interface SelectOptions extends PromptLimits {
  /** The first N prompts; all if absent. */
  prompts?: number;
  seed: number;
  /** Most tokens of prompt and answer that the model takes. */
  context?: number;
  /** Token counts by the tokenizer of the engine, the chat template included if the workload uses one. */
  countTokens?: (prompts: readonly DatasetPrompt[]) => Promise<number[]>;
}

/** A mistake in the data or in how it was asked for; its message is meant for the user. */
export class DatasetError extends Error {
  override name = 'DatasetError';
}

/** JSON with sorted keys and no white space: equal values, equal bytes. Absent and undefined fields are the same. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map((item) => canonicalJson(item ?? null)).join(',')}]`;
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  const fields = Object.entries(value).filter(([, field]) => field !== undefined);
  fields.sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${fields.map(([key, field]) => `${JSON.stringify(key)}:${canonicalJson(field)}`).join(',')}}`;
}

export function promptSetSha(prompts: readonly DatasetPrompt[]): string {
  return createHash('sha256').update(canonicalJson(prompts), 'utf8').digest('hex');
}

/** Text length in characters (UTF-16 units) of all that a prompt says. */
export function promptChars(prompt: DatasetPrompt): number {
  return prompt.messages?.reduce((sum, message) => sum + message.content.length, 0) ?? prompt.prompt!.length;
}

export interface Selection {
  prompts: DatasetPrompt[];
  droppedLong: number;
  droppedShort: number;
}

/**
 * Walks `candidates` in order and keeps the first N that fit. The order is fixed before lengths are looked at, so that
 * it depends on no tokenizer: another model, or a tighter limit, sees the same prompts in the same order. Counted are
 * only the prompts passed over on the way.
 */
export async function selectPrompts(
  candidates: AsyncIterable<DatasetPrompt> | Iterable<DatasetPrompt>,
  options: SelectOptions,
): Promise<Selection> {
  const { minPromptTokens, maxPromptTokens, maxPromptChars, countTokens } = options;
  const wanted = options.prompts ?? Number.POSITIVE_INFINITY;
  const byTokens = minPromptTokens !== undefined || maxPromptTokens !== undefined;
  if (byTokens && !countTokens) {
    throw new DatasetError('a limit in tokens needs the tokenizer of a model; give the limit in characters instead');
  }
  const out: Selection = { prompts: [], droppedLong: 0, droppedShort: 0 };
  let waiting: DatasetPrompt[] = [];
  const settle = async () => {
    const counts = byTokens && waiting.length > 0 ? await countTokens!(waiting) : [];
    waiting.forEach((prompt, i) => {
      const tokens = counts[i] ?? 0;
      if (out.prompts.length >= wanted) return;
      if (byTokens && tokens > (maxPromptTokens ?? Number.POSITIVE_INFINITY)) out.droppedLong++;
      else if (byTokens && tokens < (minPromptTokens ?? 0)) out.droppedShort++;
      else out.prompts.push(prompt);
    });
    waiting = [];
  };
  for await (const prompt of candidates) {
    if (promptChars(prompt) > (maxPromptChars ?? Number.POSITIVE_INFINITY)) out.droppedLong++;
    else waiting.push(prompt);
    // a batch of twice what is still missing keeps the calls to the tokenizer few
    if (waiting.length >= Math.max(16, Math.min(512, 2 * (wanted - out.prompts.length)))) await settle();
    if (out.prompts.length >= wanted) break;
  }
  await settle();
  return out;
}

/** Puts the pieces of a loaded set together; complains about too few prompts. */
export function promptSet(
  dataset: string,
  selection: Selection,
  options: SelectOptions,
  meta: JsonObject,
  warnings: readonly string[] = [],
): PromptSet {
  const { prompts, droppedLong, droppedShort } = selection;
  if (prompts.length === 0) {
    throw new DatasetError(`data set ${dataset} has no prompt that fits; loosen its limits or check the file`);
  }
  const short =
    options.prompts !== undefined && prompts.length < options.prompts
      ? [`data set ${dataset} has ${prompts.length} prompts that fit, ${options.prompts} were asked for`]
      : [];
  const limits: JsonObject = {};
  for (const name of ['maxPromptChars', 'minPromptTokens', 'maxPromptTokens'] as const) {
    if (options[name] !== undefined) limits[name] = options[name];
  }
  return {
    sha: promptSetSha(prompts),
    dataset,
    meta: { ...meta, seed: options.seed, limits, dropped_long: droppedLong, dropped_short: droppedShort },
    prompts,
    warnings: [...warnings, ...short],
  };
}
