/** From the summaries of cells to what a report says of one `generate` workload. Pure: reads nothing, rounds nothing. */
import type { LatencySummary, PairTimes } from '../analysis/latency.ts';
import type { LengthShift } from '../analysis/length-shift.ts';
import type { LengthSummary } from '../analysis/length-summary.ts';
import { floorOf } from '../analysis/noise-floor.ts';
import { holm } from '../analysis/statistics.ts';
import type { MergeableSummary } from '../analysis/summaries.ts';
import { groupBy } from '../workflows/group-by.ts';
import type {
  BaselineFacts,
  CacheEntry,
  Estimated,
  EstimateName,
  GenerationSetting,
  LatencyEntry,
  LengthEntry,
  NoiseFloor,
  TaskLengths,
} from './model.ts';

/** A length difference held against the noise floor; null = no floor, or no D. */
export type JudgedShift = LengthShift & { beyondNoise: boolean | null };

/** The stored summary of a cell against its baseline. */
export interface CellLengths {
  summary: LengthSummary;
  /** 61 counts. */
  histogram: number[];
  /** 95 % quantile of |D|. */
  absD95: number | null;
  nMissing: number;
  nMismatch: number;
  nClusters: number;
  tasks: TaskLengths[];
}

export interface CellSums {
  whole: MergeableSummary;
  tasks: { taskType: string; sums: MergeableSummary }[];
}

/** One finished `generate` cell; a noise cell is paired with the baseline it replicates. */
export interface GenerateCell {
  key: string;
  label: string;
  batch: number;
  isBaseline: boolean;
  baselineKey: string | null;
  noiseKind: string | null;
  noiseNo: number | null;
  inert: boolean;
  /** Null before aggregation, and for a baseline. */
  lengths: CellLengths | null;
  /** What the pairs add up to, by task type too; for pooling over data sets. */
  sums: CellSums | null;
  /** Null where the device classes differ. */
  latency: LatencySummary | null;
  estimates: Partial<Record<EstimateName, Estimated>>;
  /** The cell's own answers. */
  own: { n: number; nCut: number; medianLength: number | null } | null;
  cache: Omit<CacheEntry, 'label' | 'batch' | 'inert'> | null;
  /** Single pairs, for dots and stories; empty where there are too many to read. */
  shifts: JudgedShift[];
  times: Pick<PairTimes, 'promptKey' | 'replicate' | 'timeRatio'>[];
}

/** What names a workload in a report. */
export type SettingFacts = Pick<
  GenerationSetting,
  'model' | 'backend' | 'dataset' | 'maxNewTokens' | 'sampling' | 'nPrompts'
>;

export function assembleGeneration(
  facts: SettingFacts,
  cells: readonly GenerateCell[],
): Omit<GenerationSetting, 'stories' | 'ownLargest'> {
  const baselines = cells.filter((cell) => cell.isBaseline && cell.noiseKind === null);
  const compressed = comparedCells(cells);
  const floors = floorsOf(cells);
  const lengths = mergeBatches(compressed).map((group) => lengthEntry(group, floors.get(group[0]!.baselineKey ?? '')));
  return {
    ...facts,
    baselines: byBatch(baselines).flatMap((cell) => baselineFacts(cell, cells, floors.get(cell.key) ?? null)),
    lengths: adjust(lengths),
    latencies: compressed.flatMap(latencyEntry),
    caches: [...baselines, ...compressed].flatMap((cell) =>
      cell.cache ? [{ ...cell.cache, label: cell.label, batch: cell.batch, inert: cell.inert }] : [],
    ),
  };
}

/** Cells with a compressor; its replicates serve the robust negatives alone. */
export function comparedCells(cells: readonly GenerateCell[]): GenerateCell[] {
  return cells.filter((cell) => !cell.isBaseline && cell.noiseKind === null);
}

const byBatch = <Cell extends { batch: number }>(cells: readonly Cell[]) =>
  [...cells].sort((a, b) => a.batch - b.batch);

