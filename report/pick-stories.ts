/** Which single prompts are worth reading: those whose length changed most, then those that got slowest. Pure. */
import { type DefinedShift, defined } from '../analysis/length-summary.ts';
import { comparedCells, type GenerateCell, type JudgedShift, mergeBatches } from './assemble.ts';
import type { Story } from './model.ts';

/** A sample worth reading, still without its texts. */
export type StoryPick = Omit<Story, 'prompt' | 'base' | 'comp'> & {
  cellKey: string;
  baselineKey: string;
  replicate: number;
};

/** The prompts with the largest |D| (two per compressor at most), then those that got slowest. */
export function pickStories(cells: readonly GenerateCell[], byLength = 4, byTime = 2): StoryPick[] {
  const compressed = comparedCells(cells).filter((c) => !c.inert && c.baselineKey !== null);
  const told = mergeBatches(compressed).map((group) => group[0]!);
  const candidate = (cell: GenerateCell, row: DefinedShift & JudgedShift, timeRatio: number | null): StoryPick => ({
    why: row.d < 0 ? 'longest' : 'shortest',
    label: cell.label,
    batch: cell.batch,
    cellKey: cell.key,
    baselineKey: cell.baselineKey!,
    promptKey: row.promptKey,
    replicate: row.replicate,
    d: row.d,
    firstDiff: row.firstDiff,
    beyondNoise: row.beyondNoise,
    timeRatio,
  });
  const candidates = (cell: GenerateCell) => {
    const key = (row: { promptKey: string; replicate: number }) => `${row.promptKey}\n${row.replicate}`;
    const ratios = new Map(cell.times.map((pair) => [key(pair), pair.timeRatio]));
    return defined(cell.shifts).map((row) => candidate(cell, row, ratios.get(key(row)) ?? null));
  };
  const same = (a: StoryPick, b: StoryPick) => a.label === b.label && a.promptKey === b.promptKey;
  const picks: StoryPick[] = [];
  const take = (ranked: StoryPick[], count: number, perLabel: number) => {
    const taken: StoryPick[] = [];
    for (const pick of ranked) {
      if (taken.length >= count) break;
      if (taken.filter((other) => other.label === pick.label).length >= perLabel) continue;
      if (![...picks, ...taken].some((other) => same(other, pick))) taken.push(pick);
    }
    picks.push(...taken);
  };
  const byD = told.flatMap(candidates).filter((pick) => pick.d !== 0);
  take(
    byD.sort((a, b) => Math.abs(b.d) - Math.abs(a.d)),
    byLength,
    2,
  );
  const slow = compressed.flatMap(candidates).filter((pick) => (pick.timeRatio ?? 0) > 1);
  take(
    slow.map((pick) => ({ ...pick, why: 'slowest' as const })).sort((a, b) => b.timeRatio! - a.timeRatio!),
    byTime,
    byTime,
  );
  return picks;
}
