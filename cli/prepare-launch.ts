/** What `plan` and `launch` share: from the spec's file to a plan, and how a plan is shown. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { EngineList } from '../activities/engine-commands.ts';
import { type CellRow, type Finished, findFinished, findSweep, readCells } from '../activities/ledger.ts';
import type { PlanningDeps } from '../activities/planning.ts';
import { specFolderOf } from '../activities/planning.ts';
import { deadQueues } from '../activities/queues.ts';
import { NoStack } from '../workers/addresses.ts';
import type { Backend, JsonObject } from '../workflows/contracts.ts';
import type { CellPlan, SweepPlan } from '../workflows/plan.ts';
import { engineQueue } from '../workflows/queues.ts';
import { artefactIndex } from './artefact-index.ts';
import type { CommandOption, Options } from './command.ts';
import type { Context } from './context.ts';
import { deviceClassOf } from './device-class.ts';
import { numericsOf, type PlannedSweep, planSweep } from './plan-sweep.ts';
import { planTimeText, timeOfCells } from './plan-time.ts';
import { provenance } from './provenance.ts';
import { roleOf } from './role.ts';
import { parseSpec } from './spec.ts';
import { requireFreshBuild } from './stale-build.ts';
import { renderTable } from './table.ts';
import { UsageError } from './usage-error.ts';

export const PLAN_OPTIONS: CommandOption[] = [
  { flags: '--id <name>', about: "the sweep's name instead of the spec's" },
  { flags: '--fresh', about: 'run cells again that another sweep has finished' },
];

export type PreparedLaunch = PlannedSweep;

/** Reads, checks and plans a spec; nothing is written. */
export async function prepareLaunch(context: Context, specFile: string, options: Options): Promise<PreparedLaunch> {
  const text = await readFile(specFile, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new UsageError(
      `spec ${specFile} cannot be read (${error.code}); give the path of a sweep spec, as sweeps/quickstart.yaml`,
    );
  });
  const spec = parseSpec(text, specFile);
  const { config } = context;
  await requireFreshBuild(config.paths.root);
  const [engine, devices] = await Promise.all([context.engine.list(), context.engine.devices()]);
  const backend = await chooseBackend(context, spec.backend, engine);
  numericsOf(engine, backend);
  const deps: PlanningDeps = {
    engine: context.engine,
    engineEnvironment: config.engineEnvironment,
    modelFolders: config.modelFolders,
    dataFolder: config.dataFolder,
    specFolder: specFolderOf(specFile),
    hashCache: join(config.paths.state, 'model-hashes.json'),
  };
  return await planSweep({
    spec,
    id: typeof options.id === 'string' ? checkedId(options.id) : spec.name,
    deps,
    engine,
    backend,
    deviceClass: deviceClassOf(devices, backend, spec.threads ?? null),
    provenance: await provenance(config, engine, specFile, text),
    artefacts: await artefactIndex(context),
  });
}

function checkedId(id: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/.test(id)) return id;
  throw new UsageError(`--id ${id}: use letters, digits, dot, dash and underscore, at most 100`);
}

/** `auto` is cuda if a GPU worker polls now; what it means is stored with the sweep. */
async function chooseBackend(context: Context, wanted: 'auto' | Backend, engine: EngineList): Promise<Backend> {
  if (wanted !== 'auto') return wanted;
  if (!('cuda' in engine.numerics)) return 'cpu';
  try {
    const { workflow } = await context.temporal();
    const queue = engineQueue('cuda');
    return (await deadQueues(workflow, [queue])).length === 0 ? 'cuda' : 'cpu';
  } catch (error) {
    if (error instanceof NoStack) return 'cpu';
    throw error;
  }
}

type Reason = { cell: CellPlan; runs: boolean; reason: string };

