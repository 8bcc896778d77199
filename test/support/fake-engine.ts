/** The scripted engine of the tests; what it can do stands in `fake-engine.mjs`. */
import { createHash } from 'node:crypto';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { EngineCommand } from '../../activities/engine-process.ts';

const SCRIPT = fileURLToPath(new URL('./fake-engine.mjs', import.meta.url));

/** What a cell does; travels in the cell's compressor. */
export interface FakeScript {
  do?:
    | 'finish'
    | 'garbage'
    | 'unknown'
    | 'gap'
    | 'longline'
    | 'silence'
    | 'exit137'
    | 'exit3'
    | 'kill'
    | 'stderr'
    | 'oom'
    | 'compressor'
    | 'device_lost'
    | 'last_line_kill'
    | 'host_worker';
  /** Only the first so many tries misbehave, counted in the file `mark`. */
  times?: number;
  mark?: string;
  /** The other way round: all tries but the first so many misbehave. */
  late?: boolean;
  ms?: number;
  /** The cell waits until this file exists. */
  hold?: string;
  /** A line with the engine's pid is appended here at each start. */
  started?: string;
  /** Changes the tokens; cells with equal seedlings give equal tokens. */
  seedling?: string;
}

/** The command of a fake engine; `args` as `fake-engine.mjs` documents them. */
export function fakeEngine(...args: string[]): EngineCommand {
  return { path: process.execPath, args: [SCRIPT, ...args], env: { PATH: process.env.PATH ?? '' } };
}

/** A "model" that the fake engine loads: any file will do, found by its hash as a real one is. */
export function fakeModel(folder: string, content = 'a model'): { name: string; path: string; sha256: string } {
  const path = join(folder, 'fake.gguf');
  writeFileSync(path, content);
  chmodSync(path, 0o644);
  return { name: 'fake', path, sha256: createHash('sha256').update(content).digest('hex') };
}
