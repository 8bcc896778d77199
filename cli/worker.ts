import type { EngineList } from '../activities/engine-commands.ts';
import { migrateDatabase } from '../workers/database-setup.ts';
import type { WorkerHandle } from '../workers/runtime.ts';
import { endWithParent, reportReady } from '../workers/stack-worker.ts';
import type { Backend, JsonObject } from '../workflows/contracts.ts';
import { cpuClass, servedQueues } from '../workflows/queues.ts';
import { type Command, EXIT, type Options } from './command.ts';
import type { Context } from './context.ts';
import { positiveInteger, wholeNumber } from './options.ts';
import { requireFreshBuild } from './stale-build.ts';
import { UsageError } from './usage-error.ts';

export const worker: Command = {
  name: 'worker',
  about: 'run a worker: --control, or an engine worker with --cpu or --gpu',
  options: [
    { flags: '--control', about: 'workflows, planning and aggregation' },
    { flags: '--cpu', about: 'an engine on the CPU' },
    { flags: '--gpu <n>', about: 'an engine on GPU n' },
    { flags: '--slots <n>', about: 'engines that run at once', fallback: '1' },
  ],
  async run(context, _args, options) {
    if (!options.control && !options.cpu && options.gpu === undefined) {
      throw new UsageError('say what this worker does: --control, --cpu or --gpu N (--control goes with either)');
    }
    if (options.cpu && options.gpu !== undefined)
      throw new UsageError('--cpu and --gpu exclude each other: start two workers');
    await requireFreshBuild(context.config.paths.root);
    const handles: WorkerHandle[] = [];
    try {
      if (options.control) handles.push(await control(context));
      if (options.cpu || options.gpu !== undefined) handles.push(await engine(context, options));
    } catch (error) {
      for (const handle of handles) handle.drain('start failed');
      await Promise.allSettled(handles.map((h) => h.done));
      throw error;
    }
    const handle = joined(handles);
    context.note(`polling ${handle.queues.join(', ')}`);
    endWithParent(() => {
      handle.drain('the supervisor is gone');
      void handle.kill();
    });
    reportReady();
    const { runUntilSignal } = await import('../workers/runtime.ts');
    const end = await runUntilSignal(handle);
    if (end === 'fault') throw new UsageError(`this worker stopped by itself: ${handle.fault()}`, EXIT.failed);
    return EXIT.done;
  },
};

// The worker half of the SDK takes a second to load; only a worker pays for it.
async function control(context: Context): Promise<WorkerHandle> {
  const { startControlWorker } = await import('../workers/control.ts');
  const { AGGREGATION_JOBS } = await import('../activities/aggregate/jobs.ts');
  const { databaseUrl, temporal } = await context.addresses();
  await migrateDatabase(databaseUrl);
  return await startControlWorker({
    temporal,
    databaseUrl,
    jobs: AGGREGATION_JOBS,
    bundle: { cacheDir: context.config.paths.state },
  });
}

async function engine(context: Context, options: Options): Promise<WorkerHandle> {
  const { config } = context;
  const { databaseUrl, temporal } = await context.addresses();
  const backend: Backend = options.gpu === undefined ? 'cpu' : 'cuda';
  const [list, devices] = await Promise.all([context.engine.list(), context.engine.devices()]);
  requireBackend(list, backend);
  const gpu = options.gpu === undefined ? null : wholeNumber(options.gpu, '--gpu');
  const env: Record<string, string> = { ...config.engineEnvironment };
  // One worker, one GPU: the engine then sees it as device 0.
  if (gpu !== null) env.CUDA_VISIBLE_DEVICES = String(gpu);
  const features = ((devices.cpu as JsonObject | undefined)?.features ?? []) as string[];
  const deviceClass = config.deviceClass ?? (backend === 'cpu' ? cpuClass(features) : 'any');
  const { startEngineWorker } = await import('../workers/engine.ts');
  return await startEngineWorker({
    temporal,
    databaseUrl,
    engine: { path: config.enginePath, args: ['serve'], env },
    modelFolders: config.modelFolders,
    artefactFolder: config.paths.artefacts,
    queues: servedQueues(backend, deviceClass),
    slots: positiveInteger(options.slots, '--slots'),
    host: { name: config.host, facts: { devices, cpus: config.cpus, platform: `${process.platform}-${process.arch}` } },
  });
}

export function requireBackend(list: EngineList, backend: Backend): void {
  if (backend in list.numerics) return;
  const has = Object.keys(list.numerics).join(', ') || 'none';
  throw new UsageError(`this build of the engine has no ${backend} backend (it has ${has})`);
}

/** Several workers of one process end together. */
function joined(handles: WorkerHandle[]): WorkerHandle {
  const drain = (reason: string) => {
    for (const handle of handles) handle.drain(reason);
  };
  const done = Promise.allSettled(
    handles.map((h) => h.done.finally(() => drain('another worker of this process ended'))),
  ).then((ends) => {
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
  });
  done.catch(() => undefined);
  return {
    queues: handles.flatMap((h) => h.queues),
    done,
    drain,
    kill: async () => void (await Promise.all(handles.map((h) => h.kill()))),
    fault: () => handles.map((h) => h.fault()).find((f) => f !== null) ?? null,
  };
}
