/** Data sets as a spec writes them: by a name whose file lies in the data folder, or by kind. */
import { existsSync } from 'node:fs';
import { isAbsolute, join, resolve } from 'node:path';
import { DATASETS, type DatasetRef, type Wants } from '../datasets/index.ts';
import { PlanError } from './plan-error.ts';

interface NamedDataset {
  ref: Omit<DatasetRef, 'path'>;
  file?: string;
  /** How a missing file is got. */
  get: string;
  /** `npm run bootstrap` does not fetch it, and nothing is wrong without it. */
  optional?: true;
}

const BOOTSTRAP = 'run `npm run bootstrap`';
const SHAREGPT = 'ShareGPT_V3_unfiltered_cleaned_split.json';

const NAMED_DATASETS: Record<string, NamedDataset> = {
  sharegpt: { ref: { kind: 'sharegpt' }, file: SHAREGPT, get: BOOTSTRAP },
  fixed_text: { ref: { kind: 'sharegpt_text', part: 'evaluation' }, file: SHAREGPT, get: BOOTSTRAP },
  calibration_text: { ref: { kind: 'sharegpt_text', part: 'calibration' }, file: SHAREGPT, get: BOOTSTRAP },
  open_ended: { ref: { kind: 'gen', task: 'open_ended' }, get: '' },
  needle: { ref: { kind: 'gen', task: 'niah_single_2', length: 640, new_tokens: 32 }, get: '' },
  gsm8k: {
    ref: { kind: 'gsm8k' },
    file: 'gsm8k-test.jsonl',
    get: '`kvsweep datasets gsm8k` says how to get it',
    optional: true,
  },
};

/** Where LongBench is looked for if a spec names no folder. */
export function longBenchFolder(dataFolder: string): string {
  return join(dataFolder, 'longbench');
}

export interface FoundDataset {
  name: string;
  ref: DatasetRef;
  present: boolean;
  optional: boolean;
  get: string;
}

export function namedDatasets(dataFolder: string): FoundDataset[] {
  return Object.entries(NAMED_DATASETS).map(([name, { ref, file, get, optional = false }]) => {
    const path = file === undefined ? undefined : join(dataFolder, file);
    const present = path === undefined || existsSync(path);
    return { name, ref: { ...ref, ...(path ? { path } : {}) }, present, optional, get };
  });
}

interface Folders {
  dataFolder: string;
  /** Folder of the spec: paths in it are relative to this. */
  specFolder: string;
}

/** The reference that a spec's `dataset` stands for; its file must be there. */
export function datasetRef(dataset: string | { kind: string }, { dataFolder, specFolder }: Folders): DatasetRef {
  if (typeof dataset === 'string') {
    const known = namedDatasets(dataFolder);
    const found = known.find((d) => d.name === dataset);
    if (!found)
      throw new PlanError(
        `unknown data set '${dataset}'; known are ${known.map((d) => d.name).join(', ')}, or give {kind, path}`,
      );
    if (!found.present)
      throw new PlanError(`data set '${dataset}' needs ${found.ref.path}, which is missing; ${found.get}`);
    return found.ref;
  }
  const ref = { ...dataset } as DatasetRef;
  const inSpec = (path: string) => (isAbsolute(path) ? path : resolve(specFolder, path));
  if (typeof ref.path === 'string') {
    ref.path = inSpec(ref.path);
    if (!existsSync(ref.path)) throw new PlanError(`data set file ${ref.path} does not exist`);
  }
  if (ref.kind === 'longbench') {
    ref.dir = typeof ref.dir === 'string' ? inSpec(ref.dir) : (ref.dir ?? longBenchFolder(dataFolder));
    if (typeof ref.dir === 'string' && !existsSync(ref.dir))
      throw new PlanError(
        `data set folder ${ref.dir} does not exist; \`kvsweep datasets longbench\` says how to get it`,
      );
    const file = /^file:(.+)$/.exec(String(ref.template ?? ''))?.[1];
    if (file !== undefined) ref.template = `file:${inSpec(file)}`;
  }
  return ref;
}

/** How the prompts of a data set want to be run; nothing special if it is unknown, which its loading will say. */
export function datasetWants(dataset: string | { kind: string }): Wants {
  const ref = typeof dataset === 'string' ? NAMED_DATASETS[dataset]?.ref : (dataset as DatasetRef);
  if (ref === undefined) return {};
  return DATASETS.find((row) => row.kind === ref.kind)?.wants?.(ref) ?? {};
}