/** The noise floor of each baseline that has one, by its key. */
function floorsOf(cells: readonly GenerateCell[]): Map<string, NoiseFloor> {
  const out = new Map<string, NoiseFloor>();
  for (const [key, noise] of groupBy(
    cells.filter((c) => c.noiseKind !== null && c.lengths),
    (c) => c.baselineKey ?? '',
  )) {
    const floor = floorOf(noise.map((cell) => ({ kind: cell.noiseKind!, no: cell.noiseNo!, cell })));
    const lengths = floor?.cell.lengths;
    if (!floor || !lengths || lengths.summary.n === 0) continue;
    const { summary, absD95, histogram } = lengths;
    out.set(key, {
      kind: floor.kind,
      n: summary.n,
      shareSame: summary.shareSame!,
      d95: absD95!,
      gt50: summary.gt50!.value,
      longer50: summary.longer50!.value,
      shorter50: summary.shorter50!.value,
      ds: dsOf(floor.cell),
      histogram,
    });
  }
  return out;
}

const dsOf = (cell: GenerateCell): number[] => cell.shifts.flatMap((row) => (row.d === null ? [] : [row.d]));

function baselineFacts(cell: GenerateCell, cells: readonly GenerateCell[], noise: NoiseFloor | null): BaselineFacts[] {
  if (!cell.own || cell.own.n === 0) return [];
  const reruns = cells.filter((c) => c.noiseKind === 'rerun' && c.baselineKey === cell.key && c.lengths);
  return [
    {
      batch: cell.batch,
      n: cell.own.n,
      censored: cell.own.nCut / cell.own.n,
      medianLength: cell.own.medianLength,
      noise,
      nondeterministic:
        reruns.length === 0 ? null : reruns.some((other) => (other.lengths!.summary.shareSame ?? 1) < 1),
    },
  ];
}

/** Cells of one label whose lengths are the same at several batch sizes: their story is one. */
export function mergeBatches(cells: readonly GenerateCell[]): GenerateCell[][] {
  // an inert cell has nothing to compare, but is told as inert
  const told = byBatch(cells).filter((cell) => (cell.lengths?.summary.n ?? 0) > 0 || cell.inert);
  const groups = groupBy(told, ({ label, lengths, inert }) =>
    JSON.stringify([label, inert ? null : [lengths!.summary, lengths!.histogram]]),
  );
  const order = new Map([...new Set(cells.map((cell) => cell.label))].map((label, i) => [label, i]));
  return [...groups.values()].sort((a, b) => order.get(a[0]!.label)! - order.get(b[0]!.label)!);
}

function lengthEntry(group: readonly GenerateCell[], noise: NoiseFloor | undefined): LengthEntry {
  const cell = group[0]!;
  const { lengths } = cell;
  return {
    label: cell.label,
    batches: group.map((member) => member.batch),
    inert: cell.inert,
    nClusters: lengths?.nClusters ?? 0,
    nMissing: lengths?.nMissing ?? 0,
    nMismatch: lengths?.nMismatch ?? 0,
    summary: lengths?.summary ?? NOTHING,
    estimates: cell.estimates,
    pHolm: null,
    ds: dsOf(cell),
    histogram: lengths?.histogram ?? [],
    noise: noise ?? null,
    tasks: lengths?.tasks ?? [],
  };
}

const NOTHING: LengthSummary = {
  n: 0,
  nUndefined: 0,
  gt50: null,
  longer50: null,
  shorter50: null,
  shareSame: null,
  shareNear: null,
  quantiles: [],
  iqr: null,
  ratioOfMeans: null,
  geoRatio: null,
  meanOfRatios: null,
  medianRatio: null,
  censoredBase: null,
  censoredComp: null,
  stopMissed: 0,
  stopEarly: 0,
};

/** Holm over the compressors that are compared; an inert one is no comparison. */
function adjust(entries: LengthEntry[]): LengthEntry[] {
  const tested = entries.filter((entry) => !entry.inert && entry.estimates.mean_log_ratio?.p !== undefined);
  const adjusted = holm(tested.map((entry) => entry.estimates.mean_log_ratio!.p!));
  const at = new Map(tested.map((entry, i) => [entry, adjusted[i]!]));
  return entries.map((entry) => ({ ...entry, pHolm: at.get(entry) ?? null }));
}

function latencyEntry(cell: GenerateCell): LatencyEntry[] {
  if (!cell.latency) return [];
  return [
    {
      label: cell.label,
      batch: cell.batch,
      inert: cell.inert,
      summary: cell.latency,
      serviceRatio: cell.estimates.service_ratio ?? null,
      nClusters: cell.lengths?.nClusters ?? cell.latency.n,
      ratios: cell.times.map((pair) => pair.timeRatio),
    },
  ];
}
