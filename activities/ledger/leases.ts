/**
 * Leases: who may write the cells of a group. Each function is one statement, hence one transaction and one round
 * trip. `synchronous_commit` is off where a crash of Postgres may forget the statement without harm: what it forgets
 * together with the rest is found again by the next pass.
 */
import { type Db, query } from '../database.ts';
import { StaleAttempt } from './errors.ts';
import type { CellLease, Claim, ClaimedCell, ClaimInput, GroupLease } from './types.ts';

/**
 * Takes the group for this attempt and returns its open cells, those started too often as `failed`. Throws
 * StaleAttempt if a later attempt, or a later run of the sweep, has it.
 */
export async function claimGroup(db: Db, claim: ClaimInput): Promise<Claim> {
  const rows = await query<ClaimedCell & Omit<Claim, 'cells'>>(
    db,
    `-- claimGroup
     with claimed as (
       update cell_group g
          set run_no = $4, lease_ms = $5, lease = $3
         from sweep s
        where g.sweep_no = $1 and g.group_no = $2 and s.sweep_no = g.sweep_no and s.run_no = $4
          and ((g.run_no, g.lease_ms) < ($4, $5) or g.lease = $3)
       returning g.sweep_no, g.group_no, g.engine_key, s.id, (s.limits ->> 'cellTimeoutMs')::bigint as timeout_ms
     ), history as (
       insert into attempt (sweep_no, group_no, lease, host_id, engine_build_id)
       select sweep_no, group_no, $3, $6, $7 from claimed
           on conflict do nothing
     ), taken as (
       update cell c
          set status = case when c.tries >= $8 then 'failed' else 'leased' end,
              err_class = case when c.tries >= $8 then 'Poison' else c.err_class end,
              finished_at = case when c.tries >= $8 then clock_timestamp() end,
              lease = $3
         from claimed g
        where c.sweep_no = g.sweep_no and c.group_no = g.group_no and c.status in ('pending', 'leased', 'lost')
       returning c.cell_no, c.key, c.run, c.tries, c.status, c.noise_kind, c.is_baseline, c.n_planned
     ), poisoned as (
       insert into cell_error (sweep_no, cell_no, lease, class, message)
       select $1, cell_no, $3, 'Poison', format('started %s times without an end', tries)
         from taken where status = 'failed'
     )
     select g.id as "sweepId", g.engine_key as "engineKey", g.timeout_ms as "cellTimeoutMs",
            t.cell_no as "cellNo", encode(t.key, 'hex') as key, t.run, t.tries, t.status,
            t.noise_kind as "noiseKind", t.is_baseline as "isBaseline", t.n_planned as "nPlanned"
       from claimed g left join taken t on true
      order by t.cell_no`,
    [
      claim.sweepNo,
      claim.groupNo,
      claim.lease,
      claim.runNo,
      claim.scheduledMs,
      claim.hostId,
      claim.engineBuildId ?? null,
      claim.maxTries,
    ],
  );
  const [first] = rows;
  if (first === undefined) throw new StaleAttempt(`Group ${claim.groupNo} of sweep ${claim.sweepNo}`);
  const { sweepId, engineKey, cellTimeoutMs } = first;
  const cells = rows
    .filter((row) => row.cellNo !== null)
    .map(({ sweepId: _, engineKey: __, cellTimeoutMs: ___, ...cell }) => cell);
  return { sweepId, engineKey, cellTimeoutMs, cells };
}

/**
 * A note for every statement that looks for one cell: `coalesce(status, '') = 'leased'` is `status = 'leased'`, written
 * so that the partial index of open cells is not considered. Without fresh statistics the planner takes that index to
 * be tiny and reads all open cells of the sweep for each one: 5 ms a cell at 3,000 open cells instead of 0.2 ms.
 */

/**
 * Marks a start, before the run, so that a cell which kills its worker is counted. `held`: the sweep is not running
 * (paused, stopped), so the cell stays leased and is not started.
 */
export async function startCell(db: Db, { sweepNo, cellNo, lease }: CellLease): Promise<'started' | 'held'> {
  const [row] = await query<{ tries: number | null; mine: boolean }>(
    db,
    `-- startCell
     with started as (
       update cell c
          set tries = c.tries + 1, started_at = clock_timestamp()
         from sweep s
        where c.sweep_no = $1 and c.cell_no = $2 and c.lease = $3 and coalesce(c.status, '') = 'leased'
          and s.sweep_no = c.sweep_no and s.status = 'running'
       returning c.tries
     )
     select (select tries from started) as tries,
            exists (select from cell
                     where sweep_no = $1 and cell_no = $2 and lease = $3 and coalesce(status, '') = 'leased') as mine
       from set_config('synchronous_commit', 'off', true)`,
    [sweepNo, cellNo, lease],
  );
  if (row?.tries != null) return 'started';
  if (row?.mine) return 'held';
  throw new StaleAttempt(`Cell ${cellNo} of sweep ${sweepNo}`);
}

/** Gives unfinished cells back (drain, pause); returns how many. No attempt and no try is spent. */
export async function releaseGroup(db: Db, { sweepNo, groupNo, lease }: GroupLease): Promise<number> {
  const rows = await query(
    db,
    `update cell
        set status = 'pending'
      where sweep_no = $1 and group_no = $2 and lease = $3 and status = 'leased'
     returning cell_no`,
    [sweepNo, groupNo, lease],
  );
  return rows.length;
}

export type AttemptOutcome = 'done' | 'left' | 'failed' | 'cancelled' | 'stale' | 'lost';

/** Closes an attempt's line of history. The first end stays: a zombie does not rewrite it. */
export async function endAttempt(
  db: Db,
  attempt: GroupLease & { outcome: AttemptOutcome; engineBuildId?: number | null },
): Promise<void> {
  await query(
    db,
    `update attempt
        set ended_at = clock_timestamp(), outcome = $4, engine_build_id = coalesce($5, engine_build_id)
      where sweep_no = $1 and group_no = $2 and lease = $3 and ended_at is null`,
    [attempt.sweepNo, attempt.groupNo, attempt.lease, attempt.outcome, attempt.engineBuildId ?? null],
  );
}
