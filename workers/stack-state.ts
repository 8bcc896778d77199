/** What is known of the local stack of a checkout: one file, written by its supervisor, read by every command. */
import { mkdir, open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import type { Paths } from './paths.ts';
import { identify, isRunning, type ProcessIdentity } from './process-identity.ts';

const identity = z.object({ pid: z.int(), started: z.string() });

const stackState = z.object({
  version: z.literal(1),
  phase: z.enum(['starting', 'ready', 'stopping']),
  startedAt: z.string(),
  /** Hash of the sources that its program was compiled from; null = run without a build. */
  builtFrom: z.string().nullable().default(null),
  ports: z.object({ postgres: z.int(), temporal: z.int(), temporalHttp: z.int(), temporalMetrics: z.int() }),
  databaseUrl: z.string().nullable(),
  dataDir: z.string(),
  temporalAddress: z.string(),
  /** The pids again, plainly, for scripts. */
  pids: z.object({
    supervisor: z.int(),
    postgres: z.int().nullable(),
    temporal: z.int().nullable(),
    control: z.int().nullable(),
    workers: z.array(z.int()),
  }),
  /** Every process of the tree by pid and start time: what a later `up` or `down` may clean up. */
  processes: z.record(z.string(), identity),
  restarts: z.record(z.string(), z.int()),
  problem: z.string().nullable(),
});
export type StackState = z.infer<typeof stackState>;

/** The state file as it is, whether or not the stack runs; null if there is none. */
export async function readStackState(paths: Pick<Paths, 'stackFile'>): Promise<StackState | null> {
  const text = await readFile(paths.stackFile, 'utf8').catch(() => null);
  if (text === null) return null;
  try {
    return stackState.parse(JSON.parse(text));
  } catch {
    // Written by another version: it says nothing that this one could act on.
    return null;
  }
}

/** The state of a stack whose supervisor runs, else null. */
export async function runningStack(paths: Pick<Paths, 'stackFile'>): Promise<StackState | null> {
  const state = await readStackState(paths);
  const supervisor = state?.processes.supervisor;
  return state && supervisor && (await isRunning(supervisor)) ? state : null;
}

/** Replaces the state file at once; mode 0600, because it holds the password of the database. */
export async function writeStackState(paths: Pick<Paths, 'stackFile'>, state: StackState): Promise<void> {
  await mkdir(dirname(paths.stackFile), { recursive: true });
  const temporary = `${paths.stackFile}.${process.pid}`;
  await writeFile(temporary, `${JSON.stringify(state, null, 2)}\n`, { mode: 0o600 });
  await rename(temporary, paths.stackFile);
}

export async function removeStackState(paths: Pick<Paths, 'stackFile'>): Promise<void> {
  await rm(paths.stackFile, { force: true });
}

/** The process that holds the stack lock of this checkout, null if nobody does (a dead holder holds nothing). */
export async function lockHolder(paths: Pick<Paths, 'lockFile'>): Promise<ProcessIdentity | null> {
  const text = await readFile(paths.lockFile, 'utf8').catch(() => null);
  if (text === null) return null;
  const held = identity.safeParse(safeJson(text));
  return held.success && (await isRunning(held.data)) ? held.data : null;
}

/**
 * Takes the lock of the checkout's stack for this process. Returns the release, or the holder if another one runs.
 */
export async function takeLock(
  paths: Pick<Paths, 'lockFile'>,
): Promise<{ release(): Promise<void> } | ProcessIdentity> {
  await mkdir(dirname(paths.lockFile), { recursive: true });
  const self = (await identify(process.pid))!;
  for (;;) {
    const file = await open(paths.lockFile, 'wx').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'EEXIST') return null;
      throw error;
    });
    if (file) {
      await file.writeFile(JSON.stringify(self));
      await file.close();
      return { release: () => rm(paths.lockFile, { force: true }) };
    }
    const holder = await lockHolder(paths);
    if (holder) return holder;
    await rm(paths.lockFile, { force: true });
  }
}

function safeJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
