import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { requireFreshBuild, requireSameBuild } from '../cli/stale-build.ts';
import { BUILT_FROM, sourcesSha } from '../tools/sources.mjs';
import * as workers from '../workers/built-from.ts';

const FOLDERS = ['workflows', 'activities', 'workers', 'cli', 'analysis', 'datasets', 'report', 'migrations'];
let root: string;
let program: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'kvsweep-build-'));
  for (const folder of [...FOLDERS, 'dist/cli', 'tools']) mkdirSync(join(root, folder), { recursive: true });
  for (const file of ['cli/index.ts', 'tsconfig.json', 'tsconfig.build.json', 'package-lock.json'])
    writeFileSync(join(root, file), file);
  cpSync(fileURLToPath(new URL('../tools/sources.mjs', import.meta.url)), join(root, 'tools/sources.mjs'));
  program = join(root, 'dist/cli/index.js');
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const built = () => writeFileSync(join(root, BUILT_FROM), sourcesSha(root));
test('the build writes its stamp where the program reads it', () => {
  expect(workers.BUILT_FROM).toBe(BUILT_FROM);
});

const REFUSED = /not compiled from the sources.*npm run bootstrap/;

test('a program compiled from the sources beside it runs', async () => {
  built();
  await expect(requireFreshBuild(root, program)).resolves.toBeUndefined();
});

test('a source that changed, came or was renamed since makes the build stale', async () => {
  built();
  writeFileSync(join(root, 'cli/index.ts'), 'changed');
  await expect(requireFreshBuild(root, program)).rejects.toThrow(REFUSED);
  built();
  writeFileSync(join(root, 'analysis/new.ts'), '');
  await expect(requireFreshBuild(root, program)).rejects.toThrow(REFUSED);
});

test('a build without its stamp counts as stale', async () => {
  await expect(requireFreshBuild(root, program)).rejects.toThrow(REFUSED);
});

test('a local stack of another build is refused, one of the same is not', () => {
  built();
  const stack = { builtFrom: sourcesSha(root) };
  expect(() => requireSameBuild(root, stack)).not.toThrow();
  writeFileSync(join(root, 'cli/index.ts'), 'changed');
  built();
  expect(() => requireSameBuild(root, stack)).toThrow(/another build.*kvsweep down.*kvsweep up/);
  expect(() => requireSameBuild(root, { builtFrom: null })).toThrow(/another build/);
});

test('run from its sources, or without sources beside it, there is nothing to refuse', async () => {
  await expect(requireFreshBuild(root, join(root, 'cli/index.ts'))).resolves.toBeUndefined();
  rmSync(join(root, 'tools'), { recursive: true });
  await expect(requireFreshBuild(root, program)).resolves.toBeUndefined();
});
