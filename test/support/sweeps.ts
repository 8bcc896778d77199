/** Sweeps that have run, without workflows: plan, claim and commit in a few lines. */
import type { Db } from '../../activities/database.ts';
import { type CommitInput, claimGroup, commitCell, insertPlan, openRun } from '../../activities/ledger.ts';
import type { CellPlan, PromptSetPlan } from '../../workflows/plan.ts';
import { sweepPlan } from './plans.ts';
import { commitInput } from './rows.ts';

export interface FinishedCell {
  plan: CellPlan;
  /** Token ids per sample. */
  lists?: number[][];
  over?: Partial<CommitInput>;
}

/** Stores a sweep of one group and commits every cell that another sweep has not finished. */
export async function finishedSweep(
  db: Db,
  id: string,
  cells: FinishedCell[],
  options: { promptSets?: PromptSetPlan[]; fresh?: boolean } = {},
): Promise<{ sweepNo: number; reused: number }> {
  const { fresh = false, ...rest } = options;
  const { sweepNo, reused } = await insertPlan(db, sweepPlan(id, [cells.map((cell) => cell.plan)], rest), { fresh });
  const { runNo } = await openRun(db, id, `run of ${id}`);
  const lease = `lease of ${id}`;
  const claim = await claimGroup(db, { sweepNo, groupNo: 0, runNo, scheduledMs: 1, lease, hostId: null, maxTries: 3 });
  // By key: cells of workload throughput do not run in the order of the plan.
  for (const { cellNo, key } of claim.cells) {
    const { plan, lists = [], over = {} } = cells.find((cell) => cell.plan.key === key)!;
    await commitCell(db, commitInput({ sweepNo, cellNo, lease }, lists, { effective: plan.effective, ...over }));
  }
  return { sweepNo, reused };
}
