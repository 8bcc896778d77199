/**
 * The local stack: Postgres, the Temporal development server, a control worker and engine workers as one supervised
 * tree. The supervisor (`kvsweep up`) restarts what dies; when it dies itself, by whatever signal, every child sees
 * its lifeline break and ends; what survives even that is cleaned up by the next `up` or `down`, by pid and start time.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { builtFrom } from './built-from.ts';
import type { Config } from './config.ts';
import { findTemporalBinary } from './config.ts';
import { ensureDatabase } from './database-setup.ts';
import { reachableDataDir, startPostgres } from './embedded-postgres.ts';
import { choosePorts, type StackPorts } from './ports.ts';
import { identify, type ProcessIdentity, signal, waitForEnd } from './process-identity.ts';
import { type Running, type Supervised, supervise } from './stack-child.ts';
import { readStackState, removeStackState, type StackState, takeLock, writeStackState } from './stack-state.ts';
import { startWorkerProcess } from './stack-worker.ts';
import { startTemporal } from './temporal-server.ts';

export interface StackOptions {
  config: Config;
  /** `dist/cli/index.js`: what workers run. */
  entry: string;
  engineWorkers: number;
  engineArgs: string[];
  /** The environment that workers inherit, without addresses of the stack. */
  env: Record<string, string | undefined>;
  onNote(line: string): void;
}

export interface LocalStack {
  state(): StackState;
  /** Rejects if a part failed too often in a row. */
  failed: Promise<never>;
  stop(): Promise<void>;
}

/** The stack of this checkout runs already. */
export class StackRuns extends Error {
  readonly holder: ProcessIdentity;
  constructor(holder: ProcessIdentity) {
    super(`the local stack of this checkout runs already (process ${holder.pid}); \`kvsweep down\` stops it`);
    this.name = 'StackRuns';
    this.holder = holder;
  }
}

/** Time that a worker gets to give its groups back before its engines are killed, ms. */
const WORKER_GRACE_MS = 8_000;

/** Starts the whole stack in this process; everything is stopped again if one part does not start. */
export async function startLocalStack(options: StackOptions): Promise<LocalStack> {
  const { config, onNote } = options;
  const { paths } = config;
  const binary = findTemporalBinary(config);
  if (binary === null) {
    throw new Error(
      'no Temporal CLI found: set KVSWEEP_TEMPORAL_BIN, put `temporal` on PATH, or run `npm run bootstrap`, which puts the ' +
        `pinned one into ${join(paths.bin, 'temporal')}`,
    );
  }
  const lock = await takeLock(paths);
  if (!('release' in lock)) throw new StackRuns(lock);
  const parts: Supervised<Running>[] = [];
  try {
    await cleanLeftovers(config, onNote);
    await mkdir(paths.logs, { recursive: true });
    const ports = await choosePorts(paths.portsFile);
    const wanted = join(paths.state, 'postgres');
    const dataDir = await reachableDataDir(wanted);
    if (dataDir !== wanted) {
      onNote(`the user that Postgres runs as cannot reach ${wanted}; the database is in ${dataDir}`);
    }
    const stack = new Stack(options, ports, dataDir);
    return await stack.start(parts, binary, () => lock.release());
  } catch (error) {
    for (const part of parts.reverse()) await part.stop();
    await removeStackState(paths);
    await lock.release();
    throw error;
  }
}

class Stack {
  readonly #o: StackOptions;
  readonly #ports: StackPorts;
  readonly #dataDir: string;
  readonly #startedAt = new Date().toISOString();
  readonly #builtFrom: string | null;
  #phase: StackState['phase'] = 'starting';
  #databaseUrl: string | null = null;
  #problem: string | null = null;
  #named: { name: string; part: Supervised<Running> }[] = [];
  #last: StackState | null = null;
  #writing: Promise<unknown> = Promise.resolve();

  constructor(options: StackOptions, ports: StackPorts, dataDir: string) {
    this.#o = options;
    this.#ports = ports;
    this.#dataDir = dataDir;
    this.#builtFrom = builtFrom(options.config.paths.root);
  }

