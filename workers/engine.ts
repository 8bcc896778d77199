/** An engine worker: polls the queues that its device can serve and runs groups on warm engines. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { Worker } from '@temporalio/worker';
import { createArtefactStore } from '../activities/artefacts.ts';
import { openDatabase } from '../activities/database.ts';
import { createEnginePool } from '../activities/engine-pool.ts';
import type { EngineCommand } from '../activities/engine-process.ts';
import type { EventOf } from '../activities/engine-protocol.ts';
import { createEngineActivities } from '../activities/index.ts';
import * as ledger from '../activities/ledger.ts';
import { createModelStore } from '../activities/models.ts';
import { workerIdentity } from '../activities/queues.ts';
import type { JsonObject } from '../workflows/contracts.ts';
import { connect, installRuntime, runAll, type TemporalTarget, type WorkerHandle } from './runtime.ts';

export interface EngineWorkerConfig {
  temporal: TemporalTarget;
  databaseUrl: string;
  engine: EngineCommand;
  /** Folders searched for a model whose path of the spec does not hold it. */
  modelFolders: string[];
  /** Where artefacts of compressors are kept after they were fetched. */
  artefactFolder: string;
  /** Queues by capability: `servedQueues` of `workflows/queues.ts`. */
  queues: string[];
  /** Engines that may run at once. */
  slots: number;
  host: { name: string; facts: JsonObject };
  times?: Partial<EngineWorkerTimes>;
}

export interface EngineWorkerTimes {
  /** No event of a running cell for so long: the engine hangs. A long prefill writes nothing meanwhile. */
  stallMs: number;
  /** The same for a load: 16 GB from a cold disk. */
  loadStallMs: number;
  /** How long Postgres may be away before an attempt ends. */
  databaseMs: number;
  /** After a drain: the longest planned cell and a margin. Beyond it the SDK cancels the activities. */
  graceMs: number;
  /** Between SIGTERM and SIGKILL of an engine. */
  killAfterMs: number;
}

export const ENGINE_WORKER_TIMES: EngineWorkerTimes = {
  stallMs: 5 * 60_000,
  loadStallMs: 15 * 60_000,
  databaseMs: 90_000,
  graceMs: 135 * 60_000,
  killAfterMs: 5_000,
};

const STDERR_BYTES = 64 * 1024;
const QUEUE_EVENTS = 4_096;

/** Resolves when the worker is ready to poll; its host is registered by then. */
export async function startEngineWorker(config: EngineWorkerConfig): Promise<WorkerHandle> {
  installRuntime();
  const times = { ...ENGINE_WORKER_TIMES, ...config.times };
  const engineSha = createHash('sha256')
    .update(await readFile(config.engine.path))
    .digest('hex');
  const { connection, namespace } = await connect(config.temporal);
  const db = openDatabase(config.databaseUrl, {
    max: Math.min(8, config.slots + 2),
    applicationName: 'kvsweep-engine-worker',
    genericPlans: true,
  });
  const pool = createEnginePool({
    slots: config.slots,
    command: config.engine,
    loadStallMs: times.loadStallMs,
    limits: { killAfterMs: times.killAfterMs, stderrBytes: STDERR_BYTES, queueEvents: QUEUE_EVENTS },
  });
  const workers: Worker[] = [];
  const state = { draining: false, killed: false };
  let fault: string | null = null;
  const drain = () => {
    // Polling stops first: a group that returns early is dispatched anew and must not come back to this worker.
    for (const worker of workers) if (worker.getState() === 'RUNNING') worker.shutdown();
    state.draining = true;
  };
  const close = async () => {
    await pool.close();
    await db.destroy();
    await connection.close();
  };

  try {
    const hostId = await ledger.registerHost(db, config.host);
    const builds = new Map<string, Promise<number>>();
    const engineBuild = (hello: EventOf<'hello'>) => {
      const { engine: version, build, numerics } = hello;
      const known = builds.get(build);
      if (known) return known;
      const id = ledger.registerEngineBuild(db, { sha: engineSha, version, build, numerics });
      builds.set(build, id);
      id.catch(() => builds.delete(build));
      return id;
    };
    const activities = createEngineActivities({
      db,
      pool,
      models: createModelStore(config.modelFolders),
      artefacts: createArtefactStore(config.artefactFolder),
      drain: {
        get draining() {
          return state.draining;
        },
        get killed() {
          return state.killed;
        },
        drain(reason) {
          fault ??= reason;
          drain();
        },
      },
      hostId,
      hostFacts: { name: config.host.name, ...config.host.facts },
      engineBuild,
      stallMs: times.stallMs,
      databaseMs: times.databaseMs,
    });
    for (const taskQueue of config.queues) {
      workers.push(
        await Worker.create({
          connection,
          namespace,
          taskQueue,
          identity: workerIdentity(config.host.name, process.pid, config.slots),
          activities: { ...activities },
          // Slots are per Worker, engines are per process: the pool's slots are what bounds several queues together.
          maxConcurrentActivityTaskExecutions: config.slots,
          shutdownGraceTime: times.graceMs,
          maxHeartbeatThrottleInterval: '10s',
        }),
      );
    }
  } catch (error) {
    await close();
    throw error;
  }

  const done = runAll(workers, close);
  done.catch(() => {}); // told by whoever awaits `done`
  return {
    queues: config.queues,
    done,
    drain,
    kill: async () => {
      drain();
      state.killed = true;
      await pool.close();
    },
    fault: () => fault,
  };
}
