/**
 * How fast the orchestration is by itself: launches cells of the scripted instant engine on a stack like that of
 * `kvsweep up` (Temporal on its file, Postgres with its durable defaults, workers in processes of their own) and
 * prints cells/s from launch to all done, and the largest history.
 *
 *   node --import ./tools/typescript.mjs tools/scale.ts [--cells 10000] [--group 50] [--slots 4] [--json]
 */
import { spawn } from 'node:child_process';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Client, Connection } from '@temporalio/client';
import { openDatabase, query } from '../activities/database.ts';
import { insertPlan } from '../activities/ledger.ts';
import { sweepResult, wakeSweep } from '../activities/sweep-client.ts';
import { migrate } from '../migrations/migrate.ts';
import { fakeEngine, fakeModel } from '../test/support/fake-engine.ts';
import { scriptedPlan } from '../test/support/scripted-plan.ts';
import { findTemporalBinary, readConfig } from '../workers/config.ts';
import { startPostgres } from '../workers/embedded-postgres.ts';
import { freePort } from '../workers/ports.ts';
import { startTemporal } from '../workers/temporal-server.ts';
import { engineQueue } from '../workflows/queues.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

const { values } = parseArgs({
  options: {
    cells: { type: 'string', default: '10000' },
    group: { type: 'string', default: '50' },
    slots: { type: 'string', default: '4' },
    json: { type: 'boolean', default: false },
  },
});
const [cells, group, slots] = [values.cells, values.group, values.slots].map(Number) as [number, number, number];

const binary = findTemporalBinary(readConfig());
if (binary === null) throw new Error('no Temporal CLI: set KVSWEEP_TEMPORAL_BIN or run `npm run bootstrap`');

// Closed in reverse order at the end, whatever happens.
const closing: (() => Promise<unknown>)[] = [];
const cleanup = { defer: (close: () => Promise<unknown>) => void closing.push(close) };
try {
  const folder = await mkdtemp(join(tmpdir(), 'kvsweep-scale-'));
  cleanup.defer(() => rm(folder, { recursive: true, force: true }));
  await chmod(folder, 0o755); // as root, Postgres runs as another user
  const ports = { port: await freePort(), httpPort: await freePort(), metricsPort: await freePort() };
  const temporal = await startTemporal({ binary, file: join(folder, 'temporal.db'), ...ports });
  cleanup.defer(() => temporal.stop());
  const postgres = await startPostgres({ dataDir: join(folder, 'data') });
  cleanup.defer(() => postgres.stop());
  const db = openDatabase(postgres.url, { max: 2 });
  cleanup.defer(() => db.destroy());
  await migrate(db);

  const target = { connectionOptions: { address: temporal.address }, namespace: 'default' };
  const shared = { temporal: target, databaseUrl: postgres.url };
  await worker({ kind: 'control', ...shared, bundle: { cacheDir: join(ROOT, '.kvsweep/test') } });
  await worker({
    kind: 'engine',
    ...shared,
    engine: fakeEngine(),
    modelFolders: [],
    artefactFolder: join(tmpdir(), 'kvsweep-scale-artefacts'),
    queues: [engineQueue('cpu')],
    slots,
    host: { name: 'scale', facts: {} },
  });
  const connection = await Connection.connect({ address: temporal.address });
  cleanup.defer(() => connection.close());
  const client = new Client({ connection });

  const groups = Array.from({ length: Math.ceil(cells / group) }, (_, g) =>
    Array.from({ length: Math.min(group, cells - g * group) }, () => ({})),
  );
  const plan = scriptedPlan({ id: 'scale', model: fakeModel(folder), groups, prompts: 1 });

  const start = performance.now();
  await insertPlan(db, plan);
  const planned = performance.now();
  await wakeSweep(client.workflow, plan.id);
  const { open, passes } = await sweepResult(client.workflow, plan.id);
  const seconds = (performance.now() - start) / 1000;

  const [rows] = await query<{ done: number; samples: number }>(
    db,
    `select (select count(*) from cell where status = 'done') as done, (select count(*) from sample) as samples`,
  );
  let largest = 0;
  for await (const run of client.workflow.list()) largest = Math.max(largest, run.historyLength);

  const result = {
    cells,
    done: rows!.done,
    samples: rows!.samples,
    open,
    passes,
    seconds: round(seconds),
    plan_seconds: round((planned - start) / 1000),
    cells_s: round(cells / seconds),
    largest_history: largest,
  };
  process.stdout.write(
    values.json
      ? `${JSON.stringify(result)}\n`
      : `${result.done} of ${cells} cells done in ${result.seconds} s (${result.plan_seconds} s to plan): ${result.cells_s} cells/s; largest history ${largest} events\n`,
  );
  process.exitCode = rows!.done === cells && rows!.samples === cells && largest <= 4_500 ? 0 : 1;
} finally {
  for (const close of closing.reverse()) await close();
}

/** Starts a worker process and waits until it polls; it ends with this process. */
async function worker(config: object): Promise<void> {
  const args = ['--import', './tools/typescript.mjs', 'test/support/worker-process.ts', JSON.stringify(config)];
  const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ['pipe', 'pipe', 'inherit'] });
  const exited = new Promise((resolve) => child.once('exit', resolve));
  cleanup.defer(async () => {
    child.kill('SIGTERM');
    await exited;
  });
  await new Promise<void>((resolve, reject) => {
    child.stdout.once('data', () => resolve());
    child.once('exit', (code) => reject(new Error(`a worker ended with code ${code} before it polled`)));
  });
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
