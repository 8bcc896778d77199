/** The table of data sets. A new one is a loader file and a row here; the planner and the command line read this. */
import { GEN_TASKS } from './gen/tasks.ts';
import { loadGenerated } from './gen.ts';
import { loadGsm8k } from './gsm8k.ts';
import { loadJsonl } from './jsonl.ts';
import { loadLongBench } from './longbench.ts';
import { LONGBENCH_GROUPS, LONGBENCH_SETS, longBenchSet } from './longbench-sets.ts';
import { TEMPLATE_VERSION } from './longbench-templates.ts';
import { loadOpenEnded } from './open-ended.ts';
import { DatasetError, type JsonObject, type PromptSet, type SelectOptions } from './prompt-set.ts';
import { loadShareGpt } from './sharegpt.ts';
import { loadShareGptText, TEXT_PARTS, type TextPart } from './sharegpt-text.ts';

export type { DatasetPrompt, Message, PromptLimits, PromptSet, SelectOptions } from './prompt-set.ts';
export { canonicalJson, DatasetError, promptSetSha } from './prompt-set.ts';

/** A data set as a spec names it: the kind, and what that kind needs. */
export interface DatasetRef {
  kind: string;
  path?: string;
  /** First part of the prompt keys, where it can be chosen. */
  name?: string;
  /** Of `gen`: which generator. */
  task?: string;
  /** Of `gen`: tokens of the whole prompt and its answer. */
  length?: number;
  /** Of `gen`: units of the body, instead of a length. */
  units?: number;
  /** Of `gen`: tokens that the answer may take. */
  new_tokens?: number;
  /** Of `gen`, passkey: percent of the body before the needle. */
  depth?: number;
  /** Of `gen`, passkey: digits of the key, 7 or 64. */
  digits?: number;
  /** Of `gen`: the prompt ends with the beginning of the answer. */
  answer_prefix?: boolean;
  /** Of `longbench`: the folder of `<set>.jsonl`. */
  dir?: string;
  /** Of `longbench`: which set. A spec may list several, or name a group in `sets`. */
  set?: string;
  /** Of `longbench`: our templates, or `file:<path>` of LongBench's. */
  template?: string;
  /** Of `longbench`: cap of an answer; `table`, `artifact` or a number. */
  max_new?: string | number;
  /** Of `longbench`: the chat template as the table says (`set`), for every set or for none. */
  chat?: string;
  /** Of `gsm8k`: a sentence under every question. */
  suffix?: string;
  /** Of `sharegpt_text`: evaluation or calibration. */
  part?: string;
  /** Of `sharegpt`: a damaged file is an error instead of a warning. */
  strict?: boolean;
}

export interface DatasetKind {
  kind: string;
  title: string;
  /** Fields of a reference beside `kind`. */
  needs: readonly (keyof DatasetRef)[];
  accepts: readonly (keyof DatasetRef)[];
  licence: string;
  /** What a field may not be, in one sentence; null if all is well. */
  check?(ref: DatasetRef): string | null;
  /** How its prompts want to be run, where that is not as the workload says. */
  wants?(ref: DatasetRef): Wants;
  load(ref: DatasetRef, options: SelectOptions): Promise<PromptSet>;
}

export interface Wants {
  /** Prompts have caps of their own, which no workload overrides. */
  caps?: true;
  /** False: no chat template, even if the workload has it on. */
  chat?: boolean;
  /** An answer also ends at the token of this text, but not at its first token. */
  stop?: string;
}

/** Generators of `kind: gen`, by task. */
export const GENERATORS: readonly { name: string; about: string }[] = [
  { name: 'open_ended', about: '1,000 questions whose answers may take any length; no reference' },
  ...GEN_TASKS.map(({ name, about }) => ({ name, about })),
];

