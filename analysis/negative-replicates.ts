/**
 * The robust form over columns: what the uncompressed runs of each record say, once per baseline, and what a compressed
 * cell makes of it. Records are indices of a prompt set; thetas are bits in the order of the grid.
 */
import {
  COUNTED_RULES,
  dropLevel,
  isEligible,
  isStable,
  THETAS,
  type Thresholds,
  thresholdOf,
  thresholdsOf,
} from './negatives.ts';

/** Scores by record; a record may come more than once (sampled replicates). */
export interface RecordScores {
  records: ArrayLike<number>;
  scores: ArrayLike<number>;
}

export interface BaseReplicates {
  /** Over the mean score of each record. */
  thresholds: Thresholds;
  /** By record: least score over the uncompressed runs; NaN with fewer than two of them. */
  least: Float64Array;
  /** By record: bit t = the runs agree within theta t. */
  stable: Uint8Array;
  /** By record: bit r = the mean score is eligible under counted rule r. */
  eligible: Uint8Array;
}

/** null if no record has two uncompressed runs. Scores are summed in the order of the runs. */
export function baseReplicates(runs: readonly RecordScores[]): BaseReplicates | null {
  const size = 1 + greatestRecord(runs);
  const count = new Uint16Array(size);
  const least = new Float64Array(size).fill(Number.POSITIVE_INFINITY);
  const most = new Float64Array(size).fill(Number.NEGATIVE_INFINITY);
  const sum = new Float64Array(size);
  for (const { records, scores } of runs) {
    for (let i = 0; i < records.length; i++) {
      const record = records[i]!;
      const score = scores[i]!;
      count[record]!++;
      sum[record]! += score;
      if (score < least[record]!) least[record] = score;
      if (score > most[record]!) most[record] = score;
    }
  }
  const means: number[] = [];
  for (let i = 0; i < size; i++) if (count[i]! >= 2) means.push(sum[i]! / count[i]!);
  const thresholds = thresholdsOf(means);
  if (!thresholds) return null;
  const stable = new Uint8Array(size);
  const eligible = new Uint8Array(size);
  for (let i = 0; i < size; i++) {
    if (count[i]! < 2) {
      least[i] = Number.NaN;
      continue;
    }
    const runsOf = { baseMin: least[i]!, baseMax: most[i]! };
    for (let t = 0; t < THETAS.length; t++) if (isStable(runsOf, THETAS[t]!)) stable[i]! |= 1 << t;
    const mean = sum[i]! / count[i]!;
    COUNTED_RULES.forEach((rule, r) => {
      if (isEligible(mean, thresholdOf(thresholds, rule), rule)) eligible[i]! |= 1 << r;
    });
  }
  return { thresholds, least, stable, eligible };
}

/** By record the greatest score over the runs of a compressed cell; -1 where there is none. */
export function greatestScores(runs: readonly RecordScores[]): Float64Array {
  const most = new Float64Array(1 + greatestRecord(runs)).fill(-1);
  for (const { records, scores } of runs) {
    for (let i = 0; i < records.length; i++) {
      if (scores[i]! > most[records[i]!]!) most[records[i]!] = scores[i]!;
    }
  }
  return most;
}

function greatestRecord(runs: readonly RecordScores[]): number {
  let greatest = -1;
  for (const { records } of runs) for (let i = 0; i < records.length; i++) greatest = Math.max(greatest, records[i]!);
  return greatest;
}

/**
 * Robust negatives of a record: bit 8 * rule + theta. The fall from the least uncompressed to the greatest compressed
 * score holds at every theta up to one; stability may begin above that or below.
 */
export function robustMask(base: BaseReplicates, record: number, scoreMax: number): number {
  const least = base.least[record]!;
  const stable = base.stable[record]!;
  if (!(least >= 0) || stable === 0) return 0;
  const within = ((1 << dropLevel(least, scoreMax)) - 1) & stable;
  let mask = 0;
  for (let r = 0; r < COUNTED_RULES.length; r++) {
    if ((base.eligible[record]! >> r) & 1) mask |= within << (THETAS.length * r);
  }
  return mask;
}
