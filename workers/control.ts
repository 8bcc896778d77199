/** The control worker: workflows and their short activities on `kv.ctl`, aggregation on `kv.db`, estimates on `kv.estimates`. */
import { Worker, type WorkflowBundlePath } from '@temporalio/worker';
import { openDatabase } from '../activities/database.ts';
import { type AggregationJobs, createActivities } from '../activities/index.ts';
import { CONTROL_QUEUE, CONTROL_WORKER_QUEUES, DATABASE_QUEUE, ESTIMATE_QUEUE } from '../workflows/contracts.ts';
import { workflowBundle } from './bundle.ts';
import { connect, installRuntime, runAll, type TemporalTarget, type WorkerHandle } from './runtime.ts';

export interface ControlWorkerConfig {
  temporal: TemporalTarget;
  databaseUrl: string;
  jobs: AggregationJobs;
  /** Where built workflow bundles are kept, or a bundle that exists. */
  bundle: { cacheDir: string } | WorkflowBundlePath;
}

/** Connections to Postgres: the control activities are one short query each. */
const CONNECTIONS = 8;

/** Resolves when the worker is ready to poll. */
export async function startControlWorker(config: ControlWorkerConfig): Promise<WorkerHandle> {
  installRuntime();
  const bundle = 'codePath' in config.bundle ? config.bundle : await workflowBundle(config.bundle.cacheDir);
  const { connection, namespace } = await connect(config.temporal);
  const db = openDatabase(config.databaseUrl, { max: CONNECTIONS, applicationName: 'kvsweep-control' });
  const activities = createActivities({ db, jobs: config.jobs });
  const control = await Worker.create({
    connection,
    namespace,
    taskQueue: CONTROL_QUEUE,
    workflowBundle: bundle,
    activities: { ...activities.control },
    maxConcurrentActivityTaskExecutions: 64,
    shutdownGraceTime: '10s',
  });
  const aggregation = await Worker.create({
    connection,
    namespace,
    taskQueue: DATABASE_QUEUE,
    activities: { ...activities.aggregation },
    maxConcurrentActivityTaskExecutions: 2,
    shutdownGraceTime: '10s',
  });
  const estimates = await Worker.create({
    connection,
    namespace,
    taskQueue: ESTIMATE_QUEUE,
    activities: { ...activities.aggregation },
    // arithmetic on this process's one thread: a second slice at once would only double what is in memory
    maxConcurrentActivityTaskExecutions: 1,
    shutdownGraceTime: '10s',
  });
  const workers = [control, aggregation, estimates];
  const done = runAll(workers, async () => {
    await db.destroy();
    await connection.close();
  });
  done.catch(() => {}); // told by whoever awaits `done`
  const drain = () => {
    for (const worker of workers) if (worker.getState() === 'RUNNING') worker.shutdown();
  };
  return {
    queues: [...CONTROL_WORKER_QUEUES],
    done,
    drain,
    // Its activities are short and safe to repeat: there is nothing to give back.
    kill: async () => drain(),
    fault: () => null,
  };
}
