/**
 * Runs the stages of an aggregation one after the other, each over the cells whose inputs changed since it last computed
 * them. It recomputes from rows and replaces what was there, so running it twice, or twice at once, changes nothing.
 * Workflows run the quick stages and the slow ones apart: `jobs.ts`.
 */
import { lanesUntilFailure } from '../../workflows/lanes.ts';
import type { Db } from '../database.ts';
import { markStage, type StaleCell, staleCells } from '../ledger.ts';
import { diagnostics } from './diagnostics.ts';
import { intervals } from './intervals.ts';
import { lengths } from './lengths.ts';
import { negatives } from './negatives-stage.ts';
import { scores } from './scores.ts';
import type { AggregateOptions, Stage } from './stages.ts';

/** Milliseconds a cell; in this order: scores before what compares them. */
export const SUMMARY_STAGES: readonly Stage[] = [scores, lengths, negatives];

/** Seconds a cell: a job of its own, so that nobody waits hours for a table of ten thousand cells. */
export const ESTIMATE_STAGES: readonly Stage[] = [intervals, diagnostics];

export const STAGES: readonly Stage[] = [...SUMMARY_STAGES, ...ESTIMATE_STAGES];

/** Batches under way at once: while one waits for Postgres, the other computes. */
const CONNECTIONS = 2;

export interface AggregateResult {
  /** Cells of which any stage was computed anew; the others were up to date. */
  cells: number;
}

/** Brings the aggregates of a sweep up to date. @param heartbeat what it throws ends the work */
export async function aggregateSweep(
  db: Db,
  sweepNo: number,
  heartbeat: (stage: string, done: number, total: number) => void = () => {},
  options: AggregateOptions = {},
  stages: readonly Stage[] = STAGES,
): Promise<AggregateResult> {
  const touched = new Set<string>();
  for (const stage of stages) {
    for (const cell of await runStage(db, sweepNo, stage, heartbeat, options)) touched.add(cell.key);
  }
  return { cells: touched.size };
}

/** One stage over the cells that it is stale for (of those that `choose` lets through); returns them. */
export async function runStage(
  db: Db,
  sweepNo: number,
  stage: Stage,
  heartbeat: (stage: string, done: number, total: number) => void = () => {},
  options: AggregateOptions = {},
  choose: (cell: StaleCell) => boolean = () => true,
): Promise<StaleCell[]> {
  const cells = (await staleCells(db, sweepNo, stage)).filter(choose);
  const batches = batchesOf(cells, stage.batchSamples);
  let done = 0;
  const breathe = async () => {
    heartbeat(stage.name, done, cells.length);
    // arithmetic keeps the event loop busy: let timers and heartbeats through
    await new Promise((resume) => setImmediate(resume));
  };
  await breathe();
  await lanesUntilFailure(CONNECTIONS, batches, async (batch) => {
    await stage.run(db, batch, breathe, options);
    await markStage(db, stage, batch);
    done += batch.length;
    await breathe();
  });
  return cells;
}

/** Neighbours together, so that a baseline is read once for its cells. */
export function batchesOf(cells: readonly StaleCell[], samples: number): StaleCell[][] {
  const batches: StaleCell[][] = [];
  let room = 0;
  for (const cell of cells) {
    if (batches.length === 0 || room < cell.nPlanned) {
      batches.push([]);
      room = samples;
    }
    batches.at(-1)!.push(cell);
    room -= cell.nPlanned;
  }
  return batches;
}
