/** Artefacts on this host: fetched from Postgres once, kept in a folder under their hash, checked before each use. */
import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { EngineFault } from './failures.ts';

export interface ArtefactStore {
  /** sha256 -> path of a local file with that content. */
  paths(shas: readonly string[], read: (sha: string) => Promise<Uint8Array | null>): Promise<Record<string, string>>;
}

export function createArtefactStore(folder: string): ArtefactStore {
  const one = async (sha: string, read: (sha: string) => Promise<Uint8Array | null>): Promise<string> => {
    const path = join(folder, sha);
    const local = await readFile(path).catch(() => null);
    if (local !== null && sha256(local) === sha) return path;
    const bytes = await read(sha);
    if (bytes === null || sha256(bytes) !== sha) {
      throw new EngineFault(
        'artefact_missing',
        `artefact ${sha} is ${bytes === null ? 'not stored' : 'damaged'}; write calibration: auto, or make it with \`kvsweep compressors calibrate\``,
        { usable: true },
      );
    }
    await mkdir(folder, { recursive: true });
    // Renamed into place: another worker of this host may read it at this moment.
    const draft = `${path}.${process.pid}.${Math.floor(performance.now() * 1000)}`;
    await writeFile(draft, bytes);
    await rename(draft, path);
    return path;
  };
  return {
    async paths(shas, read) {
      const entries: [string, string][] = [];
      for (const sha of shas) entries.push([sha, await one(sha, read)]);
      return Object.fromEntries(entries);
    },
  };
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
