/**
 * Summaries of a cell: how its answers' lengths and times differ from those of its baseline, per task type and over all,
 * in the mergeable form; and the lengths of its own answers, whatever it is compared with.
 */

import { pairRows, type SampleColumns } from '../../analysis/columns.ts';
import { ANALYSIS_VERSION } from '../../analysis/estimates.ts';
import { exactSummary, merge, ownLengths, tallyColumns } from '../../analysis/summaries.ts';
import type { JsonObject } from '../../workflows/contracts.ts';
import type { Db } from '../database.ts';
import {
  type Breathe,
  type CellStatsRow,
  readPromptColumns,
  readSampleColumns,
  readScoredColumns,
  replaceCellStats,
  runKey,
  type StaleCell,
} from '../ledger.ts';
import type { Stage } from './stages.ts';

export const lengths: Stage = {
  name: 'lengths',
  version: ANALYSIS_VERSION,
  needs: 'baseline',
  workloads: ['generate', 'score'],
  batchSamples: 64_000,
  run: aggregateLengths,
};

export async function aggregateLengths(db: Db, cells: readonly StaleCell[], breathe: Breathe): Promise<void> {
  const generated = cells.filter((cell) => cell.workload === 'generate');
  const [columns, prompts] = await Promise.all([
    readSampleColumns(db, withBaselines(generated)),
    readPromptColumns(
      db,
      generated.flatMap((cell) => cell.promptSet ?? []),
    ),
  ]);
  const rows: CellStatsRow[] = [];
  for (const cell of generated) {
    const own = columns.get(runKey(cell));
    if (!own) continue;
    const types = prompts.get(cell.promptSet ?? '')?.taskTypes ?? [];
    const base = cell.baseline && columns.get(runKey(cell.baseline));
    for (const [taskType, stats] of cellStats(own, base ?? null, types, cell.sameDevice)) {
      rows.push({ sweepNo: cell.sweepNo, cellNo: cell.cellNo, taskType, stats });
    }
    await breathe();
  }
  rows.push(...(await scoredStats(db, cells)));
  await replaceCellStats(db, cells, ANALYSIS_VERSION, rows);
}

/** The runs of some cells and of their baselines, each once. */
export function withBaselines(cells: readonly StaleCell[]) {
  const runs = cells.flatMap(({ sweepNo, cellNo, baseline }) => [{ sweepNo, cellNo }, ...(baseline ? [baseline] : [])]);
  return [...new Map(runs.map((run) => [runKey(run), run])).values()];
}

/** One summary over all pairs under '', and one per task type if the prompts have any; those add up to the whole. */
function cellStats(
  own: SampleColumns,
  base: SampleColumns | null,
  typeOf: readonly string[],
  isTimed: boolean,
): [taskType: string, stats: JsonObject][] {
  const types = [...new Set(typeOf.length === 0 ? [''] : typeOf)];
  const groups = Int32Array.from(typeOf, (type) => types.indexOf(type));
  const groupOf = (promptIdx: number) => groups[promptIdx] ?? 0;
  const lengthsOf = ownLengths(own, groupOf, types.length);
  const named = [...types, ''].map((taskType, i) => ({ taskType, own: lengthsOf[i]!, pairs: {} as object }));
  if (base) {
    const tallies = tallyColumns(base, own, pairRows(base, own), groupOf, types.length, isTimed);
    const parts = tallies.map((tally) => tally.summary());
    parts.forEach((part, i) => {
      named[i]!.pairs = { ...part, exact: exactSummary([tallies[i]!]) };
    });
    named.at(-1)!.pairs =
      parts.length === 1 ? named[0]!.pairs : { ...parts.reduce(merge), exact: exactSummary(tallies) };
  }
  return named.flatMap(({ taskType, own, pairs }, i): [string, JsonObject][] =>
    // prompts without a task type are in the whole only
    taskType === '' && i < types.length ? [] : [[taskType, { ...pairs, own } as unknown as JsonObject]],
  );
}

/** Cells of workload `score`: what their perplexity is made of. */
async function scoredStats(db: Db, cells: readonly StaleCell[]): Promise<CellStatsRow[]> {
  const scored = cells.filter((cell) => cell.workload === 'score');
  if (scored.length === 0) return [];
  const columns = await readScoredColumns(db, scored);
  return scored.map(({ sweepNo, cellNo }) => {
    const { tokens = new Int32Array(), logprob = new Float64Array() } = columns.get(runKey({ sweepNo, cellNo })) ?? {};
    const stats = {
      n: tokens.length,
      nTokens: tokens.reduce((sum, n) => sum + n, 0),
      sumLogprob: logprob.reduce((sum, lp) => sum + lp, 0),
    };
    return { sweepNo, cellNo, taskType: '', stats };
  });
}
