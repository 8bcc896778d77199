/** From the rows of cells to what a report says of one `generate` workload. Pure: reads nothing, rounds nothing. */
import { clustersOf, FEW_CLUSTERS } from '../analysis/bootstrap.ts';
import { lengthHistogram } from '../analysis/histogram.ts';
import { type PairTimes, summariseLatency } from '../analysis/latency.ts';
import type { LengthShift } from '../analysis/length-shift.ts';
import { type DefinedShift, defined, summariseLengths } from '../analysis/length-summary.ts';
import { floorOf, noiseD95 } from '../analysis/noise-floor.ts';
import { holm } from '../analysis/statistics.ts';
import { kaplanMeier, type LengthObservation } from '../analysis/survival.ts';
import type {
  BaselineFacts,
  CacheEntry,
  Estimated,
  EstimateName,
  GenerationSetting,
  LatencyEntry,
  LengthEntry,
  NoiseFloor,
  Story,
} from './model.ts';

/** A length difference held against the noise floor; null = no floor, or no D. */
export type JudgedShift = LengthShift & { beyondNoise: boolean | null };

/** One finished `generate` cell with its pairs; a noise cell is paired with the baseline it replicates. */
export interface GenerateCell {
  key: string;
  label: string;
  batch: number;
  isBaseline: boolean;
  baselineKey: string | null;
  noiseKind: string | null;
  noiseNo: number | null;
  inert: boolean;
  shifts: JudgedShift[];
  nMissing: number;
  nMismatch: number;
  /** Empty where the device classes differ. */
  times: PairTimes[];
  estimates: Partial<Record<EstimateName, Estimated>>;
  /** Lengths of the cell's own samples. */
  lengths: LengthObservation[];
  cache: Omit<CacheEntry, 'label' | 'batch' | 'inert'> | null;
}

/** What names a workload in a report. */
export type SettingFacts = Pick<
  GenerationSetting,
  'model' | 'backend' | 'dataset' | 'maxNewTokens' | 'sampling' | 'nPrompts'
>;

export function assembleGeneration(
  facts: SettingFacts,
  cells: readonly GenerateCell[],
): Omit<GenerationSetting, 'stories'> {
  const baselines = cells.filter((cell) => cell.isBaseline && cell.noiseKind === null);
  const compressed = cells.filter((cell) => !cell.isBaseline && cell.noiseKind === null);
  const noiseOf = (baselineKey: string | null) => noiseFloor(noiseCells(cells, baselineKey));
  const lengths = mergeBatches(compressed).map((group) => lengthEntry(group, noiseOf(group[0]!.baselineKey)));
  return {
    ...facts,
    baselines: byBatch(baselines).map((cell) => baselineFacts(cell, noiseCells(cells, cell.key))),
    lengths: adjust(lengths),
    latencies: compressed.flatMap(latencyEntry),
    ownLargest: [],
    caches: [...baselines, ...compressed].flatMap((cell) =>
      cell.cache ? [{ ...cell.cache, label: cell.label, batch: cell.batch, inert: cell.inert }] : [],
    ),
  };
}

const byBatch = <Cell extends { batch: number }>(cells: readonly Cell[]) =>
  [...cells].sort((a, b) => a.batch - b.batch);

function noiseCells(cells: readonly GenerateCell[], baselineKey: string | null): GenerateCell[] {
  return cells.filter((cell) => cell.noiseKind !== null && cell.baselineKey === baselineKey && baselineKey !== null);
}

function baselineFacts(cell: GenerateCell, noise: readonly GenerateCell[]): BaselineFacts {
  const reruns = noise.filter((other) => other.noiseKind === 'rerun');
  return {
    batch: cell.batch,
    n: cell.lengths.length,
    censored: cell.lengths.filter((l) => l.cut).length / cell.lengths.length,
    medianLength: kaplanMeier(cell.lengths).median,
    noise: noiseFloor(noise),
    nondeterministic: reruns.length === 0 ? null : reruns.some((other) => other.shifts.some((row) => !row.same)),
  };
}

function noiseFloor(cells: readonly GenerateCell[]): NoiseFloor | null {
  const floor = floorOf(cells.map((cell) => ({ kind: cell.noiseKind!, no: cell.noiseNo!, cell })));
  const rows = defined(floor?.cell.shifts ?? []);
  if (!floor || rows.length === 0) return null;
  const summary = summariseLengths(rows);
  return {
    kind: floor.kind,
    n: summary.n,
    shareSame: summary.shareSame!,
    d95: noiseD95(rows)!,
    gt50: summary.gt50!.value,
    longer50: summary.longer50!.value,
    shorter50: summary.shorter50!.value,
    ds: rows.map((row) => row.d),
    histogram: lengthHistogram(rows),
  };
}

