/**
 * Generic JSONL: one object a line with `prompt` or `messages`. A user writes these by hand or by script, so nothing
 * is guessed: every mistake names its line. Prompts keep the order of the file.
 */
import { basename } from 'node:path';
import { checkScoring, METRIC_NAMES, metricUnavailable } from '../analysis/metrics/index.ts';
import { type Fail, type Fields, readObjects, textsField } from './lines.ts';
import {
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
function parseLine(record: Fields, name: string, fail: Fail): DatasetPrompt {
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
  const strings = (field: string) => textsField(record, field, fail);
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

function messages(value: unknown, fail: Fail): Message[] {
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
  const prompts: DatasetPrompt[] = [];
  const lineOf = new Map<string, number>();
  const sourceSha = await readObjects(path, (record, line, fail) => {
    const prompt = parseLine(record, name, fail);
    const first = lineOf.get(prompt.key);
    if (first) fail(`the id of line ${first} is repeated`);
    lineOf.set(prompt.key, line);
    prompts.push(prompt);
  });
  return { prompts, sourceSha };
}

export async function loadJsonl(options: JsonlOptions): Promise<PromptSet> {
  const name = options.name ?? basename(options.path).replace(/\.(jsonl|ndjson|json)$/, '');
  const { prompts, sourceSha } = await readJsonl(options.path, name);
  const meta = { kind: 'jsonl', source_sha256: sourceSha, licence: 'given by the user', records: prompts.length };
  const metrics = new Set(prompts.flatMap((p) => p.metric ?? []));
  const warnings = [...metrics].map(metricUnavailable).filter((w) => w !== null);
  return promptSet(name, await selectPrompts(prompts, options), options, meta, warnings);
}
