/** All intervals and tests of one cell, as the rows that aggregation stores. */
import { bootstrap, clustersOf, DEFAULT_RESAMPLES, type Statistic } from './bootstrap.ts';
import { LATENCY_STATISTICS, type PairTimes } from './latency.ts';
import type { LengthShift } from './length-shift.ts';
import { LENGTH_STATISTICS } from './length-statistics.ts';
import { SHARES, type ShareName } from './length-summary.ts';
import { excess } from './noise-floor.ts';
import { DEFAULT_FLIPS, lengthRatioTest, wilson } from './statistics.ts';

/** Raised when any number computed here may change, so that stored rows can be told apart and computed again. */
export const ANALYSIS_VERSION = 'kvsweep-analysis-2';

export interface Estimate {
  statistic: string;
  value: number | null;
  lo: number | null;
  hi: number | null;
  p: number | null;
  /** Pairs. */
  n: number;
  nClusters: number;
  /** Resamples or sign flips. */
  b: number;
  seed: number;
  version: string;
}

/** Scored tokens of one prompt on both sides: sums of natural-log probabilities, and how many tokens. */
export interface ScoredPair {
  promptKey: string;
  logprobBase: number;
  logprobComp: number;
  tokensBase: number;
  tokensComp: number;
}

/** ln perplexity minus that of the baseline, over the prompts that both scored. */
const LOG_PPL: Statistic<ScoredPair> = {
  name: 'log_ppl',
  sums: (pair) => [pair.logprobBase, pair.tokensBase, pair.logprobComp, pair.tokensComp],
  value: ([base, nBase, comp, nComp]) => base! / nBase! - comp! / nComp!,
};

export function perplexityEstimates(
  pairs: readonly ScoredPair[],
  seed: number,
  resamples = DEFAULT_RESAMPLES,
): Estimate[] {
  return estimate(pairs, LOG_PPL, seed, resamples);
}

export interface CellPairs {
  shifts: readonly LengthShift[];
  /** Empty if the times must not be compared. */
  times: readonly PairTimes[];
  /** Pairs of the noise floor's cell; null = the floor was not measured. */
  noise: readonly LengthShift[] | null;
}

/** One after the other, so that a caller with much data can breathe between two of them. */
export function* cellEstimates(pairs: CellPairs, seed: number, resamples = DEFAULT_RESAMPLES): Generator<Estimate> {
  const { shifts, times, noise } = pairs;
  for (const statistic of LENGTH_STATISTICS) yield* estimate(shifts, statistic, seed, resamples);
  yield* ratioTest(shifts, seed);
  for (const statistic of LATENCY_STATISTICS) yield* estimate(times, statistic, seed, resamples);
  if (!noise) return;
  for (const name of Object.keys(SHARES) as ShareName[]) yield* excessOf(shifts, noise, name, seed, resamples);
}

/** Statistic, interval and what it rests on; nothing if no pair takes part. */
function estimate<Row extends { promptKey: string }>(
  rows: readonly Row[],
  statistic: Statistic<Row>,
  seed: number,
  resamples: number,
): Estimate[] {
  const used = rows.filter((row) => statistic.sums(row) !== null);
  const clusters = clustersOf(used);
  const interval = bootstrap(clusters, statistic, seed, resamples);
  if (!interval) return [];
  const { value } = interval;
  // a share of 0 or 1 has the same value in every resample: its bootstrap interval would claim certainty
  const flat = statistic.name.startsWith('share_') && (value === 0 || value === 1);
  const { lo, hi } = flat ? wilson(value * clusters.length, clusters.length) : interval;
  return [row(statistic.name, { value, lo, hi, p: null }, used.length, clusters.length, resamples, seed)];
}

function ratioTest(shifts: readonly LengthShift[], seed: number): Estimate[] {
  const used = shifts.filter((shift) => shift.lBase > 0 && shift.lComp > 0);
  const clusters = clustersOf(used);
  const test = lengthRatioTest(clusters, seed);
  if (!test) return [];
  const result = { value: test.statistic, lo: null, hi: null, p: test.p };
  return [row('mean_log_ratio', result, used.length, clusters.length, DEFAULT_FLIPS, seed)];
}

function excessOf(
  shifts: readonly LengthShift[],
  noise: readonly LengthShift[],
  name: ShareName,
  seed: number,
  resamples: number,
): Estimate[] {
  const result = excess(shifts, noise, name, seed, resamples);
  return result ? [row(`excess_share_${name}`, result, result.n, result.nClusters, resamples, seed)] : [];
}

function row(
  statistic: string,
  { value, lo, hi, p }: Pick<Estimate, 'value' | 'lo' | 'hi' | 'p'>,
  n: number,
  nClusters: number,
  b: number,
  seed: number,
): Estimate {
  return { statistic, value, lo, hi, p, n, nClusters, b, seed, version: ANALYSIS_VERSION };
}
