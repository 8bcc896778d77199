/** What things are called in a report. */
import type { LengthEntry } from './model.ts';

/** `kivi-4`, or `kivi-4, batch 8` where batch sizes gave other tokens. */
export function entryName(entry: LengthEntry, all: readonly LengthEntry[]): string {
  const alone = all.filter((other) => other.label === entry.label).length === 1;
  return alone ? entry.label : `${entry.label}, batch ${entry.batches.join(', ')}`;
}
