/**
 * Negative samples: prompts that the uncompressed model handles well and the compressed one does not. One table says what
 * the rules mean; the comparisons are written in the one form whose ties are agreed on: `!(b * (1 - theta) < s)`.
 */
import { ascending, quantileSorted } from './quantiles.ts';
import { signTest } from './statistics.ts';

/** The grid of theta, in percent; theta itself is percent / 100 in doubles. */
export const THETA_PERCENTS = [1, 2, 4, 8, 10, 16, 24, 32] as const;
export const THETAS: readonly number[] = THETA_PERCENTS.map((percent) => percent / 100);
/** Where nothing else is said. */
export const HEADLINE_THETA = 0.1;

export interface NegativeRule {
  /** Which statistic of the baseline's scores a record has to reach. */
  threshold: 'median' | 'mean';
  /** The score that is looked at has to be above 0 too. */
  positive: boolean;
  /** How often a record of `passage_count` enters a sum. */
  passageCountWeight: 1 | 2;
  about: string;
}

export const RULES = {
  default: { threshold: 'median', positive: true, passageCountWeight: 1, about: 'median, and above 0' },
  median: { threshold: 'median', positive: false, passageCountWeight: 1, about: 'median; 0 against 0 counts' },
  mean: { threshold: 'mean', positive: false, passageCountWeight: 1, about: "mean: the artifact's record extractor" },
  artifact: {
    threshold: 'median',
    positive: false,
    passageCountWeight: 2,
    about: "median with passage_count twice: the artifact's plot",
  },
} as const satisfies Record<string, NegativeRule>;
export type RuleName = keyof typeof RULES;
export const RULE_NAMES = Object.keys(RULES) as RuleName[];
/** Rules that differ in what is counted; `artifact` counts as `median` does and weighs the sums. */
export const COUNTED_RULES = ['default', 'median', 'mean'] as const satisfies readonly RuleName[];

export interface Thresholds {
  n: number;
  median: number;
  mean: number;
}

/** From the scores of the baseline alone; null without any. */
export function thresholdsOf(scores: ArrayLike<number>): Thresholds | null {
  const n = scores.length;
  const median = quantileSorted(ascending(scores as Float64Array), 0.5);
  if (median === null) return null;
  let sum = 0;
  for (let i = 0; i < n; i++) sum += scores[i]!;
  return { n, median, mean: sum / n };
}

export function thresholdOf(thresholds: Pick<Thresholds, 'median' | 'mean'>, rule: RuleName): number {
  return thresholds[RULES[rule].threshold];
}

export function isEligible(base: number, threshold: number, rule: RuleName): boolean {
  return base >= threshold && (!RULES[rule].positive || base > 0);
}

/** The score fell by theta or more: this exact form, in doubles. */
export function isDrop(from: number, to: number, theta: number): boolean {
  return !(from * (1 - theta) < to);
}

export function isNegative(base: number, score: number, threshold: number, theta: number, rule: RuleName): boolean {
  return isEligible(base, threshold, rule) && isDrop(base, score, theta);
}

/** The same with the roles swapped, at the same threshold: what noise alone would give. */
export function isMirrored(base: number, score: number, threshold: number, theta: number, rule: RuleName): boolean {
  return isNegative(score, base, threshold, theta, rule);
}

/** At how many thetas of the grid the score fell so far. A drop at one theta is a drop at every smaller one. */
export function dropLevel(from: number, to: number): number {
  let level = 0;
  while (level < THETAS.length && isDrop(from, to, THETAS[level]!)) level++;
  return level;
}

/** Exact two-sided binomial p of `negatives` among negatives + mirrored at 1/2. */
export function netTest(negatives: number, mirrored: number): { net: number; p: number } {
  return { net: negatives - mirrored, p: signTest(negatives, mirrored) };
}

/** What the replicates of one record say: two uncompressed runs or more, and one compressed run or more. */
export interface ReplicateScores {
  baseMin: number;
  baseMax: number;
  baseMean: number;
  scoreMax: number;
}

/** null with fewer than two uncompressed runs: nothing is known of their noise then. */
export function replicateScores(bases: readonly number[], scores: readonly number[]): ReplicateScores | null {
  if (bases.length < 2 || scores.length === 0) return null;
  return {
    baseMin: Math.min(...bases),
    baseMax: Math.max(...bases),
    baseMean: bases.reduce((sum, b) => sum + b, 0) / bases.length,
    scoreMax: Math.max(...scores),
  };
}

/** The uncompressed runs agree within theta. */
export function isStable({ baseMin, baseMax }: Pick<ReplicateScores, 'baseMin' | 'baseMax'>, theta: number): boolean {
  return !(baseMax * (1 - theta) > baseMin);
}

/** @param threshold over the mean score per record */
export function isRobustNegative(r: ReplicateScores, threshold: number, theta: number, rule: RuleName): boolean {
  return isEligible(r.baseMean, threshold, rule) && isStable(r, theta) && isDrop(r.baseMin, r.scoreMax, theta);
}
