/**
 * A plan becomes rows, in one transaction under a lock on the sweep's name: so two launches at once make one sweep. The
 * same plan again attaches; a superset adds its cells; anything else is refused with what changed.
 */
import { sql } from 'kysely';
import { SplitMix64 } from '../../analysis/random.ts';
import type { CellPlan, GroupPlan, SweepPlan } from '../../workflows/plan.ts';
import { type Db, query } from '../database.ts';
import { fromHex, toJsonb } from './bytes.ts';
import { SpecConflict } from './errors.ts';
import { planDifferences, type StoredPlan } from './plan-differences.ts';
import { savePromptSet } from './prompts.ts';
import { findFinished, type ReusableCell } from './reuse.ts';

const ROWS_PER_STATEMENT = 1000;
/** Above this many planned samples a sweep gets a partition of its own: dropped in milliseconds, not row by row. */
const OWN_PARTITION = 1_000_000;

export interface InsertOptions {
  /** Run cells again that another sweep has finished. */
  fresh?: boolean;
  user?: string;
}

export interface InsertedPlan {
  sweepNo: number;
  sweepId: string;
  /** Cells new to the sweep, reused ones included. */
  added: number;
  /** Cells that are done by reference to another sweep's run. */
  reused: number;
  /** The sweep was there already. */
  attached: boolean;
}

export async function insertPlan(db: Db, plan: SweepPlan, options: InsertOptions = {}): Promise<InsertedPlan> {
  // Prompt sets are content-addressed and large: stored before, outside the lock, harmless if the rest fails.
  for (const set of plan.promptSets) await savePromptSet(db, set);
  const inserted = await db.transaction().execute(async (trx) => {
    await query(trx, 'select pg_advisory_xact_lock(hashtextextended($1, 0))', [`sweep/${plan.id}`]);
    await saveModels(trx, plan);
    const stored = await readStored(trx, plan.id);
    if (stored !== null) {
      const differences = planDifferences(stored, plan);
      if (differences.length > 0) throw new SpecConflict(plan.id, differences);
    }
    const sweepNo = stored?.sweepNo ?? (await insertSweep(trx, plan));
    const known = new Set(stored?.cells.map((cell) => cell.key));
    const groups = plan.groups
      .map((group) => ({ ...group, cells: group.cells.filter((cell) => !known.has(cell.key)) }))
      .filter((group) => group.cells.length > 0);
    const added = await insertGroups(trx, sweepNo, plan.id, groups);
    if (stored !== null && added > 0) await amendSweep(trx, stored, plan, added, options.user ?? 'kvsweep');
    const reused = options.fresh ? 0 : await reuseFinished(trx, sweepNo);
    return { sweepNo, sweepId: plan.id, added, reused, attached: stored !== null };
  });
  // Without fresh statistics the planner takes thousands of new open cells for a handful. Outside the transaction: the
  // lock of ANALYZE would hold up the launch of another sweep.
  if (inserted.added > 0) await query(db, 'analyze cell, cell_group');
  return inserted;
}

async function readStored(db: Db, id: string): Promise<StoredPlan | null> {
  const [sweep] = await query<Omit<StoredPlan, 'cells'>>(
    db,
    `select sweep_no as "sweepNo", encode(spec_sha, 'hex') as "specSha", spec from sweep where id = $1`,
    [id],
  );
  if (sweep === undefined) return null;
  const cells = await query<StoredPlan['cells'][number]>(
    db,
    `select encode(key, 'hex') as key, label, model, workload, batch, backend, dataset from cell where sweep_no = $1`,
    [sweep.sweepNo],
  );
  return { ...sweep, cells };
}

async function saveModels(db: Db, plan: SweepPlan): Promise<void> {
  for (const model of plan.models) {
    await query(
      db,
      // A later version may know more of the same file: the rules of its tokenizer are part of a workload's provenance.
      `insert into model (sha, name, path, meta) values ($1, $2, $3, $4)
           on conflict (sha) do update set meta = model.meta || excluded.meta
        where not model.meta @> excluded.meta`,
      [fromHex(model.sha256), model.name, model.path, toJsonb(model.meta)],
    );
  }
}

async function insertSweep(db: Db, plan: SweepPlan): Promise<number> {
  const [row] = await query<{ no: number }>(
    db,
    `insert into sweep (id, spec, spec_sha, provenance, limits) values ($1, $2, $3, $4, $5)
     returning sweep_no as no`,
    [plan.id, toJsonb(plan.spec), fromHex(plan.specSha), toJsonb(plan.provenance), toJsonb(plan.limits)],
  );
  const samples = plan.groups.flatMap((group) => group.cells).reduce((sum, cell) => sum + cell.nPlanned, 0);
  if (samples > OWN_PARTITION) await createPartition(db, row!.no);
  return row!.no;
}

/** The parent is locked for a moment: rather fail the launch soon than hold up every worker behind a long reader. */
async function createPartition(db: Db, sweepNo: number): Promise<void> {
  await query(db, `set local lock_timeout = '10s'`);
  await sql`create table ${sql.id(`sample_${sweepNo}`)} partition of sample for values in (${sql.lit(sweepNo)})`.execute(
    db,
  );
}

