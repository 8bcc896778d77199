import { type Db, query } from '../database.ts';
import { insertion, Params, THROUGHPUT_COLUMNS } from './commit-rows.ts';
import type { CellLease, ThroughputRow } from './types.ts';

/**
 * Stores the second timing of a group's first baseline point. The cell is done; its lease still says whose attempt it was,
 * so an attempt that another has overtaken writes nothing. Returns whether anything was stored.
 */
export async function recordGuard(
  db: Db,
  { sweepNo, cellNo, lease }: CellLease,
  rows: readonly ThroughputRow[],
): Promise<boolean> {
  const params = new Params();
  const guard = rows.map((row) => ({ ...row, guard: true }));
  const found = await query(
    db,
    `with done as (
       select sweep_no, cell_no from cell
        where sweep_no = ${params.add(sweepNo, 'int')} and cell_no = ${params.add(cellNo, 'int')}
          and lease = ${params.add(lease, 'text')} and status = 'done')
     ${insertion(params, 'throughput_run', guard, THROUGHPUT_COLUMNS)}
     select cell_no from done`,
    params.values,
  );
  return found.length > 0;
}
