/** Where things lie. One place, so that the layout of the ignored folder `.kvsweep/` is written once. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder that holds kvsweep's own package.json: the checkout, seen from source and from `dist/` alike. */
export function projectRoot(from = dirname(fileURLToPath(import.meta.url))): string {
  for (let dir = from; ; dir = dirname(dir)) {
    const file = join(dir, 'package.json');
    if (existsSync(file) && (JSON.parse(readFileSync(file, 'utf8')) as { name?: string }).name === 'kvsweep')
      return dir;
    if (dirname(dir) === dir) throw new Error(`no package.json of kvsweep above ${from}`);
  }
}

export interface Paths {
  root: string;
  /** The ignored folder: `.kvsweep` of the checkout, or KVSWEEP_HOME. */
  home: string;
  bin: string;
  models: string;
  data: string;
  state: string;
  /** Artefacts of compressors, by sha256. */
  artefacts: string;
  logs: string;
  reports: string;
  stackFile: string;
  lockFile: string;
  portsFile: string;
}

export function pathsOf(root: string, home = join(root, '.kvsweep')): Paths {
  const state = join(home, 'state');
  return {
    root,
    home,
    bin: join(home, 'bin'),
    models: join(home, 'models'),
    data: join(home, 'data'),
    state,
    artefacts: join(home, 'cache/artefacts'),
    logs: join(home, 'logs'),
    reports: join(home, 'reports'),
    stackFile: join(state, 'stack.json'),
    lockFile: join(state, 'stack.lock'),
    portsFile: join(state, 'ports.json'),
  };
}

/** Short name of a checkout, for folders outside of it (a database that another user must reach). */
export function checkoutTag(home: string): string {
  return createHash('sha256').update(home).digest('hex').slice(0, 12);
}
