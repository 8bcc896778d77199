/**
 * `kind: longbench`: one set of LongBench from a folder of `<set>.jsonl`. A record's id is its 0-based line index, the
 * id of published score files. Templates are data: ours, or LongBench's own file, which comparable scores need.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { checkScoring, metricUnavailable } from '../analysis/metrics/index.ts';
import { splitWhite } from '../analysis/metrics/text.ts';
import { type Fail, type Fields, readObjects, textField, textsField } from './lines.ts';
import { type LongBenchSet, lengthBucket, longBenchSet } from './longbench-sets.ts';
import { fillTemplate, KNOWN_TEMPLATE_FILES, LONGBENCH_TEMPLATES, TEMPLATE_VERSION } from './longbench-templates.ts';
import {
  canonicalJson,
  DatasetError,
  type DatasetPrompt,
  type JsonObject,
  type PromptSet,
  promptSet,
  type SelectOptions,
  selectPrompts,
} from './prompt-set.ts';

export interface LongBenchOptions extends SelectOptions {
  dir: string;
  /** A name of the table, or that of its LongBench-E file (`qasper_e`). */
  set: string;
  /** `kvsweep-lb-1` (default) or `file:<path of dataset2prompt.json>`. */
  template?: string;
  /** Cap of an answer: the table's (default), stretched per record as the artifact does, or a number. */
  maxNew?: 'table' | 'artifact' | number;
}

interface Template {
  text: string;
  /** What `kv.cells.template_sha` shows. */
  sha: string;
  source: string;
}

export async function loadLongBench(options: LongBenchOptions): Promise<PromptSet> {
  const { dir, set, maxNew = 'table' } = options;
  const row = longBenchSet(set)!;
  const template = await readTemplate(options.template ?? TEMPLATE_VERSION, row.name);
  if (maxNew === 'artifact' && options.context === undefined) {
    throw new DatasetError('max_new: artifact needs the context length of a model, which this model file does not say');
  }
  const name = `longbench/${set}`;
  const path = join(dir, `${set}.jsonl`);
  const prompts: DatasetPrompt[] = [];
  const sourceSha = await readObjects(path, (record, _line, fail) => {
    prompts.push(toPrompt(record, `${name}/${prompts.length}`, row, template, fail, options));
  }).catch((error: unknown) => {
    throw (error as { cause?: { code?: string } }).cause?.code === 'ENOENT' ? missingFile(path, set) : error;
  });
  const warnings = [metricUnavailable(row.metric)].filter((w) => w !== null);
  if (set === row.name && prompts.length !== row.records)
    warnings.push(`${path} has ${prompts.length} records, the set of LongBench has ${row.records}`);
  if (!(template.sha in KNOWN_TEMPLATE_FILES))
    warnings.push(
      `${name} is prompted with ${template.source}: scores are not comparable with published ones; for those give template: file:<LongBench's dataset2prompt.json>`,
    );
  const meta: JsonObject = {
    kind: 'longbench',
    set,
    source_sha256: sourceSha,
    licence: 'LongBench joins sets with licences of their own; nothing of them is redistributed',
    records: prompts.length,
    template: template.source,
    template_sha: template.sha,
    max_new: maxNew,
    metric: row.metric,
    variant: row.variant ?? null,
  };
  return promptSet(name, await selectPrompts(prompts, options), options, meta, warnings);
}

function missingFile(path: string, set: string): DatasetError {
  return new DatasetError(
    `data set longbench/${set} needs ${path}, which does not exist; \`kvsweep datasets longbench\` says how to get it`,
  );
}

async function readTemplate(source: string, set: string): Promise<Template> {
  if (source === TEMPLATE_VERSION) {
    const sha = sha256(canonicalJson(LONGBENCH_TEMPLATES));
    return { text: LONGBENCH_TEMPLATES[set]!, sha, source: TEMPLATE_VERSION };
  }
  const path = source.slice('file:'.length);
  const bytes = await readFile(path).catch((error: Error) => {
    throw new DatasetError(`cannot read the template file ${path}: ${error.message}`, { cause: error });
  });
  const sha = sha256(bytes);
  let templates: Record<string, unknown> | null;
  try {
    templates = JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    throw new DatasetError(`template file ${path} is not valid JSON (${(error as Error).message})`, { cause: error });
  }
  const text = templates?.[set];
  if (typeof text !== 'string' || !text.includes('{context}')) {
    throw new DatasetError(
      `template file ${path} has no template with {context} for ${set}; it must be an object of templates by set, as LongBench's dataset2prompt.json`,
    );
  }
  return { text, sha, source: KNOWN_TEMPLATE_FILES[sha] ?? `a file of unknown origin (sha256 ${sha.slice(0, 12)})` };
}

function toPrompt(
  record: Fields,
  key: string,
  row: LongBenchSet,
  template: Template,
  fail: Fail,
  { maxNew = 'table', context }: LongBenchOptions,
): DatasetPrompt {
  const { metric, variant, taskType } = row;
  const text = fillTemplate(template.text, textField(record, 'context', fail), textField(record, 'input', fail));
  if (text.trim() === '') fail('"context" and "input" are both without text');
  const references =
    textsField(record, 'answers', fail) ?? fail('"answers" must be an array of strings, it is missing');
  const classes = record.all_classes === null ? undefined : textsField(record, 'all_classes', fail);
  const wrong = checkScoring({ metric, variant, references, classes });
  if (wrong) fail(wrong);
  const { length, _id, language } = record;
  if (!Number.isSafeInteger(length) || (length as number) < 0) fail('"length" must be a number of words');
  const cap = maxNew === 'artifact' ? stretchedCap(row.maxNew, references[0] ?? '', context!) : maxNew;
  return {
    key,
    prompt: text,
    references,
    metric,
    ...(variant === undefined ? {} : { variant }),
    taskType,
    maxNewTokens: cap === 'table' ? row.maxNew : cap,
    meta: {
      length: length as number,
      bucket: lengthBucket(length as number),
      ...(typeof _id === 'string' ? { _id } : {}),
      ...(typeof language === 'string' ? { language } : {}),
      ...(classes === undefined ? {} : { all_classes: classes }),
    },
  };
}

/** The cap of the artifact's evaluator: room for a reference of so many words, at most a quarter of the context. */
export function stretchedCap(table: number, reference: string, context: number): number {
  const words = splitWhite(reference).length;
  const room = Math.floor(Math.floor(1.1 * words) / 32) * 32;
  return Math.max(table, Math.min(room, Math.floor(context / 4)));
}

function sha256(data: string | Buffer): string {
  return createHash('sha256').update(data).digest('hex');
}
