/**
 * Whether the program that runs was compiled from the sources beside it, and the local stack by the same build. After a
 * `git pull` without set-up it was not: old code would run, and a sweep would state the commit of the new one.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { builtFrom } from '../workers/built-from.ts';
import { runningStack, type StackState } from '../workers/stack-state.ts';
import { EXIT } from './command.ts';
import type { Context } from './context.ts';
import { UsageError } from './usage-error.ts';

const HERE = fileURLToPath(import.meta.url);

/** Refuses to go on with a stale build; run from sources, or without any beside it, there is nothing to compare. */
export async function requireFreshBuild(root: string, program = HERE): Promise<void> {
  const tool = join(root, 'tools/sources.mjs');
  if (!program.startsWith(join(root, 'dist/')) || !existsSync(tool)) return;
  const { sourcesSha } = (await import(pathToFileURL(tool).href)) as { sourcesSha(root: string): string };
  if (builtFrom(root) === sourcesSha(root)) return;
  throw new UsageError(
    'this program was not compiled from the sources that lie beside it: run `npm run bootstrap`, which compiles them in seconds',
    EXIT.failed,
  );
}

/** Refuses a local stack that another build started; its workers and schema are of that build. */
export function requireSameBuild(root: string, stack: Pick<StackState, 'builtFrom'>): void {
  if (stack.builtFrom === builtFrom(root)) return;
  throw new UsageError(
    'the local stack was started by another build of this checkout: stop it with `kvsweep down` and start it with `kvsweep up`; sweeps go on with `kvsweep resume`',
    EXIT.failed,
  );
}

/** The same for whatever stack a command is about to use; a cluster's processes are not known here. */
export async function requireStackOfThisBuild(context: Context): Promise<void> {
  const { from } = await context.addresses();
  const stack = from === 'local stack' ? await runningStack(context.config.paths) : null;
  if (stack) requireSameBuild(context.config.paths.root, stack);
}
