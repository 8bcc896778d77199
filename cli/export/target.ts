/** Where an export goes: a file that appears whole or not at all, or standard output. */
import { open, rename, stat, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { UsageError } from '../usage-error.ts';
import type { Sink } from './formats.ts';

export interface Target {
  sink: Sink;
  /** Bytes handed over so far. */
  bytes(): number;
  /** All is written: the file takes its name. */
  finish(): Promise<void>;
  /** Something failed: nothing is left. */
  abandon(): Promise<void>;
}

const REASONS: Record<string, string> = {
  ENOENT: 'its folder does not exist',
  EACCES: 'it may not be written there',
  EPERM: 'it may not be written there',
  EROFS: 'the disk is read-only',
  ENOTDIR: 'a part of its path is a file',
  ENOSPC: 'the disk is full',
};

/** Written beside `path` under a name of its own, and renamed when complete: a reader never sees half a file. */
export async function fileTarget(path: string): Promise<Target> {
  const refused = (error: unknown): Error => {
    const { code } = error as NodeJS.ErrnoException;
    return new UsageError(`${path} cannot be written: ${REASONS[code ?? ''] ?? String((error as Error).message)}`);
  };
  const found = await stat(path).catch(() => null);
  if (found?.isDirectory()) throw new UsageError(`${path} is a folder; name a file`);
  if (found && !found.isFile()) throw new UsageError(`${path} is not a plain file; write to - and redirect instead`);
  const partial = join(dirname(path), `.${basename(path)}.${process.pid}.part`);
  const file = await open(partial, 'w').catch((error: unknown) => {
    throw refused(error);
  });
  let bytes = 0;
  return {
    bytes: () => bytes,
    async sink(chunk) {
      const data = typeof chunk === 'string' ? Buffer.from(chunk, 'utf8') : chunk;
      await file.writeFile(data).catch((error: unknown) => {
        throw refused(error);
      });
      bytes += data.length;
    },
    async finish() {
      await file.sync();
      await file.close();
      await rename(partial, path).catch((error: unknown) => {
        throw refused(error);
      });
    },
    async abandon() {
      await file.close().catch(() => undefined);
      await unlink(partial).catch(() => undefined);
    },
  };
}

export function streamTarget(write: (text: string) => Promise<void>): Target {
  let bytes = 0;
  return {
    bytes: () => bytes,
    async sink(chunk) {
      const text = typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString('utf8');
      bytes += Buffer.byteLength(text);
      await write(text);
    },
    finish: async () => {},
    abandon: async () => {},
  };
}
