/**
 * What a test of workflows needs: a namespace of its own on the run's Temporal server, a database of its own, workers
 * in this process or in a child that may be killed, and plans of scripted cells.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client, Connection } from '@temporalio/client';
import { inject, test } from 'vitest';
import type { AggregationJobs } from '../../activities/aggregation.ts';
import { type Db, query } from '../../activities/database.ts';
import * as ledger from '../../activities/ledger.ts';
import { type StartOptions, sweepResult, wakeSweep } from '../../activities/sweep-client.ts';
import { startControlWorker } from '../../workers/control.ts';
import { type EngineWorkerConfig, startEngineWorker } from '../../workers/engine.ts';
import { installRuntime, type TemporalTarget, type WorkerHandle } from '../../workers/runtime.ts';
import type { SweepWorkflowResult, WorkflowPolicy } from '../../workflows/contracts.ts';
import { engineQueue } from '../../workflows/queues.ts';
import { isAlive, until } from './conditions.ts';
import { type FakeScript, fakeEngine, fakeModel } from './fake-engine.ts';
import { NO_JOBS } from './no-jobs.ts';
import { type ScriptedPlan, scriptedPlan } from './scripted-plan.ts';
import { openTestDatabase, type TestDatabase } from './test-database.ts';

// Failures of activities are what these tests are about; the SDK logs each of them as a warning.
installRuntime('ERROR');

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** `test`, skipped by name where there is no Temporal CLI. */
export const temporalTest = test.skipIf(inject('temporalAddress') === null);

/** Short times, so that a lost worker is noticed in two seconds. */
export const FAST: WorkflowPolicy = { heartbeatMs: 2_000, retryInitialMs: 100 };

export type EngineOptions = Partial<Omit<EngineWorkerConfig, 'temporal' | 'databaseUrl'>>;

export interface WorkerProcess {
  pid: number;
  child: ChildProcess;
  /** Resolves with the code or the signal when the process has ended. */
  exited: Promise<number | NodeJS.Signals | null>;
  /** Resolves when the first signal has been taken. */
  draining(): Promise<unknown>;
}

export interface TestStack extends AsyncDisposable {
  client: Client;
  temporal: TemporalTarget;
  database: TestDatabase;
  db: Db;
  folder: string;
  model: { name: string; path: string; sha256: string };
  control(jobs?: Partial<AggregationJobs>): Promise<WorkerHandle>;
  /** An engine worker in this process, stopped with the stack. */
  engines(options?: EngineOptions): Promise<WorkerHandle>;
  /** An engine worker in a process of its own. */
  spawnWorker(options?: EngineOptions): Promise<WorkerProcess>;
  /** Stores a scripted plan under an unused name, or the given one, and starts it. */
  launch(plan: Partial<ScriptedPlan> & { groups: FakeScript[][] }, options?: StartOptions): Promise<Launched>;
  /** A path in the test's folder. */
  file(name: string): string;
}

export interface Launched {
  id: string;
  sweepNo: number;
  result(withinMs?: number): Promise<SweepWorkflowResult>;
  states(): Promise<Record<string, number>>;
  /** `label/sample/rep` -> token hash; throws on a row that is there twice. */
  hashes(): Promise<Record<string, string>>;
  attempts(): Promise<{ group: number; outcome: string | null; lease: string }[]>;
  starts(): Promise<number>;
  status(): Promise<string>;
}

let names = 0;

