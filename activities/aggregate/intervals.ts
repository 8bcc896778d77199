/** Bootstrap intervals and permutation tests of a cell against its baseline: seconds a cell, so they come late. */
import { pairsOf, type SampleColumns } from '../../analysis/columns.ts';
import {
  ANALYSIS_VERSION,
  cellEstimates,
  type Estimate,
  perplexityEstimates,
  type ScoredPair,
} from '../../analysis/estimates.ts';
import { pairTimes } from '../../analysis/latency.ts';
import { lengthShifts } from '../../analysis/length-shift.ts';
import { floorOf } from '../../analysis/noise-floor.ts';
import type { Db } from '../database.ts';
import {
  type Breathe,
  type EstimateRow,
  type PromptColumns,
  type RunRef,
  readPromptColumns,
  readSampleColumns,
  readScoredColumns,
  replaceEstimates,
  runKey,
  type ScoredColumns,
  type StaleCell,
} from '../ledger.ts';
import { withBaselines } from './lengths.ts';
import type { AggregateOptions, Stage } from './stages.ts';

const DEFAULT_SEED = 42;

export const intervals: Stage = {
  name: 'intervals',
  version: ANALYSIS_VERSION,
  needs: 'family',
  workloads: ['generate', 'score'],
  batchSamples: 4_000,
  run: aggregateIntervals,
};

export async function aggregateIntervals(
  db: Db,
  cells: readonly StaleCell[],
  breathe: Breathe,
  { seed = DEFAULT_SEED, resamples }: AggregateOptions = {},
): Promise<void> {
  const generated = cells.filter((cell) => cell.workload === 'generate');
  const scored = cells.filter((cell) => cell.workload === 'score');
  const prompts = await readPromptColumns(
    db,
    cells.flatMap((cell) => cell.promptSet ?? []),
  );
  const floors = generated.flatMap((cell) => noiseFloorOf(cell) ?? []);
  const samples = await readSampleColumns(db, distinct([...withBaselines(generated), ...floors]));
  const sums = scored.length === 0 ? new Map() : await readScoredColumns(db, withBaselines(scored));
  const rows: (RunRef & EstimateRow)[] = [];
  for (const cell of cells) {
    const keys = prompts.get(cell.promptSet ?? '');
    if (!cell.baseline || !keys) continue;
    const estimates =
      cell.workload === 'score'
        ? perplexityEstimates(scoredPairs(cell, sums, keys), seed, resamples)
        : lengthEstimates(cell, samples, keys, seed, resamples);
    for (const estimate of estimates) {
      rows.push({ sweepNo: cell.sweepNo, cellNo: cell.cellNo, ...finite(estimate) });
      await breathe();
    }
  }
  await replaceEstimates(db, cells, rows);
}

function* lengthEstimates(
  cell: StaleCell,
  samples: ReadonlyMap<string, SampleColumns>,
  { keys }: PromptColumns,
  seed: number,
  resamples?: number,
): Generator<Estimate> {
  const own = samples.get(runKey(cell));
  const base = samples.get(runKey(cell.baseline!));
  if (!own || !base) return;
  const pairs = pairsOf(base, own, keys);
  const floor = noiseFloorOf(cell);
  const noise = floor && samples.get(runKey(floor));
  yield* cellEstimates(
    {
      shifts: lengthShifts(pairs).rows,
      times: cell.sameDevice ? pairTimes(pairs) : [],
      noise: noise ? lengthShifts(pairsOf(base, noise, keys)).rows : null,
    },
    seed,
    resamples,
  );
}

/** The noise cell that the cell is held against; null = the floor was not measured. */
function noiseFloorOf(cell: StaleCell): RunRef | null {
  // in the order of their numbers within a kind, so the position serves as number
  return floorOf(cell.noise.map((run, no) => ({ kind: run.noiseKind, no, run })))?.run ?? null;
}

function distinct(runs: readonly RunRef[]): RunRef[] {
  return [...new Map(runs.map((run) => [runKey(run), run])).values()];
}

function scoredPairs(cell: StaleCell, sums: ReadonlyMap<string, ScoredColumns>, { keys }: PromptColumns): ScoredPair[] {
  const comp = sums.get(runKey(cell));
  const base = sums.get(runKey(cell.baseline!));
  if (!comp || !base) return [];
  const slot = (columns: ScoredColumns, i: number) => `${columns.promptIdx[i]}/${columns.rep[i]}`;
  const rowAt = new Map(Array.from(base.promptIdx, (_, i) => [slot(base, i), i]));
  return Array.from(comp.promptIdx).flatMap((promptIdx, j) => {
    const i = rowAt.get(slot(comp, j));
    if (i === undefined) return [];
    return {
      promptKey: keys[promptIdx]!,
      logprobBase: base.logprob[i]!,
      tokensBase: base.tokens[i]!,
      logprobComp: comp.logprob[j]!,
      tokensComp: comp.tokens[j]!,
    };
  });
}

/** A statistic without a finite value has none in the table; SQL's NaN would poison every average over it. */
function finite(e: Estimate): Estimate {
  const number = (x: number | null) => (x !== null && Number.isFinite(x) ? x : null);
  return { ...e, value: number(e.value), lo: number(e.lo), hi: number(e.hi) };
}
