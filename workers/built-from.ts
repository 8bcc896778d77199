import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Where the build leaves the hash of the sources that it compiled; `tools/sources.mjs` writes it. */
export const BUILT_FROM = 'dist/sources.sha256';

/** sha256 of the sources that a checkout's compiled program was made of; null = there is none. */
export function builtFrom(root: string): string | null {
  try {
    return readFileSync(join(root, BUILT_FROM), 'utf8');
  } catch {
    return null;
  }
}
