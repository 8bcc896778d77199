/** The table of data sets. A new one is a loader file and a row here; the planner and the command line read this. */
import { checkGenerated, checkLongBench } from './check-ref.ts';
import { loadGenerated } from './gen.ts';
import { loadGsm8k } from './gsm8k.ts';
import { loadJsonl } from './jsonl.ts';
import { loadLongBench } from './longbench.ts';
import { longBenchSet } from './longbench-sets.ts';
import { loadOpenEnded } from './open-ended.ts';
import { DatasetError, type JsonObject, type PromptSet, type SelectOptions } from './prompt-set.ts';
import type { DatasetRef } from './ref.ts';
import { loadShareGpt } from './sharegpt.ts';
import { loadShareGptText, TEXT_PARTS, type TextPart } from './sharegpt-text.ts';

export { GENERATORS } from './gen.ts';
export type { DatasetPrompt, Message, PromptLimits, PromptSet, SelectOptions } from './prompt-set.ts';
export { canonicalJson, DatasetError, promptSetSha } from './prompt-set.ts';
export { type DatasetRef, expandDatasetRef } from './ref.ts';

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
