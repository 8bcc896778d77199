/** What things are called in a report. */
import type { GenerationSetting, LengthEntry } from './model.ts';

/** `kivi-4`, or `kivi-4, batch 8` where batch sizes gave other tokens. */
export function entryName(entry: LengthEntry, all: readonly LengthEntry[]): string {
  return counts(all).get(entry.label) === 1 ? entry.label : `${entry.label}, batch ${entry.batches.join(', ')}`;
}

const COUNTS = new WeakMap<readonly LengthEntry[], Map<string, number>>();

/** Entries by label, counted once for a list: a report of ten thousand cells asks for each name many times. */
function counts(all: readonly LengthEntry[]): Map<string, number> {
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
