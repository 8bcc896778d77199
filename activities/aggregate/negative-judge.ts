/** From the pairs of a cell under one metric to what is stored of them: counts per task type, and the sparse set. */
import { countNegatives, type NegativeCounts, packLevels } from '../../analysis/negative-counts.ts';
import type { ReplicateScores, Thresholds } from '../../analysis/negatives.ts';
import type { RunRef } from '../ledger.ts';
import { type Aligned, REPLICATE_SPAN } from './score-columns.ts';

export interface JudgeInput {
  run: RunRef;
  baseline: RunRef;
  twins: readonly RunRef[];
  metric: string;
  variant: string;
  pairs: Aligned;
  levels: Int32Array;
  robust: Int32Array | null;
  replicates: (ReplicateScores | null)[] | null;
  /** The baseline beside its noise floor. */
  floor: Aligned | null;
  thresholds: Thresholds;
  isPassageCount: boolean;
  typeOf: { names: string[]; at: Int16Array } | null;
}

export interface SummaryPart extends NegativeCounts {
  /** '' = all. */
  taskType: string;
  noiseNegatives: number[] | null;
}

export interface SparseSet {
  sampleIdx: number[];
  rep: number[];
  base: number[];
  score: number[];
  levels: number[];
  robust: number[] | null;
}

export interface Judged {
  run: RunRef;
  baseline: RunRef;
  twins: readonly RunRef[];
  metric: string;
  variant: string;
  parts: SummaryPart[];
  set: SparseSet;
}

export function judge(input: JudgeInput): Judged {
  const { run, baseline, twins, metric, variant, typeOf } = input;
  const own = byType(input.pairs, typeOf);
  const floor = input.floor && byType(input.floor, typeOf);
  const floorLevels =
    input.floor &&
    Int32Array.from(input.floor.keys, (_, i) =>
      packLevels(input.floor!.base[i]!, input.floor!.score[i]!, input.thresholds),
    );
  const count = (columns: Aligned, levels: Int32Array, within: number[] | null, isOwn: boolean) =>
    countNegatives({
      columns: { base: columns.base, score: columns.score, replicates: isOwn ? input.replicates : null },
      levels,
      robust: isOwn ? input.robust : null,
      thresholds: input.thresholds,
      within,
      isPassageCount: input.isPassageCount,
    });
  const part = (taskType: string, within: number[] | null, floorWithin: number[] | null): SummaryPart => ({
    taskType,
    ...count(input.pairs, input.levels, within, true),
    noiseNegatives: input.floor && floorLevels && count(input.floor, floorLevels, floorWithin, false).negatives,
  });
  const parts = [part('', null, null)];
  for (const [type, within] of own ?? []) parts.push(part(type, within, floor?.get(type) ?? []));
  return { run, baseline, twins, metric, variant, parts, set: sparse(input) };
}

/** Indices of the pairs by task type; null if the prompts have none. */
function byType({ keys }: Aligned, typeOf: JudgeInput['typeOf']): Map<string, number[]> | null {
  if (!typeOf) return null;
  const out = new Map<string, number[]>();
  const lists = typeOf.names.map((): number[] => []);
  for (let i = 0; i < keys.length; i++) lists[typeOf.at[Math.floor(keys[i]! / REPLICATE_SPAN)] ?? -1]?.push(i);
  typeOf.names.forEach((name, t) => {
    if (lists[t]!.length > 0) out.set(name, lists[t]!);
  });
  return out;
}

function sparse({ pairs, levels, robust }: JudgeInput): SparseSet {
  const set: SparseSet = { sampleIdx: [], rep: [], base: [], score: [], levels: [], robust: robust && [] };
  for (let i = 0; i < levels.length; i++) {
    if (levels[i] === 0 && !robust?.[i]) continue;
    // 0 against 0: negative under `median` for want of anything lower, at every theta
    if (pairs.base[i] === 0 && pairs.score[i] === 0) continue;
    const key = pairs.keys[i]!;
    set.sampleIdx.push(Math.floor(key / REPLICATE_SPAN));
    set.rep.push(key % REPLICATE_SPAN);
    set.base.push(pairs.base[i]!);
    set.score.push(pairs.score[i]!);
    set.levels.push(levels[i]!);
    set.robust?.push(robust![i]!);
  }
  return set;
}
