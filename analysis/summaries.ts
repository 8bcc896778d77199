/**
 * Summaries that add up: merging two of them is the summary of both sets of pairs, so a histogram by batch size, task
 * type or sweep never reads samples again. `PairTally` is the one place where pairs are counted, whether they come as
 * rows or as columns.
 */
import { type PairedRows, type SampleColumns, sameDigest } from './columns.ts';
import { D_BINS, histogramBin } from './histogram.ts';
import { decodeSteps, type PairTimes } from './latency.ts';
import { type Censor, censorInterval, lengthDifference, type PairedShifts } from './length-shift.ts';
import { D_QUANTILES, SHARES } from './length-summary.ts';
import { quantileSorted } from './quantiles.ts';
import { kaplanMeier, type LengthObservation } from './survival.ts';

/** All fields are sums over pairs or arrays of them. */
export interface MergeableSummary {
  /** Pairs with a D; the counts that follow are of these. */
  n: number;
  nUndefined: number;
  nMissing: number;
  nMismatch: number;
  gt50: number;
  gt50Certain: number;
  gt50Possible: number;
  longer50: number;
  longer50Certain: number;
  longer50Possible: number;
  shorter50: number;
  shorter50Certain: number;
  shorter50Possible: number;
  same: number;
  near: number;
  censoredBase: number;
  censoredComp: number;
  /** 60 bins of D and the underflow. */
  histogram: number[];
  sumBase: number;
  sumComp: number;
  sumD: number;
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

/** What does not add up, exact for the pairs of one summary. */
export interface ExactSummary {
  /** Of D, in the order of `D_QUANTILES`. */
  quantiles: (number | null)[];
  /** 95 % quantile of |D|: the noise floor, if the cell is a noise cell. */
  absD95: number | null;
  /** Of service_comp / service_base. */
  ratioP50: number | null;
  ratioP95: number | null;
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

/** Buckets up to 2^53. */
const BUCKETS = 8 * 53 + 1;

function sparse(counts: Float64Array): Record<string, number> {
  const out: Record<string, number> = {};
  for (let bucket = 0; bucket < counts.length; bucket++) if (counts[bucket]! > 0) out[bucket] = counts[bucket]!;
  return out;
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

type Counts = { [K in keyof MergeableSummary as MergeableSummary[K] extends number ? K : never]: number };

const zeroes = (): Counts => ({
  n: 0,
  nUndefined: 0,
  nMissing: 0,
  nMismatch: 0,
  gt50: 0,
  gt50Certain: 0,
  gt50Possible: 0,
  longer50: 0,
  longer50Certain: 0,
  longer50Possible: 0,
  shorter50: 0,
  shorter50Certain: 0,
  shorter50Possible: 0,
  same: 0,
  near: 0,
  censoredBase: 0,
  censoredComp: 0,
  sumBase: 0,
  sumComp: 0,
  sumD: 0,
  sumLogRatio: 0,
  nLogRatio: 0,
  nTimed: 0,
  prefillBaseMs: 0,
  prefillCompMs: 0,
  decodeBaseMs: 0,
  decodeCompMs: 0,
  stepsBase: 0,
  stepsComp: 0,
  slower: 0,
  paradox: 0,
});

const CENSORS: readonly Censor[] = ['none', 'comp', 'base', 'both'];

/** Counts pairs one at a time. @param capacity the most pairs that will be added */
export class PairTally {
  readonly counts = zeroes();
  readonly #histogram = new Float64Array(D_BINS + 1);
  readonly #lengths = new Float64Array(BUCKETS);
  readonly #services = new Float64Array(BUCKETS);
  readonly #d: Float64Array;
  readonly #ratios: Float64Array;

  constructor(capacity: number) {
    this.#d = new Float64Array(capacity);
    this.#ratios = new Float64Array(capacity);
  }

  addLengths(lBase: number, lComp: number, censor: Censor, same: boolean): void {
    const c = this.counts;
    const d = lengthDifference(lBase, lComp);
    if (lBase > 0 && lComp > 0) {
      c.sumLogRatio += Math.log(lComp / lBase);
      c.nLogRatio++;
    }
    if (d === null) {
      c.nUndefined++;
      return;
    }
    const [lo, hi] = censorInterval(d, censor);
    this.#d[c.n++] = d;
    c.gt50 += Number(SHARES.gt50.event(d));
    c.gt50Certain += Number(SHARES.gt50.certain(lo, hi));
    c.gt50Possible += Number(SHARES.gt50.possible(lo, hi));
    c.longer50 += Number(SHARES.longer50.event(d));
    c.longer50Certain += Number(SHARES.longer50.certain(lo, hi));
    c.longer50Possible += Number(SHARES.longer50.possible(lo, hi));
    c.shorter50 += Number(SHARES.shorter50.event(d));
    c.shorter50Certain += Number(SHARES.shorter50.certain(lo, hi));
    c.shorter50Possible += Number(SHARES.shorter50.possible(lo, hi));
    c.same += Number(same);
    c.near += Number(Math.abs(d) <= 0.05);
    c.censoredBase += Number(censor === 'base' || censor === 'both');
    c.censoredComp += Number(censor === 'comp' || censor === 'both');
    c.sumBase += lBase;
    c.sumComp += lComp;
    c.sumD += d;
    this.#histogram[histogramBin(lBase, lComp)]!++;
    this.#lengths[bucketOf(lComp)]!++;
  }

  /** Times of a pair whose baseline took any; in ms. */
  addTimes(
    prefillBase: number,
    decodeBase: number,
    stepsBase: number,
    prefillComp: number,
    decodeComp: number,
    stepsComp: number,
  ): void {
    const c = this.counts;
    const base = prefillBase + decodeBase;
    const comp = prefillComp + decodeComp;
    const faster = stepsBase > 0 && stepsComp > 0 && decodeComp / stepsComp < decodeBase / stepsBase;
    this.#ratios[c.nTimed++] = comp / base;
    c.prefillBaseMs += prefillBase;
    c.prefillCompMs += prefillComp;
    c.decodeBaseMs += decodeBase;
    c.decodeCompMs += decodeComp;
    c.stepsBase += stepsBase;
    c.stepsComp += stepsComp;
    c.slower += Number(comp / base > 1);
    c.paradox += Number(faster && comp > base);
    this.#services[bucketOf(Math.round(comp * 1000))]!++;
  }

  summary(): MergeableSummary {
    return {
      ...this.counts,
      histogram: [...this.#histogram],
      lengthBuckets: sparse(this.#lengths),
      serviceBuckets: sparse(this.#services),
    };
  }

  get differences(): Float64Array {
    return this.#d.subarray(0, this.counts.n);
  }

  get timeRatios(): Float64Array {
    return this.#ratios.subarray(0, this.counts.nTimed);
  }
}

/** The summary of rows, as one makes them for a single cell. */
export function summarise(shifts: PairedShifts, times: readonly PairTimes[]): MergeableSummary {
  const tally = new PairTally(Math.max(shifts.rows.length, times.length));
  for (const row of shifts.rows) tally.addLengths(row.lBase, row.lComp, row.censor, row.same);
  for (const { base, comp } of times)
    tally.addTimes(base.prefillMs, base.decodeMs, base.steps, comp.prefillMs, comp.decodeMs, comp.steps);
  tally.counts.nMissing = shifts.nMissing;
  tally.counts.nMismatch = shifts.nMismatch;
  return tally.summary();
}

/**
 * The summary of all pairs of two cells, one per group of prompts; groups add up to the whole.
 * @param groupOf group of each prompt, by its index in the prompt set
 * @param isTimed the times of the two cells may be compared
 */
export function tallyColumns(
  base: SampleColumns,
  comp: SampleColumns,
  pairs: PairedRows,
  groupOf: (promptIdx: number) => number,
  nGroups: number,
  isTimed: boolean,
): PairTally[] {
  const tallies = Array.from({ length: nGroups }, () => new PairTally(pairs.base.length));
  for (let k = 0; k < pairs.base.length; k++) {
    const i = pairs.base[k]!;
    const j = pairs.comp[k]!;
    const tally = tallies[groupOf(base.promptIdx[i]!)]!;
    const isCutBase = base.finish[i] === 1 || base.finish[i] === 2;
    const isCutComp = comp.finish[j] === 1 || comp.finish[j] === 2;
    const censor = CENSORS[(isCutComp ? 1 : 0) + (isCutBase ? 2 : 0)]!;
    tally.addLengths(base.newTokens[i]!, comp.newTokens[j]!, censor, sameDigest(base.outSha, i, comp.outSha, j));
    if (!isTimed) continue;
    const serviceBase = base.prefillUs[i]! + base.decodeUs[i]!;
    // NaN if either time is unknown, on either side
    if (!(serviceBase > 0) || Number.isNaN(comp.prefillUs[j]! + comp.decodeUs[j]!)) continue;
    tally.addTimes(
      base.prefillUs[i]! / 1000,
      base.decodeUs[i]! / 1000,
      decodeSteps(base.newTokens[i]!, base.stopId[i]! < 0 ? null : base.stopId[i]!),
      comp.prefillUs[j]! / 1000,
      comp.decodeUs[j]! / 1000,
      decodeSteps(comp.newTokens[j]!, comp.stopId[j]! < 0 ? null : comp.stopId[j]!),
    );
  }
  for (const prompt of pairs.missing) tallies[groupOf(prompt)]!.counts.nMissing++;
  for (const prompt of pairs.mismatch) tallies[groupOf(prompt)]!.counts.nMismatch++;
  return tallies;
}

/** Exact quantiles over the pairs of some tallies. */
export function exactSummary(tallies: readonly PairTally[]): ExactSummary {
  const d = joined(tallies.map((tally) => tally.differences));
  const ratios = joined(tallies.map((tally) => tally.timeRatios));
  const size = d.map(Math.abs).sort();
  d.sort();
  ratios.sort();
  return {
    quantiles: D_QUANTILES.map((q) => quantileSorted(d, q)),
    absD95: quantileSorted(size, 0.95),
    ratioP50: quantileSorted(ratios, 0.5),
    ratioP95: quantileSorted(ratios, 0.95),
  };
}

function joined(parts: readonly Float64Array[]): Float64Array {
  const out = new Float64Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** Lengths of a cell's own answers, whatever it is compared with. */
export interface OwnLengths {
  n: number;
  nCut: number;
  sumTokens: number;
  /** Median by Kaplan and Meier; null = beyond the longest seen. */
  medianKm: number | null;
  lengthBuckets: Record<string, number>;
}

/** One per group of prompts, then the whole. */
export function ownLengths(cell: SampleColumns, groupOf: (promptIdx: number) => number, nGroups: number): OwnLengths[] {
  const groups: LengthObservation[][] = Array.from({ length: nGroups }, () => []);
  for (let i = 0; i < cell.finish.length; i++) {
    if (cell.finish[i] === 3 || cell.newTokens[i]! < 0) continue;
    groups[groupOf(cell.promptIdx[i]!)]!.push({ length: cell.newTokens[i]!, cut: cell.finish[i] !== 0 });
  }
  return [...groups, groups.flat()].map((observed) => {
    const buckets = new Float64Array(BUCKETS);
    let nCut = 0;
    let sumTokens = 0;
    for (const { length, cut } of observed) {
      buckets[bucketOf(length)]!++;
      nCut += Number(cut);
      sumTokens += length;
    }
    const medianKm = kaplanMeier(observed).median;
    return { n: observed.length, nCut, sumTokens, medianKm, lengthBuckets: sparse(buckets) };
  });
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