/** `target`: another Temporal server than the run's; `database`: another than the file's. */
export async function openStack(
  name: string,
  options: { address?: string; database?: TestDatabase } = {},
): Promise<TestStack> {
  const address = options.address ?? inject('temporalAddress')!;
  const folder = await mkdtemp(join(tmpdir(), `kvsweep-${name}-`));
  const connection = await Connection.connect({ address });
  const namespace = options.address ? 'default' : `${name}-${process.pid}`;
  if (!options.address) await makeNamespace(connection, namespace);
  const client = new Client({ connection, namespace });
  const database = options.database ?? (await openTestDatabase());
  const temporal: TemporalTarget = { connectionOptions: { address }, namespace };
  const handles: WorkerHandle[] = [];
  const processes: WorkerProcess[] = [];
  const model = fakeModel(folder);
  const { db } = database;

  const engineConfig = (overrides: EngineOptions): EngineWorkerConfig => ({
    temporal,
    databaseUrl: database.url,
    engine: fakeEngine(),
    modelFolders: [],
    artefactFolder: join(folder, 'artefacts'),
    queues: [engineQueue('cpu')],
    slots: 1,
    host: { name: 'test-host', facts: { cpus: 1 } },
    ...overrides,
    times: { stallMs: 10_000, loadStallMs: 20_000, databaseMs: 20_000, killAfterMs: 1_000, ...overrides.times },
  });

  const stack: TestStack = {
    client,
    temporal,
    database,
    db,
    folder,
    model,
    file: (file) => join(folder, file),
    async control(jobs = {}) {
      const bundle = { cacheDir: join(ROOT, '.kvsweep/test') };
      const handle = await startControlWorker({
        temporal,
        databaseUrl: database.url,
        jobs: { ...NO_JOBS, ...jobs },
        bundle,
      });
      handles.push(handle);
      return handle;
    },
    async engines(overrides = {}) {
      const handle = await startEngineWorker(engineConfig(overrides));
      handles.push(handle);
      return handle;
    },
    async spawnWorker(overrides = {}) {
      const worker = await spawnWorker(engineConfig(overrides));
      processes.push(worker);
      return worker;
    },
    async launch(partial, start = { policy: FAST }) {
      const id = partial.id ?? `${name}-${++names}`;
      const plan = scriptedPlan({ model, ...partial, id });
      const { sweepNo } = await ledger.insertPlan(db, plan);
      await wakeSweep(client.workflow, id, start);
      return launched(client, db, id, sweepNo);
    },
    async [Symbol.asyncDispose]() {
      for (const { child, exited } of processes) {
        child.kill('SIGCONT');
        child.kill('SIGKILL');
        await exited;
      }
      await endLeftRunning(client);
      for (const handle of handles) await handle.kill();
      for (const handle of handles) await handle.done;
      await noEngineLeft();
      await connection.close();
      if (!options.database) await database[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
  return stack;
}

function launched(client: Client, db: Db, id: string, sweepNo: number): Launched {
  return {
    id,
    sweepNo,
    async result(withinMs = 45_000) {
      return await within(withinMs, `the end of sweep ${id}`, sweepResult(client.workflow, id));
    },
    async states() {
      const rows = await query<{ status: string; n: number }>(
        db,
        'select status, count(*) as n from cell where sweep_no = $1 group by status',
        [sweepNo],
      );
      return Object.fromEntries(rows.map((row) => [row.status, row.n]));
    },
    async hashes() {
      const rows = await query<{ key: string; sha: string }>(
        db,
        `select c.label || '/' || s.sample_idx || '/' || s.rep as key, encode(s.out_sha, 'hex') as sha
           from sample s join cell c using (sweep_no, cell_no) where s.sweep_no = $1`,
        [sweepNo],
      );
      const hashes = Object.fromEntries(rows.map((row) => [row.key, row.sha]));
      if (Object.keys(hashes).length !== rows.length) throw new Error('a sample is there twice');
      return hashes;
    },
    async attempts() {
      return await query(
        db,
        'select group_no as "group", outcome, lease from attempt where sweep_no = $1 order by started_at',
        [sweepNo],
      );
    },
    async starts() {
      const rows = await query<{ n: number }>(db, 'select sum(tries)::int as n from cell where sweep_no = $1', [
        sweepNo,
      ]);
      return rows[0]!.n;
    },
    async status() {
      return await ledger.readSweepStatus(db, sweepNo);
    },
  };
}

/** The hash that the fake engine gives for a sample: computed here from its documented rule, not read back. */
export { expectedHashes } from './fake-tokens.ts';

export async function within<T>(ms: number, what: string, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${ms} ms: ${what}`)), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

async function makeNamespace(connection: Connection, namespace: string): Promise<void> {
  await connection.workflowService.registerNamespace({
    namespace,
    workflowExecutionRetentionPeriod: { seconds: 86_400 as never },
  });
  // The server's caches learn of a namespace a little later; a poll before that would fail.
  await until(
    `namespace ${namespace}`,
    async () => {
      await connection.workflowService.describeTaskQueue({ namespace, taskQueue: { name: 'probe' }, taskQueueType: 1 });
      return true;
    },
    30_000,
  );
}

/** The leak check: a worker that has ended leaves no engine behind. */
async function noEngineLeft(): Promise<void> {
  await until(
    'no engine of this process is left',
    async () => {
      for (const name of await readdir('/proc')) {
        const stat = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => '');
        if (Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) !== process.pid) continue;
        if ((await readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => '')).includes('fake-engine.mjs')) return false;
      }
      return true;
    },
    5_000,
  );
}

/** Workflows that a failed test leaves open would keep its workers busy while they stop. */
async function endLeftRunning(client: Client): Promise<void> {
  for await (const open of client.workflow.list({ query: "ExecutionStatus = 'Running'" })) {
    await client.workflow
      .getHandle(open.workflowId, open.runId)
      .terminate('the test is over')
      .catch(() => {});
  }
}

async function spawnWorker(config: EngineWorkerConfig): Promise<WorkerProcess> {
  const args = [
    '--import',
    './tools/typescript.mjs',
    'test/support/worker-process.ts',
    JSON.stringify({ kind: 'engine', ...config }),
  ];
  const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ['pipe', 'pipe', 'inherit'] });
  const exited = new Promise<number | NodeJS.Signals | null>((resolve) => {
    child.once('exit', (code, signal) => resolve(code ?? signal));
  });
  let out = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  await until('the worker polls', () => out.includes('ready\n'), 30_000);
  const draining = () => until('the worker drains', () => out.includes('draining\n'));
  return { pid: child.pid!, child, exited, draining };
}

/** The engine pids that a script wrote into its `started` file. */
export { isAlive };
