/**
 * Several data sets of one model and sampling, taken together: sums of their pairs, so every pair counts once and a data
 * set by its number of prompts. Intervals are not pooled; those of a data set stand in its own part. Pure.
 */
import { floorOf } from '../analysis/noise-floor.ts';
import { type MergeableSummary, merge } from '../analysis/summaries.ts';
import { comparedCells, type GenerateCell, type SettingFacts } from './assemble.ts';
import type { PooledLatency, PooledLengthEntry, PooledSetting } from './model.ts';
import { groupBy } from './read/rows.ts';
import { pooledLengths, timesOf } from './read/summaries.ts';

export interface PoolableSetting {
  facts: SettingFacts;
  cells: readonly GenerateCell[];
}

/** One entry per model, backend and sampling with several data sets; none if a data set comes twice (with other limits). */
export function poolSettings(settings: readonly PoolableSetting[]): PooledSetting[] {
  const groups = groupBy(settings, keyOf);
  return groups.flatMap((group) => {
    const datasets = group.map(({ facts }) => facts.dataset);
    if (group.length < 2 || new Set(datasets).size < datasets.length) return [];
    const { model, backend, sampling } = group[0]!.facts;
    const nPrompts = group.reduce((sum, { facts }) => sum + facts.nPrompts, 0);
    return [{ model, backend, sampling, datasets, nPrompts, ...pooled(group) }];
  });
}

const keyOf = ({ facts }: PoolableSetting) => JSON.stringify([facts.model, facts.backend, facts.sampling]);

type Member = { dataset: string; cell: GenerateCell; floor: MergeableSummary | null };

function pooled(group: readonly PoolableSetting[]): Pick<PooledSetting, 'lengths' | 'latencies' | 'neverActed'> {
  const members = group.flatMap(({ facts, cells }) =>
    comparedCells(cells).map((cell): Member => ({ dataset: facts.dataset, cell, floor: floorSums(cell, cells) })),
  );
  const entries = groupBy(members, pointOf).flatMap((all) => {
    const acting = all.filter((m) => !m.cell.inert && m.cell.sums && m.cell.sums.whole.n > 0);
    if (acting.length === 0) return [];
    const { label, batch } = acting[0]!.cell;
    return [{ label, batch, inert: all.filter((m) => m.cell.inert).length, acting }];
  });
  const ran = new Set(members.filter((m) => m.cell.sums || m.cell.inert).map((m) => m.cell.label));
  const acted = new Set(members.filter((m) => m.cell.sums && !m.cell.inert).map((m) => m.cell.label));
  return {
    neverActed: [...ran].filter((label) => !acted.has(label)),
    lengths: mergeBatches(entries.map((entry) => lengthEntry(entry))),
    latencies: entries.flatMap(({ label, batch, inert, acting }): PooledLatency[] => {
      const summary = timesOf(acting.map((m) => m.cell.sums!.whole).reduce(merge));
      return summary ? [{ label, batch, inert, summary }] : [];
    }),
  };
}

const pointOf = ({ cell }: Member) => JSON.stringify([cell.label, cell.batch]);

/** Sums of the noise cell that the cell is held against; null = the floor was not measured. */
function floorSums(cell: GenerateCell, cells: readonly GenerateCell[]): MergeableSummary | null {
  const noise = cells.filter(
    (other) => other.noiseKind !== null && other.baselineKey === cell.baselineKey && other.sums,
  );
  return floorOf(noise.map((run) => ({ kind: run.noiseKind!, no: run.noiseNo!, run })))?.run.sums?.whole ?? null;
}

function lengthEntry(entry: { label: string; batch: number; inert: number; acting: Member[] }): PooledLengthEntry {
  const { label, batch, inert, acting } = entry;
  const floors = acting.map((m) => m.floor);
  const tasks = new Map<string, MergeableSummary>();
  for (const { taskType, sums } of acting.flatMap((m) => m.cell.sums!.tasks)) {
    const known = tasks.get(taskType);
    tasks.set(taskType, known ? merge(known, sums) : sums);
  }
  const byTask = [...tasks].flatMap(([taskType, sums]) =>
    sums.n > 0 ? [{ taskType, lengths: pooledLengths(sums) }] : [],
  );
  return {
    label,
    batches: [batch],
    inert,
    all: pooledLengths(acting.map((m) => m.cell.sums!.whole).reduce(merge)),
    // a floor over fewer data sets than the compressor's would be another mixture of prompts
    noise: floors.every((floor) => floor !== null) ? pooledLengths(floors.reduce(merge)) : null,
    byDataset: acting.map((m) => ({ dataset: m.dataset, lengths: pooledLengths(m.cell.sums!.whole) })),
    byTask: byTask.length > 1 ? byTask.sort((a, b) => (a.taskType < b.taskType ? -1 : 1)) : [],
  };
}

/** Batch sizes that gave the same lengths everywhere are told once. */
function mergeBatches(entries: readonly PooledLengthEntry[]): PooledLengthEntry[] {
  const out = new Map<string, PooledLengthEntry>();
  for (const entry of entries) {
    const key = JSON.stringify([entry.label, entry.byDataset]);
    const known = out.get(key);
    out.set(key, known ? { ...known, batches: [...known.batches, ...entry.batches] } : entry);
  }
  return [...out.values()];
}

/** The data sets at both ends of the total length ratio; null if there is but one value. */
export function ratioRange(
  entry: PooledLengthEntry,
): { least: { dataset: string; ratio: number }; most: { dataset: string; ratio: number } } | null {
  const ratios = entry.byDataset.flatMap(({ dataset, lengths }) =>
    lengths.ratioOfMeans === null ? [] : [{ dataset, ratio: lengths.ratioOfMeans }],
  );
  if (ratios.length < 2) return null;
  ratios.sort((a, b) => a.ratio - b.ratio);
  return { least: ratios[0]!, most: ratios.at(-1)! };
}

/** Whether a setting is told within a pool. */
export function isPooled(pools: readonly PooledSetting[], facts: SettingFacts): boolean {
  return pools.some(
    (p) =>
      p.model === facts.model &&
      p.backend === facts.backend &&
      p.sampling === facts.sampling &&
      p.datasets.includes(facts.dataset),
  );
}
