/**
 * Counts of negatives over a whole cell at once: every rule and every theta of the grid in one pass over columns of
 * scores. A sample's drop is measured once, as the number of thetas that it reaches; counts are sums from the far end.
 */
import {
  dropLevel,
  isEligible,
  isRobustNegative,
  isStable,
  netTest,
  type ReplicateScores,
  RULE_NAMES,
  RULES,
  type RuleName,
  THETAS,
  type Thresholds,
  thresholdOf,
} from './negatives.ts';

/** Pairs of a cell and its baseline in columns of equal length. */
export interface ScoreColumns {
  base: Float64Array;
  score: Float64Array;
  /** Per pair, what the replicates of its record say; null = not measured. */
  replicates: readonly (ReplicateScores | null)[] | null;
}

/** Arrays [rules x thetas], rule by rule in the order of `RULE_NAMES`; eligible [rules]. */
export interface NegativeCounts {
  n: number;
  eligible: number[];
  negatives: number[];
  mirrored: number[];
  /** null without replicates. */
  stable: number[] | null;
  robust: number[] | null;
  /** Means over the negatives; null where there are none. */
  meanBase: (number | null)[];
  meanScore: (number | null)[];
  /** Exact binomial p of negatives against mirrored. */
  p: number[];
}

/** Rules that differ in what is counted; `artifact` counts as `median` does and weighs the sums. */
export const COUNTED_RULES = ['default', 'median', 'mean'] as const satisfies readonly RuleName[];
const BITS_PER_LEVEL = 4;

/**
 * One pair under every counted rule: 4 bits each for the number of thetas at which it is negative (bits 0-11, in the
 * order of COUNTED_RULES) and mirrored (bits 12-23).
 */
export function packLevels(base: number, score: number, thresholds: Thresholds): number {
  const down = dropLevel(base, score);
  const up = dropLevel(score, base);
  let packed = 0;
  if (down > 0 || up > 0) {
    COUNTED_RULES.forEach((rule, r) => {
      const threshold = thresholdOf(thresholds, rule);
      if (isEligible(base, threshold, rule)) packed |= down << (BITS_PER_LEVEL * r);
      if (isEligible(score, threshold, rule)) packed |= up << (BITS_PER_LEVEL * (r + COUNTED_RULES.length));
    });
  }
  return packed;
}

export function levelOf(packed: number, rule: (typeof COUNTED_RULES)[number], side: 'negative' | 'mirrored'): number {
  const at = COUNTED_RULES.indexOf(rule) + (side === 'mirrored' ? COUNTED_RULES.length : 0);
  return (packed >> (BITS_PER_LEVEL * at)) & 15;
}

/** Robust negatives of a record: bit 8 * rule + theta, both in their order. */
export function packRobust(replicates: ReplicateScores | null, thresholds: Thresholds | null): number {
  if (!replicates || !thresholds) return 0;
  let packed = 0;
  COUNTED_RULES.forEach((rule, r) => {
    const threshold = thresholdOf(thresholds, rule);
    THETAS.forEach((theta, t) => {
      if (isRobustNegative(replicates, threshold, theta, rule)) packed |= 1 << (THETAS.length * r + t);
    });
  });
  return packed;
}

export interface CountInput {
  columns: ScoreColumns;
  /** Levels of each pair, as `packLevels` gives them. */
  levels: Int32Array;
  /** As `packRobust` gives them; null without replicates. */
  robust: Int32Array | null;
  thresholds: Thresholds;
  /** Indices of the pairs to count; null = all. */
  within: readonly number[] | null;
  isPassageCount: boolean;
}

/** Sums over pairs by the level they reach: [levels 0..8] per counted rule. */
function tally(input: CountInput) {
  const { columns, levels, robust, thresholds, within } = input;
  const width = THETAS.length + 1;
  const rules = COUNTED_RULES.length;
  const zero = () => new Float64Array(rules * width);
  const sums = { down: zero(), up: zero(), base: zero(), score: zero() };
  const eligible = new Float64Array(rules);
  const robustAt = new Float64Array(rules * THETAS.length);
  const stableAt = new Float64Array(rules * THETAS.length);
  const limits = COUNTED_RULES.map((rule) => thresholdOf(thresholds, rule));
  const n = within ? within.length : columns.base.length;
  for (let k = 0; k < n; k++) {
    const i = within ? within[k]! : k;
    const base = columns.base[i]!;
    const packed = levels[i]!;
    const mask = robust ? robust[i]! : 0;
    const replicates = columns.replicates?.[i] ?? null;
    for (let r = 0; r < rules; r++) {
      const isIn = isEligible(base, limits[r]!, COUNTED_RULES[r]!);
      if (isIn) {
        eligible[r]!++;
        const down = (packed >> (BITS_PER_LEVEL * r)) & 15;
        sums.down[r * width + down]!++;
        sums.base[r * width + down]! += base;
        sums.score[r * width + down]! += columns.score[i]!;
      }
      sums.up[r * width + ((packed >> (BITS_PER_LEVEL * (r + rules))) & 15)]!++;
      if (replicates === null) continue;
      for (let t = 0; t < THETAS.length; t++) {
        if ((mask >> (THETAS.length * r + t)) & 1) robustAt[r * THETAS.length + t]!++;
        if (isIn && isStable(replicates, THETAS[t]!)) stableAt[r * THETAS.length + t]!++;
      }
    }
  }
  return { n, eligible, sums, robustAt, stableAt };
}

/** Counts, means and p values of a cell, or of the pairs of one task type. */
export function countNegatives(input: CountInput): NegativeCounts {
  const { n, eligible, sums, robustAt, stableAt } = tally(input);
  const width = THETAS.length + 1;
  const counts: NegativeCounts = {
    n,
    eligible: [],
    negatives: [],
    mirrored: [],
    stable: input.columns.replicates ? [] : null,
    robust: input.columns.replicates ? [] : null,
    meanBase: [],
    meanScore: [],
    p: [],
  };
  for (const rule of RULE_NAMES) {
    const r = COUNTED_RULES.indexOf((rule === 'artifact' ? 'median' : rule) as (typeof COUNTED_RULES)[number]);
    const weight = input.isPassageCount ? RULES[rule].passageCountWeight : 1;
    // reached theta t = level above t
    const from = (column: Float64Array, t: number) => {
      let sum = 0;
      for (let level = THETAS.length; level > t; level--) sum += column[r * width + level]!;
      return sum;
    };
    counts.eligible.push(weight * eligible[r]!);
    for (let t = 0; t < THETAS.length; t++) {
      const negatives = from(sums.down, t);
      const mirrored = from(sums.up, t);
      counts.negatives.push(weight * negatives);
      counts.mirrored.push(weight * mirrored);
      counts.stable?.push(weight * stableAt[r * THETAS.length + t]!);
      counts.robust?.push(weight * robustAt[r * THETAS.length + t]!);
      counts.meanBase.push(negatives > 0 ? from(sums.base, t) / negatives : null);
      counts.meanScore.push(negatives > 0 ? from(sums.score, t) / negatives : null);
      // of records: a record that is weighed twice is no second observation
      counts.p.push(binomialP(negatives, mirrored));
    }
  }
  return counts;
}

const known = new Map<number, number>();

/** The same few counts come back in every cell: each p is computed once. */
function binomialP(negatives: number, mirrored: number): number {
  const key = negatives * 2 ** 26 + mirrored;
  let p = known.get(key);
  if (p === undefined) {
    p = netTest(negatives, mirrored).p;
    if (known.size > 100_000) known.clear();
    known.set(key, p);
  }
  return p;
}
