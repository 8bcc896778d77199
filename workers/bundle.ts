/** The workflow bundle, built once per content of `workflows/` and SDK version, then read from a cache folder. */
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode, DefaultLogger, type WorkflowBundlePath } from '@temporalio/worker';

/** `.ts` when run from source (tests), `.js` in a build. */
const EXTENSION = extname(fileURLToPath(import.meta.url));
const FOLDER = fileURLToPath(new URL('../workflows/', import.meta.url));

/** The bundle's file in `cacheDir`; built if this content has not been bundled yet (1.4-2.1 s). */
export async function workflowBundle(cacheDir: string): Promise<WorkflowBundlePath> {
  const codePath = join(cacheDir, `workflows-${await contentTag()}.cjs`);
  const known = await readFile(codePath).catch(() => null);
  if (known) return { codePath };
  const { code } = await bundleWorkflowCode({
    workflowsPath: join(FOLDER, `index${EXTENSION}`),
    logger: new DefaultLogger('WARN'),
  });
  await mkdir(dirname(codePath), { recursive: true });
  // Renamed into place: another worker that starts now must not read half of it.
  const draft = `${codePath}.${process.pid}`;
  await writeFile(draft, code);
  await rename(draft, codePath);
  return { codePath };
}

async function contentTag(): Promise<string> {
  const hash = createHash('sha256');
  const { version } = createRequire(import.meta.url)('@temporalio/worker/package.json') as { version: string };
  hash.update(version);
  const names = (await readdir(FOLDER)).filter((name) => name.endsWith(EXTENSION)).sort();
  for (const name of names) hash.update(`\0${name}\0`).update(await readFile(join(FOLDER, name)));
  return hash.digest('hex').slice(0, 16);
}
