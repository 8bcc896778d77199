// Lets Node 20 run our .ts files as they are: `node --import ./tools/typescript.mjs tools/dump-schema.ts`.
// For tools and tests of this checkout only; the product runs compiled from dist/. What was transpiled once is kept
// by the hash of its text, because tests start many processes.
import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { register } from 'node:module';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isMainThread } from 'node:worker_threads';

if (isMainThread) register(import.meta.url);

const CACHE = new URL('../.kvsweep/cache/ts/', import.meta.url);

export async function load(url, context, next) {
  if (!url.startsWith('file:') || !url.endsWith('.ts')) return await next(url, context);
  const path = fileURLToPath(url);
  const text = await readFile(path, 'utf8');
  const tag = createHash('sha256').update(path).update('\0').update(text).digest('hex').slice(0, 32);
  const file = fileURLToPath(new URL(`${tag}.mjs`, CACHE));
  const known = await readFile(file, 'utf8').catch(() => null);
  return { format: 'module', source: known ?? (await transpile(path, text, file)), shortCircuit: true };
}

async function transpile(path, text, file) {
  const { default: ts } = await import('typescript');
  const { outputText } = ts.transpileModule(text, {
    fileName: path,
    compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022, inlineSourceMap: true },
  });
  await mkdir(dirname(file), { recursive: true });
  // Renamed into place: another process that starts now must not read half of it.
  const draft = `${file}.${process.pid}`;
  await writeFile(draft, outputText);
  await rename(draft, file);
  return outputText;
}
