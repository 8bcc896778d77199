/** Which cells need not run because another sweep has finished them. */

import { groupBy } from '../../workflows/group-by.ts';
import type { CellPlan } from '../../workflows/plan.ts';
import { type Db, query } from '../database.ts';
import { fromHex } from './bytes.ts';

export type ReusableCell = Pick<CellPlan, 'key' | 'model' | 'backend' | 'workload'>;

export interface Finished {
  sweepNo: number;
  sweepId: string;
}

/**
 * Of the cells of one sweep that have not begun: by key, whose run is taken over, the newest. Rates are told as ratios of
 * one another, and a machine is not the same an hour later: the throughput points of a model and backend are taken over
 * only from a sweep that timed all of them.
 *
 * @param own number of the sweep itself, if it is there already
 */
export async function findFinished(
  db: Db,
  cells: readonly ReusableCell[],
  own: number | null = null,
): Promise<Map<string, Finished>> {
  // the newest first
  const runs = await query<Finished & { key: string }>(
    db,
    `select encode(c.key, 'hex') as key, c.sweep_no as "sweepNo", s.id as "sweepId"
       from unnest($1::bytea[]) as k (key)
       join cell c on c.key = k.key and c.status = 'done' and c.reused_from is null and c.sweep_no is distinct from $2
       join sweep s using (sweep_no)
      order by c.finished_at desc, c.sweep_no desc, c.cell_no`,
    [cells.map((cell) => fromHex(cell.key)), own],
  );
  const byKey = groupBy(runs, (run) => run.key);
  const out = new Map<string, Finished>();
  const take = (key: string, { sweepNo, sweepId }: Finished) => out.set(key, { sweepNo, sweepId });
  for (const { key, workload } of cells) {
    const [newest] = byKey.get(key) ?? [];
    if (newest && workload !== 'throughput') take(key, newest);
  }
  const timed = cells.filter((cell) => cell.workload === 'throughput');
  for (const together of groupBy(timed, (cell) => JSON.stringify([cell.model, cell.backend])).values()) {
    const keys = new Set(together.map((cell) => cell.key));
    const ofThem = runs.filter((run) => keys.has(run.key));
    // a sweep has a key once
    const whole = [...groupBy(ofThem, (run) => String(run.sweepNo)).values()].find((of) => of.length === keys.size);
    for (const run of whole ?? []) take(run.key, run);
  }
  return out;
}