  async start(parts: Supervised<Running>[], binary: string, unlock: () => Promise<void>): Promise<LocalStack> {
    const { config, entry, engineArgs, engineWorkers } = this.#o;
    const { paths } = config;
    const add = async (name: string, start: () => Promise<Running>) => {
      this.#o.onNote(`starting ${name}`);
      const part = await supervise({ name, start }, (problem) => this.#changed(problem));
      parts.push(part);
      this.#named.push({ name, part });
      await this.#write();
    };
    await this.#write();
    await add('postgres', async () => {
      const server = await startPostgres({ dataDir: this.#dataDir, port: this.#ports.postgres });
      this.#databaseUrl = await ensureDatabase(server.url, server.urlOf('kvsweep'), 'kvsweep');
      return server;
    });
    await add('temporal', () =>
      startTemporal({
        binary,
        file: join(paths.state, 'temporal.db'),
        port: this.#ports.temporal,
        httpPort: this.#ports.temporalHttp,
        metricsPort: this.#ports.temporalMetrics,
      }),
    );
    const worker = (name: string, args: string[]) => () =>
      startWorkerProcess({
        entry,
        args: ['worker', ...args],
        env: { ...this.#o.env, ...stackEnvironment(this.#snapshot()), KVSWEEP_HOME: paths.home },
        logFile: join(paths.logs, `${name}.log`),
        graceMs: WORKER_GRACE_MS,
      });
    await add('control', worker('control', ['--control']));
    for (let n = 0; n < engineWorkers; n++) {
      const name = engineWorkers === 1 ? 'engine' : `engine-${n}`;
      await add(name, worker(name, engineArgs));
    }
    this.#phase = 'ready';
    await this.#write();
    const failed = Promise.all(this.#named.map((n) => n.part.done)).then(() => new Promise<never>(() => undefined));
    failed.catch(() => undefined);
    return {
      state: () => this.#last!,
      failed,
      stop: async () => {
        this.#phase = 'stopping';
        await this.#write();
        // Workers first, so that they can still give their groups back; the database last.
        const workers = parts.slice(2);
        await Promise.all(workers.map((p) => p.stop()));
        for (const part of parts.slice(0, 2).reverse()) await part.stop();
        await this.#writing;
        await removeStackState(paths);
        await unlock();
      },
    };
  }

  #changed(problem: string | null): void {
    this.#problem = problem;
    if (problem) this.#o.onNote(problem);
    void this.#write().catch((error) => this.#o.onNote(`the state file was not written: ${error}`));
  }

  /** One write at a time: an older state must not replace a newer one. */
  #write(): Promise<void> {
    const next = this.#writing.then(async () => {
      this.#last = await this.#withIdentities(this.#snapshot());
      await writeStackState(this.#o.config.paths, this.#last);
    });
    this.#writing = next.catch(() => undefined);
    return next;
  }

  #snapshot(): StackState {
    const pid = (name: string) => this.#named.find((n) => n.name === name)?.part.current()?.pid ?? null;
    const workers = this.#named.filter((n) => n.name.startsWith('engine'));
    return {
      version: 1,
      phase: this.#phase,
      startedAt: this.#startedAt,
      builtFrom: this.#builtFrom,
      ports: this.#ports,
      databaseUrl: this.#databaseUrl,
      dataDir: this.#dataDir,
      temporalAddress: `127.0.0.1:${this.#ports.temporal}`,
      pids: {
        supervisor: process.pid,
        postgres: pid('postgres'),
        temporal: pid('temporal'),
        control: pid('control'),
        workers: workers.map((w) => w.part.current()?.pid).filter((p) => p !== undefined),
      },
      processes: {},
      restarts: Object.fromEntries(this.#named.map((n) => [n.name, n.part.restarts()])),
      problem: this.#problem,
    };
  }

  async #withIdentities(state: StackState): Promise<StackState> {
    const running = this.#named.map((n) => [n.name, n.part.current()?.pid] as const);
    const processes: StackState['processes'] = {};
    for (const [name, pid] of [['supervisor', process.pid] as const, ...running]) {
      const known = pid === undefined ? null : await identify(pid);
      if (known) processes[name] = known;
    }
    return { ...state, processes };
  }
}

/** The two addresses that every process of kvsweep needs, as a cluster would set them. */
export function stackEnvironment(state: StackState): Record<string, string> {
  return {
    ...(state.databaseUrl === null ? {} : { DATABASE_URL: state.databaseUrl }),
    TEMPORAL_ADDRESS: state.temporalAddress,
    TEMPORAL_NAMESPACE: 'default',
  };
}

/**
 * Ends what a dead supervisor left behind: workers, then Temporal, then Postgres; each only if pid *and* start time
 * are those of the state file. Returns how many still ran.
 */
export async function cleanLeftovers(config: Config, onNote: (line: string) => void): Promise<number> {
  const state = await readStackState(config.paths);
  if (state === null) return 0;
  const order = Object.entries(state.processes)
    .filter(([name]) => name !== 'supervisor')
    .reverse();
  let ended = 0;
  for (const [name, known] of order) {
    // Children notice a dead parent by themselves within moments; only what does not is ended here.
    if (await waitForEnd(known, 3_000)) continue;
    ended++;
    onNote(`ending ${name} (process ${known.pid}), which an earlier stack left behind`);
    await signal(known, name === 'postgres' ? 'SIGINT' : 'SIGTERM');
    if (!(await waitForEnd(known, 10_000))) await signal(known, 'SIGKILL');
    await waitForEnd(known, 10_000);
  }
  await removeStackState(config.paths);
  return ended;
}

/** Stops the stack of this checkout from another process; false if none ran. */
export async function stopLocalStack(config: Config, onNote: (line: string) => void): Promise<boolean> {
  const state = await readStackState(config.paths);
  if (state === null) return false;
  const supervisor = state.processes.supervisor;
  let ran = false;
  if (supervisor) {
    ran = await signal(supervisor, 'SIGTERM');
    if (ran && !(await waitForEnd(supervisor, 60_000))) {
      onNote(`the supervisor (process ${supervisor.pid}) did not end in 60 s; killing it`);
      await signal(supervisor, 'SIGKILL');
      await waitForEnd(supervisor, 5_000);
    }
  }
  const left = await cleanLeftovers(config, onNote);
  return ran || left > 0;
}
