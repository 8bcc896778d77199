/** What things are called in a report. */
import type { GenerationSetting, LengthEntry, PooledSetting } from './model.ts';

type Entry = Pick<LengthEntry, 'label' | 'batches'>;

/** `kivi-4`, or `kivi-4, batch 8` where batch sizes gave other tokens. */
export function entryName(entry: Entry, all: readonly Entry[]): string {
  return counts(all).get(entry.label) === 1 ? entry.label : `${entry.label}, batch ${entry.batches.join(', ')}`;
}

const COUNTS = new WeakMap<readonly Entry[], Map<string, number>>();

/** Entries by label, counted once for a list: a report of ten thousand cells asks for each name many times. */
function counts(all: readonly Entry[]): Map<string, number> {
  let known = COUNTS.get(all);
  if (!known) {
    known = new Map();
    for (const { label } of all) known.set(label, (known.get(label) ?? 0) + 1);
    COUNTS.set(all, known);
  }
  return known;
}

/** `SmolLM2, sharegpt, greedy, up to 384`: tells the generate workloads of a sweep apart. */
export function settingName(setting: GenerationSetting): string {
  return `${setting.model}, ${setting.dataset}, ${setting.sampling}, up to ${setting.maxNewTokens}`;
}

/** `SmolLM2, greedy`: tells the pools of a sweep apart. */
export function poolName(pool: PooledSetting): string {
  return `${pool.model}, ${pool.sampling}`;
}

/** Data sets without the folder that all of them share: `longbench/trec` and `longbench/lcc` are `trec` and `lcc`. */
export function shortNames(datasets: readonly string[]): string[] {
  const folder = datasets[0]?.slice(0, datasets[0].lastIndexOf('/') + 1) ?? '';
  return datasets.map((name) =>
    datasets.every((other) => other.startsWith(folder)) ? name.slice(folder.length) : name,
  );
}
