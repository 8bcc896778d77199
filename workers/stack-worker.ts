/** Starts a kvsweep worker as a child of the stack's supervisor: the same `kvsweep worker` that a cluster runs. */
import { fork } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Running } from './stack-child.ts';

export interface WorkerProcessOptions {
  /** `dist/cli/index.js` */
  entry: string;
  args: string[];
  env: Record<string, string | undefined>;
  logFile: string;
  /** Time for a clean end before engines are killed, ms. */
  graceMs: number;
}

/** The message by which a worker tells its supervisor that it polls. */
export const WORKER_READY = 'kvsweep-worker-ready';
const READY_MS = 60_000;

/**
 * Forks the worker and waits until it polls. The IPC channel is its lifeline: when this process ends by whatever
 * signal, the worker sees `disconnect` and ends too (`endWithParent`).
 */
export async function startWorkerProcess(options: WorkerProcessOptions): Promise<Running> {
  mkdirSync(dirname(options.logFile), { recursive: true });
  const log = openSync(options.logFile, 'a');
  const child = fork(options.entry, options.args, {
    env: options.env,
    execArgv: ['--enable-source-maps'],
    // Own process group: Ctrl-C in the terminal reaches the supervisor only, which stops its children in order.
    detached: true,
    stdio: ['ignore', log, log, 'ipc'],
  });
  closeSync(log);
  const exited = new Promise<void>((done) => child.once('exit', () => done()));
  const stop = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGTERM');
    const ended = await Promise.race([exited.then(() => true), sleep(options.graceMs, false, { ref: false })]);
    // The second signal makes a draining worker kill its engines at once.
    if (!ended) child.kill('SIGTERM');
    const late = await Promise.race([exited.then(() => true), sleep(5_000, false, { ref: false })]);
    if (!late) child.kill('SIGKILL');
    await exited;
  };
  try {
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no sign of readiness in ${READY_MS / 1000} s`)), READY_MS);
      child.once('message', (message) => {
        clearTimeout(timer);
        if (message === WORKER_READY) resolve();
        else reject(new Error(`unexpected message ${JSON.stringify(message)}`));
      });
      child.once('exit', (code, signal) => {
        clearTimeout(timer);
        reject(new Error(`it ended with ${signal ?? `code ${code}`} before it was ready; see ${options.logFile}`));
      });
      child.once('error', reject);
    });
  } catch (error) {
    await stop();
    throw new Error(`kvsweep ${options.args.join(' ')}: ${(error as Error).message}`, { cause: error });
  }
  return { pid: child.pid!, exited, stop };
}

/**
 * Called by a worker: tells a supervisor that it polls, and calls `stop` once the supervisor is gone. Does nothing
 * in a worker that a user started.
 */
export function reportReady(): void {
  process.send?.(WORKER_READY);
}

/** Calls `stop` when the supervisor of this process has ended; a channel that never was is no parent. */
export function endWithParent(stop: () => void): void {
  if (process.send === undefined) return;
  process.once('disconnect', stop);
}
