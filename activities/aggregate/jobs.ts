/**
 * What the aggregation's activities run. Summaries are one activity a sweep. Estimates (intervals, tests, token
 * diagnostics) are cut into slices of about a minute, so that several control workers share them and a lost one costs a
 * slice.
 */
import type { EstimateSlice } from '../../workflows/contracts.ts';
import type { AggregationJobs } from '../aggregation.ts';
import type { Db } from '../database.ts';
import { runKey, staleCells } from '../ledger.ts';
import { aggregateSweep, batchesOf, ESTIMATE_STAGES, runStage, SUMMARY_STAGES } from './sweep.ts';

/** Samples of a slice: some 2 s of resampling per 1,000 pairs. */
const SLICE_SAMPLES = 32_000;

/** Slices handed to the workflow at once: bounds a history's events and the size of one result. */
const MAX_SLICES = 32;

export const AGGREGATION_JOBS: AggregationJobs = {
  summaries: (db, sweepNo, heartbeat) => aggregateSweep(db, sweepNo, heartbeat, {}, SUMMARY_STAGES),
  planEstimates,
  estimate: async (db, sweepNo, slice, heartbeat) => {
    const stage = ESTIMATE_STAGES.find((one) => one.name === slice.stage);
    if (!stage) throw new Error(`no stage of the estimates is called ${slice.stage}`);
    const runs = new Set(slice.runs);
    await runStage(db, sweepNo, stage, heartbeat, {}, (cell) => runs.has(runKey(cell)));
  },
};

/** The first slices of what is out of date, stage by stage; none = every estimate is computed. */
export async function planEstimates(db: Db, sweepNo: number, maxSlices = MAX_SLICES): Promise<EstimateSlice[]> {
  const slices: EstimateSlice[] = [];
  for (const stage of ESTIMATE_STAGES) {
    const cells = await staleCells(db, sweepNo, stage);
    slices.push(
      ...batchesOf(cells, SLICE_SAMPLES).map((batch) => ({
        stage: stage.name,
        runs: batch.map((cell) => runKey(cell)),
      })),
    );
  }
  return slices.slice(0, maxSlices);
}

/** Cells whose estimates are missing or out of date. */
export async function countOpenEstimates(db: Db, sweepNo: number): Promise<number> {
  const slices = await planEstimates(db, sweepNo, Number.POSITIVE_INFINITY);
  return new Set(slices.flatMap((slice) => slice.runs)).size;
}
