import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { StackRuns, startLocalStack } from '../workers/local-stack.ts';
import { isRunning } from '../workers/process-identity.ts';
import { readStackState, runningStack, type StackState } from '../workers/stack-state.ts';
import { type Command, EXIT, type Options } from './command.ts';
import type { Context } from './context.ts';
import { positiveInteger } from './options.ts';
import { requireFreshBuild, requireSameBuild } from './stale-build.ts';
import { UsageError } from './usage-error.ts';

export const up: Command = {
  name: 'up',
  about: 'start the local stack: Postgres, Temporal server, workers',
  options: [
    { flags: '--detach', about: 'return once it is ready and leave it running' },
    { flags: '--workers <n>', about: 'engine workers to start', fallback: '1' },
    { flags: '--gpu <n>', about: 'let the engine worker use GPU n instead of the CPU' },
  ],
  async run(context, _args, options) {
    const running = await runningStack(context.config.paths);
    if (running) {
      requireSameBuild(context.config.paths.root, running);
      const ready = await untilReady(context, running.processes.supervisor!.pid);
      report(context, ready, 'the local stack runs already');
      return EXIT.done;
    }
    await requireFreshBuild(context.config.paths.root);
    return options.detach ? await detached(context, options) : await foreground(context, options);
  },
};

async function foreground(context: Context, options: Options): Promise<number> {
  const { config } = context;
  const workers = positiveInteger(options.workers, '--workers');
  const engineArgs = options.gpu === undefined ? ['--cpu'] : ['--gpu', String(options.gpu)];
  if (options.threads !== undefined)
    engineArgs.push('--threads', String(positiveInteger(options.threads, '--threads')));
  let stack: Awaited<ReturnType<typeof startLocalStack>>;
  try {
    stack = await startLocalStack({
      config,
      entry: join(config.paths.root, 'dist/cli/index.js'),
      engineWorkers: workers,
      engineArgs,
      env: config.inherited,
      onNote: context.note,
    });
  } catch (error) {
    if (error instanceof StackRuns) throw new UsageError(error.message, EXIT.failed);
    throw error;
  }
  report(context, stack.state(), 'the local stack is up; Ctrl-C stops it');
  const interrupted = new Promise<void>((resolve) => {
    if (context.interrupted.aborted) resolve();
    else context.interrupted.addEventListener('abort', () => resolve(), { once: true });
  });
  try {
    await Promise.race([interrupted, stack.failed]);
  } finally {
    context.note('stopping the local stack');
    await stack.stop();
  }
  return EXIT.done;
}

/** Starts `kvsweep up` in a session of its own and waits until it is ready or has ended. */
async function detached(context: Context, options: Options): Promise<number> {
  const { config } = context;
  mkdirSync(config.paths.logs, { recursive: true });
  const logFile = join(config.paths.logs, 'up.log');
  const log = openSync(logFile, 'w');
  const args = [join(config.paths.root, 'dist/cli/index.js'), 'up'];
  for (const name of ['workers', 'gpu'] as const) {
    if (options[name] !== undefined) args.push(`--${name}`, String(options[name]));
  }
  const child = spawn(process.execPath, args, { detached: true, env: config.inherited, stdio: ['ignore', log, log] });
  closeSync(log);
  child.unref();
  const ended = new Promise<null>((resolve) => child.once('exit', () => resolve(null)));
  const state = await Promise.race([untilReady(context, child.pid!), ended]);
  if (state === null) {
    const said = (await readFile(logFile, 'utf8').catch(() => '')).trim().split('\n').slice(-8).join('\n');
    throw new UsageError(`the local stack did not start:\n${said}`, EXIT.failed);
  }
  report(context, state, 'the local stack is up; `kvsweep down` stops it');
  return EXIT.done;
}

async function untilReady(context: Context, supervisor: number): Promise<StackState> {
  const deadline = Date.now() + 180_000;
  for (;;) {
    const state = await readStackState(context.config.paths);
    if (state?.pids.supervisor === supervisor && state.phase === 'ready') return state;
    const known = state?.processes.supervisor;
    if (Date.now() > deadline || (known?.pid === supervisor && !(await isRunning(known)))) {
      throw new UsageError(
        `the local stack did not get ready; see ${join(context.config.paths.logs, 'up.log')}`,
        EXIT.failed,
      );
    }
    await sleep(100);
  }
}

function report(context: Context, state: StackState, title: string): void {
  const { databaseUrl, temporalAddress, pids } = state;
  if (context.json) {
    context.print(JSON.stringify({ databaseUrl, temporalAddress, pids }));
    return;
  }
  context.note(
    `${title}: Postgres on port ${state.ports.postgres}, Temporal on ${temporalAddress}, ${pids.workers.length} engine worker(s)`,
  );
}
