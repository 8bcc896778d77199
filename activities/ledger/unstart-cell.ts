/** Takes back a start: the host failed, not the cell. */
import { type Db, query } from '../database.ts';
import type { CellLease } from './types.ts';

/**
 * Undoes one `startCell`, so that a cell which met three broken hosts ends `lost` and not `failed` (`Poison`). A lost
 * lease changes nothing.
 */
export async function unstartCell(db: Db, { sweepNo, cellNo, lease }: CellLease): Promise<void> {
  await query(
    db,
    `-- unstartCell
     update cell
        set tries = greatest(tries - 1, 0)
      where sweep_no = $1 and cell_no = $2 and lease = $3 and coalesce(status, '') = 'leased'`,
    [sweepNo, cellNo, lease],
  );
}
