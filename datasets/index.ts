/** The table of data sets. A new one is a loader file and a row here; the planner and the command line read this. */
import { GEN_TASKS } from './gen/tasks.ts';
import { loadGenerated } from './gen.ts';
import { loadJsonl } from './jsonl.ts';
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
  load(ref: DatasetRef, options: SelectOptions): Promise<PromptSet>;
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
    accepts: ['length', 'units', 'new_tokens', 'depth'],
    licence: 'Apache-2.0, part of kvsweep',
    load: (ref, options) => {
      if (ref.task === 'open_ended') return loadOpenEnded(options);
      const { new_tokens: newTokens } = ref;
      return loadGenerated({
        ...options,
        ...pick(ref, ['length', 'units', 'depth']),
        ...(newTokens === undefined ? {} : { newTokens }),
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
  if (missing) return `a data set of kind ${ref.kind} needs "${missing}"`;
  const extra = (Object.keys(ref) as (keyof DatasetRef)[]).find(
    (field) => field !== 'kind' && !kind.needs.includes(field) && !kind.accepts.includes(field),
  );
  if (extra) return `a data set of kind ${ref.kind} has no field "${extra}"`;
  if (ref.task !== undefined && !GENERATORS.some((g) => g.name === ref.task)) {
    return `unknown generator ${JSON.stringify(ref.task)}; known are ${GENERATORS.map((g) => g.name).join(', ')}`;
  }
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
  if (ref.task === 'open_ended' && (ref.length ?? ref.units ?? ref.new_tokens ?? ref.depth) !== undefined)
    return 'generator open_ended has questions of a fixed text; it takes no length, units, new_tokens or depth';
  if (ref.depth !== undefined && ref.task !== 'passkey')
    return `generator ${ref.task} draws its depths; only passkey takes "depth"`;
  if (ref.part !== undefined && !(TEXT_PARTS as readonly string[]).includes(ref.part))
    return `part ${JSON.stringify(ref.part)} is not one of ${TEXT_PARTS.join(', ')}`;
  return null;
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
