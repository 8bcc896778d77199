/** Where a sweep's results come from: versions and hashes, stored with it. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import type { EngineList } from '../activities/engine-commands.ts';
import type { Config } from '../workers/config.ts';
import type { JsonObject } from '../workflows/contracts.ts';

export async function provenance(
  config: Config,
  engine: EngineList,
  specFile: string,
  specText: string,
): Promise<JsonObject> {
  const { root } = config.paths;
  const packageJson = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string };
  return {
    kvsweep: packageJson.version,
    ...(await gitState(root)),
    lockfile_sha256: sha256(await readFile(join(root, 'package-lock.json'))),
    engine: { version: engine.engine ?? null, build: engine.build ?? null, numerics: engine.numerics },
    engine_sha256: sha256(await readFile(config.enginePath)),
    node: process.versions.node,
    platform: `${process.platform}-${process.arch}`,
    host: config.host,
    user: config.user,
    spec_file: specFile,
    spec_text: specText,
  };
}

/** Commit and a hash of what differs from it; nulls outside a git checkout. */
async function gitState(root: string): Promise<JsonObject> {
  const git = async (...args: string[]) =>
    (await execa('git', ['-C', root, ...args], { reject: false, stripFinalNewline: true })) as {
      exitCode?: number;
      stdout: string;
    };
  const head = await git('rev-parse', 'HEAD').catch(() => null);
  if (head === null || head.exitCode !== 0) return { git_sha: null, git_dirty_sha256: null };
  const diff = await git('diff', 'HEAD');
  return { git_sha: head.stdout, git_dirty_sha256: diff.stdout === '' ? null : sha256(diff.stdout) };
}

function sha256(data: string | Buffer): string {
  return createHash('sha256').update(data).digest('hex');
}
