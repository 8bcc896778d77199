/** How cells fail, and how a group's activity that ended for good is settled. */
import type { BriefFailure, ErrorClass } from '../../workflows/contracts.ts';
import { type Db, query } from '../database.ts';
import { StaleAttempt } from './errors.ts';
import type { CellFailure, CellLease } from './types.ts';

/** The cell's own fault: it ends `failed`, the rest of its group goes on. */
export async function failCell(db: Db, failure: CellLease & CellFailure): Promise<void> {
  const rows = await query(
    db,
    `-- failCell
     with failed as (
       update cell
          set status = 'failed', err_class = $4, finished_at = clock_timestamp()
        where sweep_no = $1 and cell_no = $2 and lease = $3 and coalesce(status, '') = 'leased'
       returning sweep_no, cell_no, lease
     ), history as (
       insert into cell_error (sweep_no, cell_no, lease, class, kind, message, tail)
       select sweep_no, cell_no, lease, $4, $5, $6, $7 from failed
     )
     select cell_no from failed`,
    errorParams(failure),
  );
  if (rows.length === 0) throw new StaleAttempt(`Cell ${failure.cellNo} of sweep ${failure.sweepNo}`);
}

/** An error that does not end the cell (an engine that crashed and is started afresh): history only. */
export async function recordCellError(db: Db, failure: CellLease & CellFailure): Promise<void> {
  await query(
    db,
    `insert into cell_error (sweep_no, cell_no, lease, class, kind, message, tail)
     values ($1, $2, $3, $4, $5, $6, $7)`,
    errorParams(failure),
  );
}

function errorParams(failure: CellLease & CellFailure): unknown[] {
  const { sweepNo, cellNo, lease, errClass, errKind, message, tail } = failure;
  return [sweepNo, cellNo, lease, errClass, errKind, message?.slice(0, 2000) ?? null, tail?.slice(-8000) ?? null];
}

/** Failures of loading: the same for every cell of the group. */
const GROUP_WIDE: readonly string[] = ['SpecInvalid', 'OutOfMemory'] satisfies ErrorClass[];

export interface FailGroupInput {
  sweepNo: number;
  groupNo: number;
  failure: BriefFailure;
  /** Fences a shard of an earlier run: a group claimed by a later run is left alone. */
  runNo?: number;
  maxTries?: number;
}

/**
 * The activity of a group ended for good. `StaleAttempt` changes nothing; `SpecInvalid` and `OutOfMemory` fail every
 * open cell; else cells started `maxTries` times are `failed` (`Poison`) and the others `lost`. Clearing the leases
 * fences a zombie. Returns how many cells ended either way.
 */
export async function failGroup(db: Db, input: FailGroupInput): Promise<{ failed: number; lost: number }> {
  const { failure, maxTries = 3 } = input;
  if (failure.type === 'StaleAttempt') return { failed: 0, lost: 0 };
  const rows = await query<{ status: string }>(
    db,
    `with freed as (
       update cell_group
          set lease = null
        where sweep_no = $1 and group_no = $2 and run_no <= coalesce($6, run_no)
       returning sweep_no, group_no
     ), ended as (
       update cell c
          set status = case when $3 or c.tries >= $5 then 'failed' else 'lost' end,
              err_class = case when $3 then $4 when c.tries >= $5 then 'Poison' else 'HostFault' end,
              finished_at = case when $3 or c.tries >= $5 then clock_timestamp() end,
              lease = null
         from freed f
        where c.sweep_no = f.sweep_no and c.group_no = f.group_no and c.status in ('pending', 'leased', 'lost')
       returning c.sweep_no, c.cell_no, c.status, c.err_class
     ), history as (
       insert into cell_error (sweep_no, cell_no, class, kind, message)
       select sweep_no, cell_no, err_class, $7, $8 from ended
     )
     select status from ended`,
    [
      input.sweepNo,
      input.groupNo,
      GROUP_WIDE.includes(failure.type),
      failure.type,
      maxTries,
      input.runNo ?? null,
      failure.type.slice(0, 100),
      failure.message.slice(0, 2000),
    ],
  );
  const failed = rows.filter((row) => row.status === 'failed').length;
  return { failed, lost: rows.length - failed };
}
