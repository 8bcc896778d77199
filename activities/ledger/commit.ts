/**
 * The one way by which a cell becomes `done`: status, summary and all its rows in one transaction behind the lease.
 * Up to SAMPLES_PER_STATEMENT samples it is one statement (one round trip); beyond, COPY and merge (`copy.ts`).
 *
 * `synchronous_commit` is off: status and rows share the transaction, so a crash of Postgres loses both, and the next
 * pass runs the cell again.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Db, isConnectionLoss, isTransient, query } from '../database.ts';
import { toJsonb } from './bytes.ts';
import { alarmCount, insertion, otherInsertions, Params } from './commit-rows.ts';
import { commitByCopy } from './copy.ts';
import { StaleAttempt } from './errors.ts';
import { SAMPLE_COLUMNS } from './sample-columns.ts';
import type { CommitInput } from './types.ts';

const SAMPLES_PER_STATEMENT = 3000;
/** Waits before each repetition: half a minute in all, for a Postgres that restarts. */
const REPEAT_AFTER_MS = [50, 200, 1000, 2000, 4000, 8000, 15_000];

export interface Committed {
  /** Samples whose tokens differ from an earlier run of the same key: the same inputs must give the same output. */
  alarms: number;
  /** `next` was started. Else it may be held, or its state is unknown, and `startCell` finds out. */
  started?: boolean;
}

/**
 * Commits a finished cell. Throws StaleAttempt, with nothing written, if the lease is lost. If the connection breaks
 * nobody knows whether the commit took place: it is repeated on a new one, and a cell that is done under our own lease
 * counts as committed. `next` may then have been started already and its start is counted twice: one try of three.
 */
export async function commitCell(db: Db, input: CommitInput): Promise<Committed> {
  for (let attempt = 0; ; attempt++) {
    try {
      const committed =
        input.samples.length > SAMPLES_PER_STATEMENT
          ? await commitByCopy(db, input)
          : await commitByStatement(db, input);
      if (committed !== null) return committed;
      const earlier = await readOwnCommit(db, input);
      if (earlier !== null) return earlier;
      throw new StaleAttempt(`Cell ${input.cellNo} of sweep ${input.sweepNo}`);
    } catch (error) {
      const waitMs = REPEAT_AFTER_MS[attempt];
      if (waitMs === undefined || !(isConnectionLoss(error) || isTransient(error))) throw error;
      await sleep(waitMs);
    }
  }
}

async function readOwnCommit(db: Db, { sweepNo, cellNo, lease }: CommitInput): Promise<Committed | null> {
  const [row] = await query<Committed>(
    db,
    `select n_alarms as alarms from cell
      where sweep_no = $1 and cell_no = $2 and lease = $3 and status = 'done'`,
    [sweepNo, cellNo, lease],
  );
  return row ?? null;
}

async function commitByStatement(db: Db, input: CommitInput): Promise<Committed | null> {
  const params = new Params();
  const { samples } = input;
  const keys = SAMPLE_COLUMNS.filter(({ name }) => ['sample_idx', 'rep', 'out_sha'].includes(name));
  const set = [
    `status = 'done'`,
    'finished_at = clock_timestamp()',
    'err_class = null',
    `effective = ${params.add(toJsonb(input.effective), 'jsonb')}`,
    `summary = ${params.add(toJsonb(input.summary), 'jsonb')}`,
    `provenance = ${params.add(toJsonb(input.provenance), 'jsonb')}`,
    samples.length === 0 ? 'n_alarms = 0' : `n_alarms = ${alarmCount(params.rows(samples, keys))}`,
  ];
  const text = `-- commitCell
    with done as (
      update cell c
         set ${set.join(', ')}
       where sweep_no = ${params.add(input.sweepNo, 'int')} and cell_no = ${params.add(input.cellNo, 'int')}
         and lease = ${params.add(input.lease, 'text')} and coalesce(status, '') = 'leased'
      returning sweep_no, cell_no, n_alarms)
    ${insertion(params, 'sample', samples, SAMPLE_COLUMNS)}
    ${otherInsertions(params, input)}, started as (
      update cell n
         set tries = n.tries + 1, started_at = clock_timestamp()
        from done, sweep s
       where n.sweep_no = done.sweep_no and n.cell_no = ${params.add(input.next ?? null, 'int')}
         and n.lease = ${params.add(input.lease, 'text')} and coalesce(n.status, '') = 'leased'
         and s.sweep_no = n.sweep_no and s.status = 'running'
      returning n.cell_no)
    select n_alarms as alarms, exists (select from started) as started
      from done, set_config('synchronous_commit', 'off', true)`;
  const [row] = await query<{ alarms: number; started: boolean }>(db, text, params.values);
  if (row === undefined) return null;
  return row.started ? row : { alarms: row.alarms };
}