/** A launched sweep may grow: the new spec takes the old one's place, and the old one stays in the history. */
async function amendSweep(db: Db, stored: StoredPlan, plan: SweepPlan, added: number, user: string): Promise<void> {
  await query(db, 'update sweep set spec = $2, spec_sha = $3, provenance = $4, limits = $5 where sweep_no = $1', [
    stored.sweepNo,
    toJsonb(plan.spec),
    fromHex(plan.specSha),
    toJsonb(plan.provenance),
    toJsonb(plan.limits),
  ]);
  await query(
    db,
    `insert into event (sweep_no, user_name, action, reason, old, new) values ($1, $2, 'amend', $3, $4, $5)`,
    [stored.sweepNo, user, `${added} cells added`, toJsonb(stored.spec), toJsonb(plan.spec)],
  );
}

/**
 * The order in which a group's throughput points run: shuffled among their places, so that a machine that warms up does not
 * favour whatever the spec names first. Other cells stay where they are: their pairs are to be complete early.
 */
function runningOrder(cells: readonly CellPlan[], key: string): CellPlan[] {
  const points = SplitMix64.fromKey(key).shuffle(cells.filter((cell) => cell.workload === 'throughput'));
  return cells.map((cell) => (cell.workload === 'throughput' ? points.shift()! : cell));
}

async function insertGroups(db: Db, sweepNo: number, sweepId: string, groups: readonly GroupPlan[]): Promise<number> {
  const [next] = await query<{ group: number; cell: number }>(
    db,
    `select coalesce((select max(group_no) + 1 from cell_group where sweep_no = $1), 0) as "group",
            coalesce((select max(cell_no) + 1 from cell where sweep_no = $1), 0) as cell`,
    [sweepNo],
  );
  const numbered = groups.map((group, i) => ({ ...group, groupNo: next!.group + i }));
  await query(
    db,
    `insert into cell_group (sweep_no, group_no, engine_key, queue, canary, est_ms)
     select $1, u.group_no, u.engine_key, u.queue, u.canary, u.est_ms
       from unnest($2::int[], $3::text[], $4::text[], $5::boolean[], $6::bigint[])
            as u (group_no, engine_key, queue, canary, est_ms)`,
    [
      sweepNo,
      numbered.map((group) => group.groupNo),
      numbered.map((group) => group.engineKey),
      numbered.map((group) => group.queue),
      numbered.map((group) => group.canary),
      numbered.map((group) => group.estMs),
    ],
  );
  const cells = numbered.flatMap(({ groupNo, cells }) =>
    runningOrder(cells, `kvsweep-order-1|${sweepId}|${groupNo}`).map((cell) => ({ cell, groupNo })),
  );
  for (let at = 0; at < cells.length; at += ROWS_PER_STATEMENT) {
    const rows = cells
      .slice(at, at + ROWS_PER_STATEMENT)
      .map(({ cell, groupNo }, i) => cellRecord(cell, next!.cell + at + i, groupNo));
    await query(
      db,
      `insert into cell (sweep_no, cell_no, group_no, key, run, compressor, label, requested, effective, derived,
                         noise_kind, noise_no, dataset, axes, is_baseline, baseline_key, replicate_of, n_planned, est_ms)
       select $1, cell_no, group_no, decode(key, 'hex'), run, compressor, label, requested, effective, derived,
              noise_kind, noise_no, dataset, axes, is_baseline, decode(baseline_key, 'hex'), decode(replicate_of, 'hex'), n_planned,
              est_ms
         from jsonb_to_recordset($2) as u (cell_no int, group_no int, key text, run jsonb, compressor text,
              label text, requested jsonb, effective jsonb, derived jsonb, noise_kind text, noise_no int,
              dataset text, axes jsonb, is_baseline boolean, baseline_key text, replicate_of text,
              n_planned int, est_ms bigint)`,
      [sweepNo, toJsonb(rows)],
    );
  }
  return cells.length;
}

function cellRecord(cell: CellPlan, cellNo: number, groupNo: number): Record<string, unknown> {
  return {
    cell_no: cellNo,
    group_no: groupNo,
    key: cell.key,
    run: cell.run,
    compressor: cell.compressor,
    label: cell.label,
    requested: cell.requested,
    effective: cell.effective,
    derived: cell.derived,
    noise_kind: cell.noiseKind,
    noise_no: cell.noiseNo,
    dataset: cell.dataset,
    axes: cell.axes,
    is_baseline: cell.isBaseline,
    baseline_key: cell.baselineKey,
    replicate_of: cell.replicateOf ?? null,
    n_planned: cell.nPlanned,
    est_ms: cell.estMs === null ? null : Math.ceil(cell.estMs),
  };
}

/** Cells that another sweep has finished become `done` by reference to its run. */
async function reuseFinished(db: Db, sweepNo: number): Promise<number> {
  const open = await query<ReusableCell>(
    db,
    `select encode(key, 'hex') as key, model, backend, workload
       from cell
      where sweep_no = $1 and status = 'pending' and tries = 0`,
    [sweepNo],
  );
  const finished = [...(await findFinished(db, open, sweepNo))];
  const rows = await query(
    db,
    `update cell c
        set status = 'done', reused_from = u.sweep_no
       from unnest($2::bytea[], $3::int[]) as u (key, sweep_no)
      where c.sweep_no = $1 and c.key = u.key and c.status = 'pending' and c.tries = 0
     returning c.cell_no`,
    [sweepNo, finished.map(([key]) => fromHex(key)), finished.map(([, from]) => from.sweepNo)],
  );
  return rows.length;
}