export const DATASETS: readonly DatasetKind[] = [
  {
    kind: 'sharegpt',
    title: 'First human turns of a ShareGPT JSON file, in an order drawn from the seed',
    needs: ['path'],
    accepts: ['name', 'strict'],
    licence: 'conversations shared by users; without a licence of their own',
    load: (ref, options) => loadShareGpt({ ...options, ...pick(ref, ['name', 'strict']), path: ref.path! }),
  },
  {
    kind: 'jsonl',
    title: 'Your own prompts, one JSON object a line, in the order of the file',
    needs: ['path'],
    accepts: ['name'],
    licence: 'yours',
    load: (ref, options) => loadJsonl({ ...options, ...pick(ref, ['name']), path: ref.path! }),
  },
  {
    kind: 'longbench',
    title: 'A set of LongBench, or several (set: [qasper, trec]; sets: all or artifact), a workload each',
    needs: ['set'],
    accepts: ['dir', 'template', 'max_new', 'chat'],
    licence: 'of the joined sets, each its own',
    check: checkLongBench,
    wants: (ref) => {
      const row = longBenchSet(ref.set ?? '');
      const chat = ref.chat === 'all' || (ref.chat !== 'none' && row?.chat !== false);
      return { caps: true, chat, ...(row?.stop === undefined ? {} : { stop: row.stop }) };
    },
    load: (ref, options) => {
      const { dir, max_new: maxNew } = ref;
      if (dir === undefined)
        throw new DatasetError('a data set of kind longbench needs "dir", the folder of its files');
      return loadLongBench({
        ...options,
        ...pick(ref, ['template']),
        ...(maxNew === undefined ? {} : { maxNew: maxNew as 'table' | 'artifact' | number }),
        dir,
        set: ref.set!,
      });
    },
  },
  {
    kind: 'gsm8k',
    title: 'Mathematics with a final number, JSONL of {question, answer}, in the order of the file',
    needs: ['path'],
    accepts: ['name', 'suffix'],
    licence: 'MIT (GSM8K)',
    wants: () => ({ caps: true }),
    load: (ref, options) => loadGsm8k({ ...options, ...pick(ref, ['name', 'suffix']), path: ref.path! }),
  },
  {
    kind: 'sharegpt_text',
    title: 'Fixed long texts of a ShareGPT file, in its order: for perplexity (score), or for calibration',
    needs: ['path'],
    accepts: ['name', 'part'],
    licence: 'conversations shared by users; without a licence of their own',
    load: (ref, options) =>
      loadShareGptText({
        ...options,
        ...pick(ref, ['name']),
        ...(ref.part === undefined ? {} : { part: ref.part as TextPart }),
        path: ref.path!,
      }),
  },
  {
    kind: 'gen',
    title: 'Prompts made by kvsweep: tasks whose answers are known, and open questions',
    needs: ['task'],
    accepts: ['length', 'units', 'new_tokens', 'depth', 'digits', 'answer_prefix'],
    licence: 'Apache-2.0, part of kvsweep',
    check: checkGenerated,
    load: (ref, options) => {
      if (ref.task === 'open_ended') return loadOpenEnded(options);
      const { new_tokens: newTokens, answer_prefix: answerPrefix } = ref;
      return loadGenerated({
        ...options,
        ...pick(ref, ['length', 'units', 'depth', 'digits']),
        ...(newTokens === undefined ? {} : { newTokens }),
        ...(answerPrefix === undefined ? {} : { answerPrefix }),
        task: ref.task!,
      });
    },
  },
];

function pick<Key extends keyof DatasetRef>(ref: DatasetRef, keys: readonly Key[]): Pick<DatasetRef, Key> {
  return Object.fromEntries(keys.flatMap((key) => (ref[key] === undefined ? [] : [[key, ref[key]]]))) as never;
}

/** What is wrong with a reference, in one sentence; null if it can be loaded. */
export function checkDatasetRef(ref: DatasetRef): string | null {
  const kind = DATASETS.find((row) => row.kind === ref.kind);
  if (!kind)
    return `unknown data set kind ${JSON.stringify(ref.kind)}; known are ${DATASETS.map((row) => row.kind).join(', ')}`;
  const missing = kind.needs.find((field) => ref[field] === undefined);
  if (missing === 'set')
    return `a data set of kind ${ref.kind} needs "set" (one or several, as [qasper, trec]) or "sets" (all, artifact)`;
  if (missing) return `a data set of kind ${ref.kind} needs "${missing}"`;
  const extra = (Object.keys(ref) as (keyof DatasetRef)[]).find(
    (field) => field !== 'kind' && !kind.needs.includes(field) && !kind.accepts.includes(field),
  );
  if (extra) return `a data set of kind ${ref.kind} has no field "${extra}"`;
  for (const field of ['name', 'suffix', 'template', 'dir', 'path'] as const) {
    if (ref[field] !== undefined && (typeof ref[field] !== 'string' || ref[field] === ''))
      return `${field} ${JSON.stringify(ref[field])} of a data set is not a text`;
  }
  for (const field of ['strict', 'answer_prefix'] as const) {
    if (ref[field] !== undefined && typeof ref[field] !== 'boolean')
      return `${field} ${JSON.stringify(ref[field])} of a data set is neither true nor false`;
  }
  if (ref.part !== undefined && !(TEXT_PARTS as readonly string[]).includes(ref.part))
    return `part ${JSON.stringify(ref.part)} is not one of ${TEXT_PARTS.join(', ')}`;
  return kind.check?.(ref) ?? null;
}

