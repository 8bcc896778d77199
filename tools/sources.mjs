// What the compiled program is made of. Plain Node: set-up reads it before `npm install`, `kvsweep` when it runs from dist/.
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';

const SOURCE_FOLDERS = ['workflows', 'activities', 'workers', 'cli', 'analysis', 'datasets', 'report', 'migrations'];

/** Where the build leaves the hash of the sources that it compiled. */
export const BUILT_FROM = 'dist/sources.sha256';

/** sha256 hex of all that `npm run build` reads in a checkout. */
export function sourcesSha(root) {
  const folders = SOURCE_FOLDERS.flatMap((folder) => filesBelow(root, folder));
  return hashOf(root, [...folders, 'tsconfig.json', 'tsconfig.build.json', 'package-lock.json']);
}

/** sha256 hex of some files, names included. */
export function hashOf(root, files) {
  const hash = createHash('sha256');
  for (const file of files) hash.update(`${file}\0`).update(readFileSync(join(root, file))).update('\0');
  return hash.digest('hex');
}

function filesBelow(root, folder) {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(entry.parentPath ?? entry.path, entry.name)))
    .sort();
}