/** Why each cell would run or not; without a database every cell is new. */
export async function reasons(
  context: Context,
  plan: SweepPlan,
  fresh: boolean,
): Promise<{ rows: Reason[]; database: boolean }> {
  const cells = plan.groups.flatMap((g) => g.cells);
  let db: Awaited<ReturnType<Context['db']>>;
  try {
    db = await context.db();
  } catch (error) {
    if (!(error instanceof NoStack)) throw error;
    return { rows: cells.map((cell) => ({ cell, runs: true, reason: 'new' })), database: false };
  }
  const sweep = await findSweep(db, plan.id);
  const known = new Map((sweep ? await readCells(db, sweep.sweepNo) : []).map((c) => [c.key, c]));
  const untouched = (own: CellRow | undefined) => !own || (own.status === 'pending' && own.tries === 0);
  const open = cells.filter((cell) => untouched(known.get(cell.key)));
  const finished = fresh ? new Map<string, Finished>() : await findFinished(db, open, sweep?.sweepNo ?? null);
  const rows = cells.map((cell): Reason => {
    const own = known.get(cell.key);
    if (own?.status === 'done')
      return { cell, runs: false, reason: own.reusedFrom ? `reused from ${own.reusedFrom}` : 'done' };
    if (own?.status === 'failed')
      return { cell, runs: false, reason: 'failed; `kvsweep resume --failed` runs it again' };
    const other = finished.get(cell.key);
    if (other) return { cell, runs: false, reason: `reused from ${other.sweepId}` };
    return { cell, runs: true, reason: own ? own.status : 'new' };
  });
  return { rows, database: true };
}

/** Prints a plan: every cell with its reason, then totals, queues and a rough time. */
export async function showPlan(context: Context, { plan, notes }: PreparedLaunch, options: Options): Promise<void> {
  const { rows, database } = await reasons(context, plan, options.fresh === true);
  const missing = await missingQueues(context, plan);
  const toRun = rows.filter((r) => r.runs).map((r) => r.cell);
  const time = await timeOfCells(context, toRun);
  const table = rows.map(({ cell, runs, reason }) => ({
    model: cell.model,
    compressor: cell.label,
    batch: cell.batch ?? 'max',
    workload: workloadText(cell),
    role: roleOf(cell),
    samples: cell.nPlanned,
    runs: runs ? 'yes' : 'no',
    reason,
  }));
  const counts = { cells: rows.length, run: toRun.length, groups: plan.groups.length };
  if (context.json) {
    const cells = rows.map(({ cell, runs, reason }) => ({ ...cell, runs, reason }) as unknown as JsonObject);
    context.print(
      JSON.stringify(
        {
          id: plan.id,
          spec_sha: plan.specSha,
          ...counts,
          est_ms: Math.round(time.ms),
          missing_queues: missing,
          notes,
          cells,
        },
        null,
        2,
      ),
    );
    return;
  }
  context.print(renderTable(table));
  context.print(`\n${counts.cells} cells, ${counts.run} to run, in ${counts.groups} groups; ${planTimeText(time)}`);
  for (const note of notes) context.print(`note: ${note}`);
  if (!database)
    context.print('note: no database is reachable, so nothing is known of finished cells; `kvsweep up` starts one');
  if (missing.length > 0) context.print(`note: no worker polls ${missing.join(', ')}`);
}

export function workloadText(cell: Pick<CellPlan, 'workload' | 'axes'>): string {
  const { model: _m, compressor: _c, batch: _b, workload: _w, ...axes } = cell.axes;
  const parts = Object.entries(axes).map(
    ([name, value]) => `${name}=${typeof value === 'object' ? JSON.stringify(value) : value}`,
  );
  return [cell.workload, ...parts].join(' ');
}

/** Queues of the plan that no live worker polls; empty if Temporal is not configured. */
export async function missingQueues(context: Context, plan: SweepPlan): Promise<string[]> {
  const queues = [...new Set(plan.groups.map((g) => g.queue))];
  try {
    const { workflow } = await context.temporal();
    return await deadQueues(workflow, queues);
  } catch (error) {
    if (error instanceof NoStack) return queues;
    throw error;
  }
}
