/** What both kinds of worker share: the SDK's runtime, the connection, and the way a process of workers ends. */
import {
  DefaultLogger,
  type LogLevel,
  NativeConnection,
  type NativeConnectionOptions,
  Runtime,
  type Worker,
} from '@temporalio/worker';

/** As `loadClientConnectConfig()` returns it. */
export interface TemporalTarget {
  connectionOptions: NativeConnectionOptions;
  namespace?: string | undefined;
}

export interface WorkerHandle {
  /** Task queues that this process polls. */
  queues: string[];
  /** Resolves when all workers have stopped and their resources are closed; rejects if one failed. */
  done: Promise<void>;
  /** First signal: stop polling, finish the current cells, give the rest back. */
  drain(reason: string): void;
  /** Second signal: also end the engines; groups give back what they hold. */
  kill(): Promise<void>;
  /** Why the worker drained by itself (a fault of its host); null if it did not. */
  fault(): string | null;
}

let installed = false;

/** Before anything else of the SDK, once per process: by default it would take SIGINT and SIGTERM for itself. */
export function installRuntime(level: LogLevel = 'WARN'): void {
  if (installed) return;
  installed = true;
  Runtime.install({ shutdownSignals: [], logger: new DefaultLogger(level) });
}

export async function connect(target: TemporalTarget): Promise<{ connection: NativeConnection; namespace: string }> {
  const connection = await NativeConnection.connect(target.connectionOptions);
  return { connection, namespace: target.namespace ?? 'default' };
}

/**
 * Runs workers until all have stopped; if one fails the others are stopped too, because a process that polls half of
 * its queues looks alive. `close` runs last, in any case.
 */
export async function runAll(workers: readonly Worker[], close: () => Promise<void>): Promise<void> {
  const stopAll = () => {
    for (const worker of workers) if (worker.getState() === 'RUNNING') worker.shutdown();
  };
  try {
    const ends = await Promise.allSettled(
      workers.map(async (worker) => {
        try {
          await worker.run();
        } finally {
          stopAll();
        }
      }),
    );
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
  } finally {
    await close();
  }
}

/** After a kill the groups are given back; an idle long poll that the server does not end is not waited for. */
const KILLED_MS = 3_000;

/**
 * Owns SIGTERM and SIGINT until the handle is done: the first one drains, the second kills. Returns the reason of
 * the end: `signal`, `fault` (the host's) or `stopped`.
 */
export async function runUntilSignal(handle: WorkerHandle): Promise<'signal' | 'fault' | 'stopped'> {
  let signals = 0;
  let killed!: () => void;
  const afterKill = new Promise<void>((resolve) => {
    killed = () => {
      setTimeout(resolve, KILLED_MS);
    };
  });
  const onSignal = (name: NodeJS.Signals) => {
    signals++;
    if (signals === 1) handle.drain(name);
    else if (signals === 2) void handle.kill().finally(killed);
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  try {
    await Promise.race([handle.done, afterKill]);
    return signals > 0 ? 'signal' : handle.fault() === null ? 'stopped' : 'fault';
  } finally {
    process.off('SIGTERM', onSignal);
    process.off('SIGINT', onSignal);
  }
}