function checkGenerated(ref: DatasetRef): string | null {
  if (!GENERATORS.some((g) => g.name === ref.task))
    return `unknown generator ${JSON.stringify(ref.task)}; known are ${GENERATORS.map((g) => g.name).join(', ')}`;
  for (const [field, most] of [
    ['length', 1e6],
    ['units', 1e5],
    ['new_tokens', 1e5],
    ['depth', 100],
  ] as const) {
    const value = ref[field];
    if (value !== undefined && !(Number.isInteger(value) && value >= 1 && value <= most))
      return `${field} ${JSON.stringify(value)} of a data set is not a whole number from 1 to ${most}`;
  }
  if (
    ref.task === 'open_ended' &&
    (ref.length ?? ref.units ?? ref.new_tokens ?? ref.depth ?? ref.answer_prefix) !== undefined
  )
    return 'generator open_ended has questions of a fixed text; it takes no length, units, new_tokens, depth or answer_prefix';
  if (ref.depth !== undefined && ref.task !== 'passkey')
    return `generator ${ref.task} draws its depths; only passkey takes "depth"`;
  if (ref.digits !== undefined && ref.task !== 'passkey')
    return `only generator passkey takes "digits", not ${ref.task}`;
  if (ref.digits !== undefined && ref.digits !== 7 && ref.digits !== 64)
    return `digits ${JSON.stringify(ref.digits)} of a pass key is neither 7 nor 64`;
  return null;
}

function checkLongBench(ref: DatasetRef): string | null {
  if (typeof ref.set !== 'string' || longBenchSet(ref.set) === undefined)
    return `unknown set ${JSON.stringify(ref.set)} of LongBench; known are ${LONGBENCH_SETS.map((row) => row.name).join(', ')}, and ${Object.keys(LONGBENCH_GROUPS).join(' or ')} in "sets"`;
  if (ref.template !== undefined && ref.template !== TEMPLATE_VERSION && !/^file:./.test(ref.template))
    return `template ${JSON.stringify(ref.template)} of a data set is neither ${TEMPLATE_VERSION} nor file:<path of dataset2prompt.json>`;
  const { max_new: maxNew } = ref;
  const known = maxNew === undefined || maxNew === 'table' || maxNew === 'artifact';
  if (!known && !(Number.isInteger(maxNew) && (maxNew as number) >= 1))
    return `max_new ${JSON.stringify(maxNew)} of a data set is none of table, artifact, or a whole number from 1`;
  if (ref.chat !== undefined && !['set', 'all', 'none'].includes(ref.chat))
    return `chat ${JSON.stringify(ref.chat)} of a data set is none of set, all, none`;
  return null;
}

/**
 * The references that one entry of a spec stands for: lists among its values multiply, and `sets` names sets of
 * LongBench one by one or by group.
 */
export function expandDatasetRef(ref: Record<string, unknown>): Record<string, unknown>[] {
  const { sets, ...rest } = ref;
  const names = [sets].flat() as string[];
  // Both at once stay as they are, and are refused for the field "sets".
  const listed =
    sets === undefined || ref.set !== undefined
      ? ref
      : { ...rest, set: names.flatMap((name) => LONGBENCH_GROUPS[name] ?? [name]) };
  return Object.entries(listed).reduce<Record<string, unknown>[]>(
    (points, [field, value]) => points.flatMap((point) => [value].flat().map((v) => ({ ...point, [field]: v }))),
    [{}],
  );
}

/** Loads the first prompts of a data set that fit. @throws DatasetError with a sentence for the user */
export async function loadDataset(ref: DatasetRef, options: SelectOptions): Promise<PromptSet> {
  const wrong = checkDatasetRef(ref);
  if (wrong) throw new DatasetError(wrong);
  return DATASETS.find((row) => row.kind === ref.kind)!.load(ref, options);
}

/** A row for `kvsweep datasets --json`. */
export function describeDatasets(): JsonObject[] {
  return DATASETS.map(({ kind, title, needs, accepts, licence }) => ({
    kind,
    title,
    needs: [...needs],
    accepts: [...accepts],
    licence,
  }));
}
