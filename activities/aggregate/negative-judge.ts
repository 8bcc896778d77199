/** From the scores of a cell under one metric to what is stored of them: counts per task type, and the sparse set. */
import {
  addTallies,
  countsOf,
  type NegativeCounts,
  packLevels,
  tallyNegatives,
} from '../../analysis/negative-counts.ts';
import { type BaseReplicates, greatestScores, robustMask } from '../../analysis/negative-replicates.ts';
import type { Thresholds } from '../../analysis/negatives.ts';
import type { RunRef } from '../ledger.ts';
import { type Aligned, align, REPLICATE_SPAN, recordsOf, type ScoreColumn } from './score-columns.ts';

export interface JudgeInput {
  run: RunRef;
  baseline: RunRef;
  base: ScoreColumn & { thresholds: Thresholds; replicates: BaseReplicates | null; floor: ScoreColumn | null };
  own: ScoreColumn;
  twins: readonly RunRef[];
  twinColumns: readonly ScoreColumn[];
  isNoise: boolean;
  types: { names: string[]; at: Int16Array } | null;
}

export interface SummaryPart extends NegativeCounts {
  /** '' = all. */
  taskType: string;
  noiseNegatives: number[] | null;
}

export interface SparseSet {
  sampleIdx: number[];
  /** null: all 0. */
  rep: number[] | null;
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
  const { run, baseline, base, own, twins, isNoise } = input;
  const pairs = align(base, own);
  const records = recordsOf(pairs.keys);
  const levels = packLevels(pairs.base, pairs.score, base.thresholds);
  const replicates =
    isNoise || !base.replicates ? null : masksOf(base.replicates, records, [own, ...input.twinColumns]);
  const floor = isNoise || !base.floor ? null : noiseCounts(input);
  const types = input.types;
  const tallies = tallyNegatives({
    ...pairs,
    levels,
    thresholds: base.thresholds,
    replicates,
    group: types && groupOf(types, records),
    groups: types?.names.length ?? 0,
  });
  const part = (taskType: string, of: typeof tallies): SummaryPart => ({
    taskType,
    ...countsOf(addTallies(of)),
    noiseNegatives: floor && floor.get(taskType)!,
  });
  const parts = [part('', tallies)];
  types?.names.forEach((name, t) => {
    if (tallies[t]!.n > 0) parts.push(part(name, [tallies[t]!]));
  });
  const { metric, variant } = own;
  return {
    run,
    baseline,
    twins,
    metric,
    variant,
    parts,
    set: sparse(pairs, records, levels, replicates?.robust ?? null),
  };
}

function masksOf(base: BaseReplicates, records: Int32Array, runs: readonly ScoreColumn[]) {
  const most = greatestScores(runs);
  const stable = new Uint8Array(records.length);
  const robust = new Int32Array(records.length);
  for (let i = 0; i < records.length; i++) {
    const record = records[i]!;
    stable[i] = base.stable[record] ?? 0;
    robust[i] = robustMask(base, record, most[record]!);
  }
  return { stable, robust };
}

function groupOf(types: { at: Int16Array }, records: Int32Array): Int16Array {
  const group = new Int16Array(records.length);
  for (let i = 0; i < records.length; i++) group[i] = types.at[records[i]!] ?? -1;
  return group;
}

/** Of the baselines whose floor was counted, by task type: the cells of one baseline share it. */
const floors = new WeakMap<JudgeInput['base'], Map<string, number[]>>();

/** Negatives between the baseline and its noise floor, by task type; '' = all. */
function noiseCounts({ base, types }: JudgeInput): Map<string, number[]> {
  const known = floors.get(base);
  if (known) return known;
  const pairs = align(base, base.floor!);
  const records = recordsOf(pairs.keys);
  const tallies = tallyNegatives({
    ...pairs,
    levels: packLevels(pairs.base, pairs.score, base.thresholds),
    thresholds: base.thresholds,
    replicates: null,
    group: types && groupOf(types, records),
    groups: types?.names.length ?? 0,
  });
  const of = (list: typeof tallies) => countsOf(addTallies(list)).negatives;
  const counts = new Map([['', of(tallies)]]);
  types?.names.forEach((name, t) => void counts.set(name, of([tallies[t]!])));
  floors.set(base, counts);
  return counts;
}

function sparse(pairs: Aligned, records: Int32Array, levels: Int32Array, robust: Int32Array | null): SparseSet {
  const set = {
    sampleIdx: [] as number[],
    rep: [] as number[],
    levels: [] as number[],
    robust: robust && ([] as number[]),
  };
  let hasReplicates = false;
  for (let i = 0; i < levels.length; i++) {
    if (levels[i] === 0 && !robust?.[i]) continue;
    // 0 against 0: negative under `median` for want of anything lower, at every theta
    if (pairs.base[i] === 0 && pairs.score[i] === 0) continue;
    const rep = pairs.keys[i]! % REPLICATE_SPAN;
    hasReplicates ||= rep > 0;
    set.sampleIdx.push(records[i]!);
    set.rep.push(rep);
    set.levels.push(levels[i]!);
    set.robust?.push(robust![i]!);
  }
  return { ...set, rep: hasReplicates ? set.rep : null };
}
