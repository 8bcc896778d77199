/** A run of a sweep: from the opening by a workflow to its close. `run_no` comes from here, so it only rises. */
import type { SweepState } from '../../workflows/contracts.ts';
import { type Db, query } from '../database.ts';
import { LedgerRefusal } from './errors.ts';

/**
 * Opens a run. Idempotent by `runKey` (the workflow's first execution run id): the same key changes nothing; a new one
 * takes the next number, sets the sweep running, and turns what an earlier run left leased into `lost`.
 */
export async function openRun(db: Db, sweepId: string, runKey: string): Promise<{ sweepNo: number; runNo: number }> {
  const [row] = await query<{ sweepNo: number; runNo: number }>(
    db,
    `with opened as (
       update sweep
          set run_no = run_no + 1, run_key = $2, run_at = clock_timestamp(), status = 'running', stop_reason = null
        where id = $1 and run_key is distinct from $2
       returning sweep_no, run_no
     ), lost as (
       update cell c
          set status = case when c.status = 'leased' then 'lost' else c.status end, tries = 0
         from opened o
        where c.sweep_no = o.sweep_no and c.status in ('pending', 'leased', 'lost')
     )
     select sweep_no as "sweepNo", run_no as "runNo" from opened
     union all
     select sweep_no, run_no from sweep where id = $1 and run_key = $2 and not exists (select from opened)`,
    [sweepId, runKey],
  );
  if (row !== undefined) return row;
  const [known] = await query(db, 'select from sweep where id = $1', [sweepId]);
  if (known === undefined) throw new LedgerRefusal(`No sweep is named "${sweepId}".`);
  // The row changed between the two looks of one statement (a second opener): look again.
  return await openRun(db, sweepId, runKey);
}

/**
 * Closes a run: nothing stays leased. `cancelled` and `stopped` stay; else the sweep is `finished`, or `stopped` if
 * cells are open. The close of an earlier run changes nothing.
 */
export async function closeRun(db: Db, sweepNo: number, runNo: number): Promise<void> {
  await query(
    db,
    `with current as (
       select sweep_no from sweep where sweep_no = $1 and run_no = $2 for update
     ), freed as (
       update cell c
          set status = 'pending'
         from current s
        where c.sweep_no = s.sweep_no and c.status = 'leased'
     )
     update sweep s
        set status = case when s.status in ('cancelled', 'stopped') then s.status
                          when o.n = 0 then 'finished' else 'stopped' end,
            stop_reason = case when s.status in ('cancelled', 'stopped') or o.n = 0 then s.stop_reason
                               else format('%s cells are left open', o.n) end
       from current, lateral (select count(*) as n from cell c
                               where c.sweep_no = $1 and c.status in ('pending', 'leased', 'lost')) o
      where s.sweep_no = current.sweep_no`,
    [sweepNo, runNo],
  );
}

/** From which states a user may bring a sweep into a state. */
const ALLOWED: Partial<Record<SweepState, readonly SweepState[]>> = {
  running: ['planned', 'running', 'paused', 'stopped', 'cancelled', 'finished'],
  paused: ['planned', 'running', 'paused'],
  stopped: ['planned', 'running', 'paused', 'stopped'],
  cancelled: ['planned', 'running', 'paused', 'stopped', 'cancelled'],
};

export interface StatusChange {
  sweepId: string;
  status: SweepState;
  reason: string | null;
  user: string;
}

/** What a user asks of a sweep: the row first, with a line of history; a signal only says "look again". */
export async function setSweepStatus(db: Db, change: StatusChange): Promise<{ sweepNo: number; old: SweepState }> {
  const from = ALLOWED[change.status] ?? [];
  const [row] = await query<{ sweepNo: number; old: SweepState; changed: boolean }>(
    db,
    `with before as (
       select sweep_no, status from sweep where id = $1 for update
     ), changed as (
       update sweep s
          set status = $2, stop_reason = case when $2 in ('stopped', 'cancelled') then $3 end
         from before b
        where s.sweep_no = b.sweep_no and b.status = any ($4)
       returning s.sweep_no
     ), noted as (
       insert into event (sweep_no, user_name, action, reason, old, new)
       select b.sweep_no, $5, 'status', $3, to_jsonb(b.status), to_jsonb($2::text)
         from before b join changed using (sweep_no)
     )
     select sweep_no as "sweepNo", status as old, exists (select from changed) as changed from before`,
    [change.sweepId, change.status, change.reason, from, change.user],
  );
  if (row === undefined) throw new LedgerRefusal(`No sweep is named "${change.sweepId}".`);
  if (!row.changed)
    throw new LedgerRefusal(`Sweep "${change.sweepId}" is ${row.old}; it cannot become ${change.status}.`);
  return { sweepNo: row.sweepNo, old: row.old };
}

/** The lightest look that a worker takes before each cell: may it go on? */
export async function readSweepStatus(db: Db, sweepNo: number): Promise<SweepState> {
  const [row] = await query<{ status: SweepState }>(
    db,
    '-- readSweepStatus\nselect status from sweep where sweep_no = $1',
    [sweepNo],
  );
  if (row === undefined) throw new LedgerRefusal(`No sweep has number ${sweepNo}.`);
  return row.status;
}
