/**
 * Whether the program that runs was compiled from the sources beside it. After a `git pull` without set-up it was not:
 * old code would run, and a sweep would state the commit of the new one.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { EXIT } from './command.ts';
import { UsageError } from './usage-error.ts';

const HERE = fileURLToPath(import.meta.url);

interface Sources {
  BUILT_FROM: string;
  sourcesSha(root: string): string;
}

/** Refuses to go on with a stale build; run from sources, or without any beside it, there is nothing to compare. */
export async function requireFreshBuild(root: string, program = HERE): Promise<void> {
  const tool = join(root, 'tools/sources.mjs');
  if (!program.startsWith(join(root, 'dist/')) || !existsSync(tool)) return;
  const { BUILT_FROM, sourcesSha } = (await import(pathToFileURL(tool).href)) as Sources;
  const stamp = join(root, BUILT_FROM);
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === sourcesSha(root)) return;
  throw new UsageError(
    'this program was not compiled from the sources that lie beside it: run `npm run bootstrap`, which compiles them in seconds',
    EXIT.failed,
  );
}
