/** What things are called in a report. */
import type { GenerationSetting, LengthEntry } from './model.ts';

/** `kivi-4`, or `kivi-4, batch 8` where batch sizes gave other tokens. */
export function entryName(entry: LengthEntry, all: readonly LengthEntry[]): string {
  const alone = all.filter((other) => other.label === entry.label).length === 1;
  return alone ? entry.label : `${entry.label}, batch ${entry.batches.join(', ')}`;
}

/** `SmolLM2, sharegpt, greedy, up to 384`: tells the generate workloads of a sweep apart. */
export function settingName(setting: GenerationSetting): string {
  return `${setting.model}, ${setting.dataset}, ${setting.sampling}, up to ${setting.maxNewTokens}`;
}
