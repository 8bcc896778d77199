/** The number of a sweep by its name. */
import { type Db, query } from '../database.ts';
import { LedgerRefusal } from './errors.ts';

export async function readSweepNo(db: Db, sweepId: string): Promise<number> {
  const [row] = await query<{ sweepNo: number }>(db, 'select sweep_no as "sweepNo" from sweep where id = $1', [
    sweepId,
  ]);
  if (row === undefined) throw new LedgerRefusal(`No sweep is named "${sweepId}".`);
  return row.sweepNo;
}
