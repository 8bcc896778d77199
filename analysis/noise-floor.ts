/**
 * How much two uncompressed runs differ, and what a compressor adds to that. Outputs change already when only the
 * order of sums changes; a share of changed answers means little before this floor is taken off.
 */
import { bootstrap, clustersOf, DEFAULT_RESAMPLES, type Interval, type Statistic } from './bootstrap.ts';
import type { LengthShift } from './length-shift.ts';
import { defined, SHARES, type ShareName } from './length-summary.ts';
import { quantile } from './quantiles.ts';
import { DEFAULT_FLIPS, type FlipResult, signFlip } from './statistics.ts';

/** Kinds of noise cell that make a floor, the preferred first. `rerun` is a check: any difference there is a bug. */
export const FLOOR_KINDS = ['seed', 'batch', 'backend'] as const;

export interface NoiseCell<Row = LengthShift> {
  kind: string;
  no: number;
  rows: readonly Row[];
}

/** The noise cell that serves as floor: the preferred kind, lowest number. null = floor not measured. */
export function floorOf<Cell extends { kind: string; no: number }>(cells: readonly Cell[]): Cell | null {
  for (const kind of FLOOR_KINDS) {
    const ofKind = cells.filter((cell) => cell.kind === kind).sort((a, b) => a.no - b.no);
    if (ofKind[0]) return ofKind[0];
  }
  return null;
}

/** 95 % quantile of |D| between two uncompressed runs. */
export function noiseD95(rows: readonly LengthShift[]): number | null {
  return quantile(
    defined(rows).map((row) => Math.abs(row.d)),
    0.95,
  );
}

/** One prompt and replicate seen under the compressor and under the noise cell. */
export interface NoisePair {
  promptKey: string;
  replicate: number;
  dComp: number;
  dNoise: number;
}

/** Only prompts that both sides answered: anything else would compare different prompts. */
export function noisePairs(rows: readonly LengthShift[], noise: readonly LengthShift[]): NoisePair[] {
  const key = (row: LengthShift) => `${row.promptKey}\n${row.replicate}`;
  const byKey = new Map(defined(noise).map((row) => [key(row), row.d]));
  return defined(rows).flatMap((row) => {
    const dNoise = byKey.get(key(row));
    return dNoise === undefined ? [] : [{ promptKey: row.promptKey, replicate: row.replicate, dComp: row.d, dNoise }];
  });
}

function excessStatistic(name: ShareName): Statistic<NoisePair> {
  const { event } = SHARES[name];
  return {
    name: `excess_share_${name}`,
    sums: (pair) => [Number(event(pair.dComp)) - Number(event(pair.dNoise)), 1],
    value: ([difference, n]) => difference! / n!,
  };
}

export interface Excess extends Interval {
  noiseShare: number;
  n: number;
  nClusters: number;
  /** One-sided: could compressed and noise outputs be exchanged? */
  p: number;
}

/** Share under the compressor minus share under noise, with a paired interval and the noise-floor test. */
export function excess(
  rows: readonly LengthShift[],
  noise: readonly LengthShift[],
  name: ShareName,
  seed: number | string,
  resamples = DEFAULT_RESAMPLES,
): Excess | null {
  const pairs = noisePairs(rows, noise);
  const clusters = clustersOf(pairs);
  const interval = bootstrap(clusters, excessStatistic(name), seed, resamples);
  if (!interval) return null;
  const noiseShare = pairs.filter((pair) => SHARES[name].event(pair.dNoise)).length / pairs.length;
  const { p } = excessTest(clusters, name, seed);
  return { ...interval, noiseShare, n: pairs.length, nClusters: clusters.length, p };
}

/** Sign-flip test over clusters of e = mean of [event in compressed] - [event in noise]. */
export function excessTest(
  clusters: readonly NoisePair[][],
  name: ShareName,
  seed: number | string,
  flips = DEFAULT_FLIPS,
): FlipResult {
  const { event } = SHARES[name];
  const e = clusters.map(
    (pairs) =>
      pairs.reduce((sum, pair) => sum + Number(event(pair.dComp)) - Number(event(pair.dNoise)), 0) / pairs.length,
  );
  return signFlip(e, e.length, `kvsweep-perm-1|excess_share_${name}|${seed}`, 'upper', flips);
}
