/**
 * Generic JSONL: one object a line with `prompt` or `messages`. A user writes these by hand or by script, so nothing
 * is guessed: every mistake names its line. Prompts keep the order of the file.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { basename } from 'node:path';
import { createInterface } from 'node:readline';
import { checkScoring, METRIC_NAMES } from '../analysis/metrics/index.ts';
import {
  DatasetError,
  type DatasetPrompt,
  type JsonObject,
  type Message,
  type PromptSet,
  promptSet,
  type SelectOptions,
  selectPrompts,
} from './prompt-set.ts';

export interface JsonlOptions extends SelectOptions {
  path: string;
  /** Part of every prompt key; the file's name without its ending if absent. */
  name?: string;
}

const FIELDS = [
  'id',
  'prompt',
  'messages',
  'references',
  'reference',
  'metric',
  'variant',
  'all_classes',
  'max_new_tokens',
  'task_type',
  'meta',
];
const ROLES = ['system', 'user', 'assistant'];

/** One line to a prompt. @param fail throws with the place of the line */
function parseLine(line: string, name: string, fail: (why: string) => never): DatasetPrompt {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    fail(`not valid JSON (${(error as Error).message})`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) fail('not a JSON object');
  const record = value as Record<string, unknown>;
  const unknown = Object.keys(record).find((key) => !FIELDS.includes(key));
  if (unknown) fail(`unknown field ${JSON.stringify(unknown)}; put what is your own under "meta"`);

  const { id } = record;
  if (!(typeof id === 'string' && id !== '') && !Number.isSafeInteger(id)) fail('"id" must be a string or an integer');
  if ((record.prompt === undefined) === (record.messages === undefined)) fail('give either "prompt" or "messages"');
  if (record.prompt !== undefined && (typeof record.prompt !== 'string' || record.prompt === '')) {
    fail('"prompt" must be a string with text');
  }
  const text = (field: string): string | undefined => {
    const v = record[field];
    if (v !== undefined && typeof v !== 'string') fail(`"${field}" must be a string`);
    return v as string | undefined;
  };
  const strings = (field: string): string[] | undefined => {
    const v = record[field];
    if (v === undefined) return undefined;
    if (!Array.isArray(v) || v.some((item) => typeof item !== 'string')) fail(`"${field}" must be an array of strings`);
    return v as string[];
  };
  const metric = text('metric');
  if (metric !== undefined && !METRIC_NAMES.includes(metric)) {
    fail(`unknown metric ${JSON.stringify(metric)}; known are ${METRIC_NAMES.join(', ')}`);
  }
  const max = record.max_new_tokens;
  if (max !== undefined && !(Number.isSafeInteger(max) && (max as number) > 0)) {
    fail('"max_new_tokens" must be an integer above 0');
  }
  const { meta } = record;
  if (meta !== undefined && (typeof meta !== 'object' || meta === null || Array.isArray(meta))) {
    fail('"meta" must be an object');
  }
  const reference = text('reference');
  if (reference !== undefined && record.references !== undefined) fail('give "reference" or "references", not both');
  const references = strings('references') ?? (reference === undefined ? undefined : [reference]);
  const variant = text('variant');
  const taskType = text('task_type');
  const classes = strings('all_classes');
  const unscorable = checkScoring({ metric, variant, references, classes });
  if (unscorable) fail(unscorable);
  const kept = { ...(meta as JsonObject | undefined), ...(classes && { all_classes: classes }) };
  return {
    key: `${name}/${id}`,
    ...(record.messages === undefined
      ? { prompt: record.prompt as string }
      : { messages: messages(record.messages, fail) }),
    ...(references && { references }),
    ...(metric !== undefined && { metric }),
    ...(variant !== undefined && { variant }),
    ...(taskType !== undefined && { taskType }),
    ...(max !== undefined && { maxNewTokens: max as number }),
    ...(Object.keys(kept).length > 0 && { meta: kept }),
  };
}

function messages(value: unknown, fail: (why: string) => never): Message[] {
  const list = Array.isArray(value) && value.length > 0 ? value : fail('"messages" must be an array with messages');
  return list.map((item: Partial<Record<keyof Message, unknown>> | null) => {
    const { role, content } = item ?? {};
    if (typeof role !== 'string' || !ROLES.includes(role))
      fail(`the role of a message must be one of ${ROLES.join(', ')}`);
    if (typeof content !== 'string') fail('the content of a message must be a string');
    return { role: role as Message['role'], content };
  });
}

/** The prompts of a file, in its order. @throws DatasetError that names the line */
export async function readJsonl(path: string, name: string): Promise<{ prompts: DatasetPrompt[]; sourceSha: string }> {
  const hash = createHash('sha256');
  const stream = createReadStream(path).on('data', (chunk) => hash.update(chunk));
  const prompts: DatasetPrompt[] = [];
  const lineOf = new Map<string, number>();
  let line = 0;
  const fail = (why: string): never => {
    throw new DatasetError(`${path}, line ${line}: ${why}`);
  };
  try {
    for await (const raw of createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY })) {
      line++;
      const text = line === 1 ? raw.replace(/^\uFEFF/, '') : raw;
      if (text.trim() === '') continue;
      const prompt = parseLine(text, name, fail);
      const first = lineOf.get(prompt.key);
      if (first) fail(`the id of line ${first} is repeated`);
      lineOf.set(prompt.key, line);
      prompts.push(prompt);
    }
  } catch (error) {
    if (error instanceof DatasetError) throw error;
    throw new DatasetError(`cannot read the data set ${path}: ${(error as Error).message}`, { cause: error });
  }
  return { prompts, sourceSha: hash.digest('hex') };
}

export async function loadJsonl(options: JsonlOptions): Promise<PromptSet> {
  const name = options.name ?? basename(options.path).replace(/\.(jsonl|ndjson|json)$/, '');
  const { prompts, sourceSha } = await readJsonl(options.path, name);
  const meta = { kind: 'jsonl', source_sha256: sourceSha, licence: 'given by the user', records: prompts.length };
  return promptSet(name, await selectPrompts(prompts, options), options, meta);
}
