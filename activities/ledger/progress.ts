/** What `status`, `watch`, `logs` and the report's header show: read from rows, never from Temporal. */
import type { CellState, ErrorClass, JsonObject, SweepState } from '../../workflows/contracts.ts';
import { type Db, query } from '../database.ts';
import { LedgerRefusal } from './errors.ts';
import type { CellRow, SweepRow } from './types.ts';

const SWEEP_COLUMNS = `
  sweep_no as "sweepNo", id, spec, encode(spec_sha, 'hex') as "specSha", provenance, limits, status,
  stop_reason as "stopReason", run_no as "runNo", created_at as "createdAt"`;

export async function findSweep(db: Db, sweepId: string): Promise<SweepRow | null> {
  const [row] = await query<SweepRow>(db, `select ${SWEEP_COLUMNS} from sweep where id = $1`, [sweepId]);
  return row ?? null;
}

export async function readSweep(db: Db, sweepId: string): Promise<SweepRow> {
  const row = await findSweep(db, sweepId);
  if (row === null) throw new LedgerRefusal(`No sweep is named "${sweepId}"; \`kvsweep status\` lists them.`);
  return row;
}

export interface SweepLine {
  sweepNo: number;
  id: string;
  status: SweepState;
  createdAt: Date;
  total: number;
  done: number;
  failed: number;
}

/** All sweeps, the newest first. */
export async function listSweeps(db: Db): Promise<SweepLine[]> {
  return await query(
    db,
    `select s.sweep_no as "sweepNo", s.id, s.status, s.created_at as "createdAt", count(c.cell_no) as total,
            count(*) filter (where c.status = 'done') as done,
            count(*) filter (where c.status = 'failed') as failed
       from sweep s left join cell c using (sweep_no)
      group by s.sweep_no
      order by s.sweep_no desc`,
  );
}

export interface Progress {
  sweepNo: number;
  sweepId: string;
  status: SweepState;
  stopReason: string | null;
  runNo: number;
  /** Cells by state; their sum is `total`. */
  counts: Record<CellState, number>;
  total: number;
  /** Cells done by reference to another sweep; counted in `done` too. */
  reused: number;
  samplesDone: number;
  samplesPlanned: number;
  /** New tokens of this sweep's own runs. */
  tokens: number;
  /** Over the cells that ended in the last minute; null when none did. */
  tokensPerSecond: number | null;
  /** Planned time of open cells, of cells done here, and the time that the latter really took: the ETA's inputs. */
  openEstMs: number;
  doneEstMs: number;
  doneMs: number;
  /** Samples that contradict an earlier run of the same key. */
  alarms: number;
  failures: { errClass: ErrorClass; cells: number }[];
  runningCells: { label: string; batch: number | null; workload: string; startedAt: Date }[];
}

/** Everything of one moment: a single statement, so the counts add up. */
export async function readProgress(db: Db, sweepId: string): Promise<Progress> {
  const [row] = await query<Omit<Progress, 'counts'> & Record<CellState, number>>(
    db,
    `with mine as (
       select c.*, c.status = 'done' and c.reused_from is null as ran,
              extract(epoch from c.finished_at - c.started_at) * 1000 as ms,
              (c.summary ->> 'tokens')::bigint as tokens
         from cell c join sweep s using (sweep_no)
        where s.id = $1
     )
     select s.sweep_no as "sweepNo", s.id as "sweepId", s.status, s.stop_reason as "stopReason", s.run_no as "runNo",
            (select count(*) from mine where status = 'pending') as pending,
            (select count(*) from mine where status = 'leased') as leased,
            (select count(*) from mine where status = 'done') as done,
            (select count(*) from mine where status = 'failed') as failed,
            (select count(*) from mine where status = 'lost') as lost,
            (select count(*) from mine) as total,
            (select count(*) from mine where reused_from is not null) as reused,
            coalesce((select sum(n_planned) from mine where status = 'done'), 0)::bigint as "samplesDone",
            coalesce((select sum(n_planned) from mine), 0)::bigint as "samplesPlanned",
            coalesce((select sum(tokens) from mine where ran), 0)::bigint as tokens,
            (select (sum(tokens) / nullif(extract(epoch from max(finished_at) - min(started_at)), 0))::float8
               from mine where ran and finished_at > clock_timestamp() - interval '1 minute') as "tokensPerSecond",
            coalesce((select sum(est_ms) from mine where status in ('pending', 'leased', 'lost')), 0)::bigint as "openEstMs",
            coalesce((select sum(est_ms) from mine where ran), 0)::bigint as "doneEstMs",
            coalesce((select sum(ms) from mine where ran), 0)::float8 as "doneMs",
            coalesce((select sum(n_alarms) from mine), 0)::bigint as alarms,
            coalesce((select jsonb_agg(f) from (select err_class as "errClass", count(*) as cells from mine
                                                 where status = 'failed' group by err_class order by 2 desc) f), '[]')
              as failures,
            coalesce((select jsonb_agg(r) from (select label, batch, workload, started_at as "startedAt" from mine
                                                 where status = 'leased' and started_at is not null
                                                 order by started_at desc limit 8) r), '[]') as "runningCells"
       from sweep s
      where s.id = $1`,
    [sweepId],
  );
  if (row === undefined) throw new LedgerRefusal(`No sweep is named "${sweepId}"; \`kvsweep status\` lists them.`);
  const { pending, leased, done, failed, lost, ...rest } = row;
  return {
    ...rest,
    counts: { pending, leased, done, failed, lost },
    runningCells: rest.runningCells.map((cell) => ({ ...cell, startedAt: new Date(cell.startedAt) })),
  };
}

