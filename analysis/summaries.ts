/**
 * Summaries that add up: merging two of them is the summary of both sets of pairs, so a histogram by batch size, task
 * type or sweep never reads samples again.
 */

import { lengthHistogram } from './histogram.ts';
import type { PairTimes } from './latency.ts';
import type { PairedShifts } from './length-shift.ts';
import { defined, SHARES } from './length-summary.ts';

/** All fields are sums over pairs or arrays of them. */
export interface MergeableSummary {
  n: number;
  nUndefined: number;
  nMissing: number;
  nMismatch: number;
  gt50: number;
  longer50: number;
  longer50Certain: number;
  longer50Possible: number;
  shorter50: number;
  same: number;
  near: number;
  censoredBase: number;
  censoredComp: number;
  stopMissed: number;
  stopEarly: number;
  /** 60 bins of D and the underflow. */
  histogram: number[];
  sumBase: number;
  sumComp: number;
  sumLogRatio: number;
  nLogRatio: number;
  nTimed: number;
  prefillBaseMs: number;
  prefillCompMs: number;
  decodeBaseMs: number;
  decodeCompMs: number;
  stepsBase: number;
  stepsComp: number;
  slower: number;
  paradox: number;
  /** Log-linear buckets of L_comp, sparse: bucket -> count. */
  lengthBuckets: Record<string, number>;
  /** The same of the service time in microseconds. */
  serviceBuckets: Record<string, number>;
}

/** Log-linear bucket of a non-negative integer: floor(8 * log2(x + 1)), within 9 % from 100 on. */
export function bucketOf(x: number): number {
  // log2 of exact powers of two is exact in V8, so edges such as x = 2^k - 1 fall into the upper bucket as they should
  return Math.floor(8 * Math.log2(x + 1));
}

/** The values [lo, hi) of a bucket. */
export function bucketBounds(bucket: number): [lo: number, hi: number] {
  return [2 ** (bucket / 8) - 1, 2 ** ((bucket + 1) / 8) - 1];
}

function countBuckets(values: Iterable<number>): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const value of values) {
    const bucket = bucketOf(value);
    counts[bucket] = (counts[bucket] ?? 0) + 1;
  }
  return counts;
}

/** Approximate quantile from buckets: the geometric middle of the bucket that holds it. */
export function bucketQuantile(buckets: Record<string, number>, q: number): number | null {
  const entries = Object.entries(buckets).map(([b, n]) => [Number(b), n] as const);
  entries.sort((a, b) => a[0] - b[0]);
  const total = entries.reduce((sum, [, n]) => sum + n, 0);
  if (total === 0) return null;
  let seen = 0;
  for (const [bucket, n] of entries) {
    seen += n;
    if (seen > (total - 1) * q) return 2 ** ((bucket + 0.5) / 8) - 1;
  }
  return null;
}

export function summarise(shifts: PairedShifts, times: readonly PairTimes[]): MergeableSummary {
  const rows = defined(shifts.rows);
  const count = (test: (row: (typeof rows)[number]) => boolean) => rows.filter(test).length;
  const sum = <Row>(of: readonly Row[], pick: (row: Row) => number) => of.reduce((total, row) => total + pick(row), 0);
  const ratios = rows.filter((row) => row.lComp > 0);
  return {
    n: rows.length,
    nUndefined: shifts.rows.length - rows.length,
    nMissing: shifts.nMissing,
    nMismatch: shifts.nMismatch,
    gt50: count((row) => SHARES.gt50.event(row.d)),
    longer50: count((row) => SHARES.longer50.event(row.d)),
    longer50Certain: count((row) => SHARES.longer50.certain(row.dLo, row.dHi)),
    longer50Possible: count((row) => SHARES.longer50.possible(row.dLo, row.dHi)),
    shorter50: count((row) => SHARES.shorter50.event(row.d)),
    same: count((row) => row.same),
    near: count((row) => Math.abs(row.d) <= 0.05),
    censoredBase: count((row) => row.censor === 'base' || row.censor === 'both'),
    censoredComp: count((row) => row.censor === 'comp' || row.censor === 'both'),
    stopMissed: count((row) => row.stopMissed),
    stopEarly: count((row) => row.stopEarly),
    histogram: lengthHistogram(rows),
    sumBase: sum(rows, (row) => row.lBase),
    sumComp: sum(rows, (row) => row.lComp),
    sumLogRatio: sum(ratios, (row) => Math.log(row.lComp / row.lBase)),
    nLogRatio: ratios.length,
    nTimed: times.length,
    prefillBaseMs: sum(times, (t) => t.base.prefillMs),
    prefillCompMs: sum(times, (t) => t.comp.prefillMs),
    decodeBaseMs: sum(times, (t) => t.base.decodeMs),
    decodeCompMs: sum(times, (t) => t.comp.decodeMs),
    stepsBase: sum(times, (t) => t.base.steps),
    stepsComp: sum(times, (t) => t.comp.steps),
    slower: times.filter((t) => t.timeRatio > 1).length,
    paradox: times.filter((t) => t.paradox).length,
    lengthBuckets: countBuckets(rows.map((row) => row.lComp)),
    serviceBuckets: countBuckets(times.map((t) => Math.round(t.comp.serviceMs * 1000))),
  };
}

/** Adds two summaries field by field. */
export function merge(a: MergeableSummary, b: MergeableSummary): MergeableSummary {
  const out: Record<string, unknown> = {};
  for (const [key, left] of Object.entries(a)) {
    const right = b[key as keyof MergeableSummary];
    if (Array.isArray(left)) out[key] = left.map((v, i) => v + (right as number[])[i]!);
    else if (typeof left === 'object') {
      const total = { ...left };
      for (const [bucket, n] of Object.entries(right as Record<string, number>))
        total[bucket] = (total[bucket] ?? 0) + n;
      out[key] = total;
    } else out[key] = left + (right as number);
  }
  return out as unknown as MergeableSummary;
}