/** Cells of one label whose pairs are the same at several batch sizes: their length story is one. */
function mergeBatches(cells: readonly GenerateCell[]): GenerateCell[][] {
  const groups = new Map<string, GenerateCell[]>();
  for (const cell of byBatch(cells)) {
    // an inert cell has no pairs to compare, but is told as inert
    if (cell.shifts.length === 0 && !cell.inert) continue;
    const rows = cell.shifts.map((row) => [
      row.promptKey,
      row.replicate,
      row.lBase,
      row.lComp,
      row.firstDiff,
      row.same,
    ]);
    const key = JSON.stringify([cell.label, rows.sort()]);
    const group = groups.get(key);
    if (group) group.push(cell);
    else groups.set(key, [cell]);
  }
  const order = [...new Set(cells.map((cell) => cell.label))];
  return [...groups.values()].sort((a, b) => order.indexOf(a[0]!.label) - order.indexOf(b[0]!.label));
}

function lengthEntry(group: readonly GenerateCell[], noise: NoiseFloor | null): LengthEntry {
  const cell = group[0]!;
  const rows = defined(cell.shifts);
  return {
    label: cell.label,
    batches: group.map((member) => member.batch),
    inert: cell.inert,
    nClusters: clustersOf(rows).length,
    nMissing: cell.nMissing,
    nMismatch: cell.nMismatch,
    summary: summariseLengths(cell.shifts),
    estimates: cell.estimates,
    pHolm: null,
    ds: rows.map((row) => row.d),
    histogram: lengthHistogram(rows),
    noise,
    tasks: [],
  };
}

/** Holm over the compressors that are compared; an inert one is no comparison. */
function adjust(entries: LengthEntry[]): LengthEntry[] {
  const tested = entries.filter((entry) => !entry.inert && entry.estimates.mean_log_ratio?.p !== undefined);
  const adjusted = holm(tested.map((entry) => entry.estimates.mean_log_ratio!.p!));
  return entries.map((entry) => {
    const at = tested.indexOf(entry);
    return at < 0 ? entry : { ...entry, pHolm: adjusted[at]! };
  });
}

function latencyEntry(cell: GenerateCell): LatencyEntry[] {
  const summary = summariseLatency(cell.times);
  if (!summary) return [];
  return [
    {
      label: cell.label,
      batch: cell.batch,
      inert: cell.inert,
      summary,
      serviceRatio: cell.estimates.service_ratio ?? null,
      nClusters: clustersOf(cell.times).length,
      ratios: cell.times.map((pair) => pair.timeRatio),
    },
  ];
}

/** A sample worth reading, still without its texts. */
export type StoryPick = Omit<Story, 'prompt' | 'base' | 'comp'> & {
  cellKey: string;
  baselineKey: string;
  replicate: number;
};

/** The prompts with the largest |D| (two per compressor at most), then those that got slowest. */
export function pickStories(cells: readonly GenerateCell[], byLength = 4, byTime = 2): StoryPick[] {
  const compressed = cells.filter((c) => !c.isBaseline && c.noiseKind === null && !c.inert && c.baselineKey !== null);
  const told = mergeBatches(compressed).map((group) => group[0]!);
  const candidate = (cell: GenerateCell, row: DefinedShift & JudgedShift): StoryPick => ({
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
    timeRatio: timeOf(cell, row)?.timeRatio ?? null,
  });
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
  const byD = told.flatMap((cell) => defined(cell.shifts).map((row) => candidate(cell, row)));
  take(
    byD.filter((pick) => pick.d !== 0).sort((a, b) => Math.abs(b.d) - Math.abs(a.d)),
    byLength,
    2,
  );
  const slow = compressed.flatMap((cell) =>
    defined(cell.shifts)
      .map((row) => ({ ...candidate(cell, row), why: 'slowest' as const }))
      .filter((pick) => (pick.timeRatio ?? 0) > 1),
  );
  take(
    slow.sort((a, b) => b.timeRatio! - a.timeRatio!),
    byTime,
    byTime,
  );
  return picks;
}

function timeOf(cell: GenerateCell, row: LengthShift): PairTimes | undefined {
  return cell.times.find((pair) => pair.promptKey === row.promptKey && pair.replicate === row.replicate);
}

export function fewClusters(n: number): boolean {
  return n < FEW_CLUSTERS;
}