/** All cells of a sweep in their order. */
export async function readCells(db: Db, sweepNo: number): Promise<CellRow[]> {
  return await query(
    db,
    `select c.cell_no as "cellNo", c.group_no as "groupNo", encode(c.key, 'hex') as key, c.label, c.model, c.backend,
            c.workload, c.dataset, c.batch, c.axes, c.noise_kind as "noiseKind", c.is_baseline as "isBaseline",
            encode(c.replicate_of, 'hex') as "replicateOf", c.status, c.tries, c.err_class as "errClass", c.n_planned as "nPlanned", r.id as "reusedFrom",
            c.started_at as "startedAt", c.finished_at as "finishedAt"
       from cell c left join sweep r on r.sweep_no = c.reused_from
      where c.sweep_no = $1
      order by c.cell_no`,
    [sweepNo],
  );
}

export interface FailureLine {
  cellNo: number;
  label: string;
  workload: string;
  batch: number | null;
  status: CellState;
  errClass: ErrorClass;
  errKind: string | null;
  message: string | null;
  tries: number;
  at: Date | null;
}

/** Failed and lost cells with their newest error. */
export async function readFailures(db: Db, sweepNo: number): Promise<FailureLine[]> {
  return await query(
    db,
    `select c.cell_no as "cellNo", c.label, c.workload, c.batch, c.status, coalesce(c.err_class, e.class) as "errClass",
            e.kind as "errKind", e.message, c.tries, e.at
       from cell c
       left join lateral (select class, kind, message, at from cell_error
                           where sweep_no = c.sweep_no and cell_no = c.cell_no
                           order by id desc limit 1) e on true
      where c.sweep_no = $1 and c.status in ('failed', 'lost')
      order by c.cell_no`,
    [sweepNo],
  );
}

export interface CellLog {
  cellNo: number;
  label: string;
  status: CellState;
  run: JsonObject;
  errors: {
    at: Date;
    lease: string | null;
    errClass: ErrorClass;
    kind: string | null;
    message: string | null;
    tail: string | null;
  }[];
  attempts: { lease: string; host: string | null; startedAt: Date; endedAt: Date | null; outcome: string | null }[];
}

/** One cell with every error and every attempt at its group, oldest first. */
export async function readCellLog(db: Db, sweepNo: number, cellNo: number): Promise<CellLog> {
  const [cell] = await query<Omit<CellLog, 'errors' | 'attempts'> & { groupNo: number }>(
    db,
    `select cell_no as "cellNo", label, status, run, group_no as "groupNo" from cell
      where sweep_no = $1 and cell_no = $2`,
    [sweepNo, cellNo],
  );
  if (cell === undefined) throw new LedgerRefusal(`The sweep has no cell ${cellNo}.`);
  const { groupNo, ...rest } = cell;
  const errors = await query<CellLog['errors'][number]>(
    db,
    `select at, lease, class as "errClass", kind, message, tail from cell_error
      where sweep_no = $1 and cell_no = $2 order by id`,
    [sweepNo, cellNo],
  );
  const attempts = await query<CellLog['attempts'][number]>(
    db,
    `select a.lease, h.name as host, a.started_at as "startedAt", a.ended_at as "endedAt", a.outcome
       from attempt a left join host h on h.id = a.host_id
      where a.sweep_no = $1 and a.group_no = $2 order by a.started_at`,
    [sweepNo, groupNo],
  );
  return { ...rest, errors, attempts };
}

export interface EventLine {
  at: Date;
  user: string;
  action: string;
  reason: string | null;
  old: unknown;
  new: unknown;
}

/** What users and the failure policy did to a sweep, oldest first. */
export async function readEvents(db: Db, sweepNo: number): Promise<EventLine[]> {
  return await query(
    db,
    `select at, user_name as "user", action, reason, old, new from event where sweep_no = $1 order by id`,
    [sweepNo],
  );
}
