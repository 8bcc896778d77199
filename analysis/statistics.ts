/** Tests and intervals that need no model of the data: exact counts and flips of signs. */
import { SplitMix64 } from './random.ts';

export const DEFAULT_FLIPS = 9999;
/** Two sums of the same terms in another order may differ in the last bits; such ties count as hits. */
const TIE = 1e-12;

/** Wilson interval of k of n at 95 %: usable where a share is 0 or 1 and a bootstrap has no width. */
export function wilson(k: number, n: number, z = 1.959964): { lo: number; hi: number } {
  const p = k / n;
  const z2 = z * z;
  const centre = (p + z2 / (2 * n)) / (1 + z2 / n);
  const half = (z / (1 + z2 / n)) * Math.sqrt((p * (1 - p)) / n + z2 / (4 * n * n));
  return { lo: Math.max(0, centre - half), hi: Math.min(1, centre + half) };
}

/** Exact two-sided sign test: p = min(1, 2 * sum_{i <= min(k, n-k)} C(n, i) / 2^n). */
export function signTest(longer: number, shorter: number): number {
  const n = longer + shorter;
  if (n === 0) return 1;
  // in logarithms, for 2^n leaves the doubles at n = 1024
  let logTerm = -n * Math.LN2;
  let sum = 0;
  for (let i = 0; i <= Math.min(longer, shorter); i++) {
    sum += Math.exp(logTerm);
    logTerm += Math.log((n - i) / (i + 1));
  }
  return Math.min(1, 2 * sum);
}

/** Sign test over clusters: mean length change > 0 against < 0, no change left out. */
export function clusterSignTest(clusters: readonly { lBase: number; lComp: number }[][]): number {
  const changes = clusters.map((rows) => rows.reduce((sum, row) => sum + row.lComp - row.lBase, 0));
  return signTest(changes.filter((c) => c > 0).length, changes.filter((c) => c < 0).length);
}

export interface FlipResult {
  statistic: number;
  hits: number;
  p: number;
}

/**
 * Sign-flip permutation: each cluster keeps or flips its sum; the statistic is the total over `n`.
 * @param sums one sum per cluster, in key order
 * @param n what the total is divided by: samples, or clusters
 */
export function signFlip(
  sums: readonly number[],
  n: number,
  key: string,
  sides: 'two' | 'upper',
  flips = DEFAULT_FLIPS,
): FlipResult {
  const statistic = sums.reduce((total, s) => total + s, 0) / n;
  // nothing to flip: every resample ties
  if (sums.every((s) => s === 0)) return { statistic, hits: flips, p: 1 };
  const measure = (t: number) => (sides === 'two' ? Math.abs(t) : t);
  const random = SplitMix64.fromKey(key);
  const values = Float64Array.from(sums);
  const coins = new Int32Array(values.length);
  let hits = 0;
  for (let b = 0; b < flips; b++) {
    random.coins(coins);
    let total = 0;
    // the top bit of each draw as a sign: 1 or -1
    for (let i = 0; i < values.length; i++) total += values[i]! * ((coins[i]! >> 31) | 1);
    if (measure(total / n) >= measure(statistic) - TIE) hits++;
  }
  return { statistic, hits, p: (1 + hits) / (flips + 1) };
}

/** Is the mean log length ratio other than zero? "Not noise among prompts", not "bigger than the noise floor". */
export function lengthRatioTest(
  clusters: readonly { lBase: number; lComp: number }[][],
  seed: number | string,
  flips = DEFAULT_FLIPS,
): FlipResult | null {
  const logs = clusters
    .map((rows) => rows.filter((row) => row.lBase > 0 && row.lComp > 0).map((row) => Math.log(row.lComp / row.lBase)))
    .filter((ys) => ys.length > 0);
  const n = logs.reduce((count, ys) => count + ys.length, 0);
  if (n === 0) return null;
  const sums = logs.map((ys) => ys.reduce((sum, y) => sum + y, 0));
  return signFlip(sums, n, `kvsweep-perm-1|mean_log_ratio|${seed}`, 'two', flips);
}

/** Holm's step-down adjustment, in the order given. */
export function holm(pValues: readonly number[]): number[] {
  const order = pValues.map((_, i) => i).sort((a, b) => pValues[a]! - pValues[b]!);
  const adjusted = new Array<number>(pValues.length);
  let floor = 0;
  order.forEach((index, rank) => {
    floor = Math.max(floor, Math.min(1, (pValues.length - rank) * pValues[index]!));
    adjusted[index] = floor;
  });
  return adjusted;
}
