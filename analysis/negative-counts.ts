/**
 * Counts of negatives over a whole cell at once: every rule and every theta of the grid in one pass over columns of
 * scores. A sample's fall is measured once, as the number of thetas that it reaches; counts are sums from the far end.
 */
import { COUNTED_RULES, dropLevel, isEligible, netTest, THETAS, type Thresholds, thresholdOf } from './negatives.ts';

/**
 * Arrays [rules x thetas], rule by rule in the order of `COUNTED_RULES`; eligible [rules]. Rule `artifact` has the counts of
 * `median`, weighed by its reader.
 */
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

const RULE_COUNT = COUNTED_RULES.length;
const BITS_PER_LEVEL = 4;
/** Levels 0..8. */
const WIDTH = THETAS.length + 1;
const MASKS = 1 << THETAS.length;

/**
 * Each pair under every counted rule: 4 bits each for the number of thetas at which it is negative (bits 0-11, in the
 * order of COUNTED_RULES) and mirrored (bits 12-23).
 */
export function packLevels(base: Float64Array, score: Float64Array, thresholds: Thresholds): Int32Array {
  const limits = COUNTED_RULES.map((rule) => thresholdOf(thresholds, rule));
  const packed = new Int32Array(base.length);
  for (let i = 0; i < base.length; i++) {
    const b = base[i]!;
    const s = score[i]!;
    const down = dropLevel(b, s);
    const up = dropLevel(s, b);
    if (down === 0 && up === 0) continue;
    let bits = 0;
    for (let r = 0; r < RULE_COUNT; r++) {
      const rule = COUNTED_RULES[r]!;
      if (down > 0 && isEligible(b, limits[r]!, rule)) bits |= down << (BITS_PER_LEVEL * r);
      if (up > 0 && isEligible(s, limits[r]!, rule)) bits |= up << (BITS_PER_LEVEL * (r + RULE_COUNT));
    }
    packed[i] = bits;
  }
  return packed;
}

export function levelOf(packed: number, rule: (typeof COUNTED_RULES)[number], side: 'negative' | 'mirrored'): number {
  const at = COUNTED_RULES.indexOf(rule) + (side === 'mirrored' ? RULE_COUNT : 0);
  return (packed >> (BITS_PER_LEVEL * at)) & 15;
}

export interface TallyInput {
  /** Columns of one length: pairs of a cell and its baseline. */
  base: Float64Array;
  score: Float64Array;
  /** As `packLevels` gives them. */
  levels: Int32Array;
  thresholds: Thresholds;
  /** null without replicates. Per pair: bits of stable thetas, and of robust ones as `robustMask` gives them. */
  replicates: { stable: Uint8Array; robust: Int32Array } | null;
  /** Per pair the number of its group, or -1; null = no groups. */
  group: Int16Array | null;
  groups: number;
}

/** Sums over the pairs of a group; adding two of them is the tally of both groups. */
export interface Tally {
  n: number;
  eligible: Float64Array;
  /** [counted rules x levels] */
  down: Float64Array;
  up: Float64Array;
  sumBase: Float64Array;
  sumScore: Float64Array;
  /** [counted rules x masks of thetas]; null without replicates */
  stable: Float64Array | null;
  robust: Float64Array | null;
}

function emptyTally(withReplicates: boolean): Tally {
  const levels = () => new Float64Array(RULE_COUNT * WIDTH);
  const masks = () => (withReplicates ? new Float64Array(RULE_COUNT * MASKS) : null);
  return {
    n: 0,
    eligible: new Float64Array(RULE_COUNT),
    down: levels(),
    up: levels(),
    sumBase: levels(),
    sumScore: levels(),
    stable: masks(),
    robust: masks(),
  };
}

/** One tally per group, and a last one of the pairs that are in none. */
export function tallyNegatives(input: TallyInput): Tally[] {
  const { base, score, levels, thresholds, replicates, group, groups } = input;
  const limits = COUNTED_RULES.map((rule) => thresholdOf(thresholds, rule));
  const tallies = Array.from({ length: groups + 1 }, () => emptyTally(replicates !== null));
  for (let i = 0; i < base.length; i++) {
    const number = group ? group[i]! : -1;
    const tally = tallies[number < 0 ? groups : number]!;
    const b = base[i]!;
    const packed = levels[i]!;
    const stable = replicates ? replicates.stable[i]! : 0;
    const robust = replicates ? replicates.robust[i]! : 0;
    tally.n++;
    for (let r = 0; r < RULE_COUNT; r++) {
      if (isEligible(b, limits[r]!, COUNTED_RULES[r]!)) {
        const at = r * WIDTH + ((packed >> (BITS_PER_LEVEL * r)) & 15);
        tally.eligible[r]!++;
        tally.down[at]!++;
        tally.sumBase[at]! += b;
        tally.sumScore[at]! += score[i]!;
        if (stable !== 0) tally.stable![r * MASKS + stable]!++;
      }
      const up = (packed >> (BITS_PER_LEVEL * (r + RULE_COUNT))) & 15;
      if (up > 0) tally.up[r * WIDTH + up]!++;
      const mask = (robust >> (THETAS.length * r)) & (MASKS - 1);
      if (mask !== 0) tally.robust![r * MASKS + mask]!++;
    }
  }
  return tallies;
}

export function addTallies(tallies: readonly Tally[]): Tally {
  const sum = emptyTally(tallies.some((tally) => tally.stable !== null));
  for (const tally of tallies) {
    sum.n += tally.n;
    for (const key of ['eligible', 'down', 'up', 'sumBase', 'sumScore', 'stable', 'robust'] as const) {
      const [to, from] = [sum[key], tally[key]];
      if (to && from) for (let i = 0; i < to.length; i++) to[i]! += from[i]!;
    }
  }
  return sum;
}

/** Counts, means and p values of a tally. */
export function countsOf(tally: Tally): NegativeCounts {
  const counts: NegativeCounts = {
    n: tally.n,
    eligible: [],
    negatives: [],
    mirrored: [],
    stable: tally.stable && [],
    robust: tally.robust && [],
    meanBase: [],
    meanScore: [],
    p: [],
  };
  for (let r = 0; r < RULE_COUNT; r++) {
    const at = (column: Float64Array, t: number) => fromLevel(column, r, t);
    counts.eligible.push(tally.eligible[r]!);
    if (tally.stable) counts.stable!.push(...byTheta(tally.stable, r));
    if (tally.robust) counts.robust!.push(...byTheta(tally.robust, r));
    for (let t = 0; t < THETAS.length; t++) {
      const negatives = at(tally.down, t);
      const mirrored = at(tally.up, t);
      counts.negatives.push(negatives);
      counts.mirrored.push(mirrored);
      counts.meanBase.push(negatives > 0 ? at(tally.sumBase, t) / negatives : null);
      counts.meanScore.push(negatives > 0 ? at(tally.sumScore, t) / negatives : null);
      counts.p.push(binomialP(negatives, mirrored));
    }
  }
  return counts;
}

/** A pair reaches theta t if its level is above t. */
function fromLevel(column: Float64Array, r: number, t: number): number {
  let sum = 0;
  for (let level = THETAS.length; level > t; level--) sum += column[r * WIDTH + level]!;
  return sum;
}

function byTheta(masks: Float64Array, r: number): number[] {
  const out = THETAS.map(() => 0);
  for (let mask = 1; mask < MASKS; mask++) {
    const n = masks[r * MASKS + mask]!;
    if (n > 0) for (let t = 0; t < THETAS.length; t++) if ((mask >> t) & 1) out[t]! += n;
  }
  return out;
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
