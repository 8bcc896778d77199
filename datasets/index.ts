/** The table of data sets. A new one is a loader file and a row here; the planner and the command line read this. */
import { loadJsonl } from './jsonl.ts';
import { loadOpenEnded } from './open-ended.ts';
import { DatasetError, type JsonObject, type PromptSet, type SelectOptions } from './prompt-set.ts';
import { loadShareGpt } from './sharegpt.ts';

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
const GENERATORS: Record<string, (options: SelectOptions) => Promise<PromptSet>> = { open_ended: loadOpenEnded };

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
    kind: 'gen',
    title: 'Prompts made by kvsweep: open_ended, 1,000 questions whose answers may take any length',
    needs: ['task'],
    accepts: [],
    licence: 'Apache-2.0, part of kvsweep',
    load: (ref, options) => GENERATORS[ref.task!]!(options),
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
  if (ref.task !== undefined && !(ref.task in GENERATORS)) {
    return `unknown generator ${JSON.stringify(ref.task)}; known are ${Object.keys(GENERATORS).join(', ')}`;
  }
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
