/**
 * Finds a model file by its sha256: the path of the spec if its content matches, else the folders of this worker.
 * A file is hashed once per (path, size, mtime); 16 GB take a while.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { ModelRef } from '../workflows/contracts.ts';
import { EngineFault } from './failures.ts';

export interface ModelStore {
  /** The path of a file whose sha256 is the model's; throws a HostFault if this worker has none. */
  resolve(model: ModelRef): Promise<string>;
}

export function createModelStore(folders: readonly string[]): ModelStore {
  const known = new Map<string, { stamp: string; sha256: Promise<string> }>();

  const shaOf = async (path: string): Promise<string | null> => {
    const info = await stat(path).catch(() => null);
    if (!info?.isFile()) return null;
    const stamp = `${info.size}:${info.mtimeMs}`;
    const entry = known.get(path);
    if (entry?.stamp === stamp) return await entry.sha256;
    const sha256 = hashFile(path);
    known.set(path, { stamp, sha256 });
    sha256.catch(() => known.delete(path)); // a read error must not stay
    return await sha256;
  };

  /** Same file name first, so that a folder of many models is seldom hashed whole. */
  const candidates = async (model: ModelRef): Promise<string[]> => {
    const paths = [model.path];
    for (const folder of folders) {
      const names = await readdir(folder).catch(() => []);
      const models = names.filter((name) => name.endsWith('.gguf'));
      models.sort(
        (a, b) => Number(b === basename(model.path)) - Number(a === basename(model.path)) || (a < b ? -1 : 1),
      );
      paths.push(...models.map((name) => join(folder, name)));
    }
    return paths;
  };

  return {
    async resolve(model) {
      for (const path of await candidates(model)) if ((await shaOf(path)) === model.sha256) return path;
      throw new EngineFault(
        'model_missing',
        `no file with sha256 ${model.sha256} for model ${model.name} on this worker; put it into ${folders.join(' or ')} or set KVSWEEP_MODELS`,
      );
    },
  };
}

async function hashFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash);
  return hash.digest('hex');
}
