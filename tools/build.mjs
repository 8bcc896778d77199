// Compiles TypeScript to dist/ and leaves there the hash of what was compiled (`cli/stale-build.ts` reads it).
import { spawnSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BUILT_FROM, sourcesSha } from './sources.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
// Before the compiler reads: a file that changes meanwhile makes the build stale, not wrong.
const sha = sourcesSha(root);
rmSync(join(root, BUILT_FROM), { force: true });
const { status } = spawnSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.build.json'], {
  cwd: root,
  stdio: 'inherit',
});
if (status === 0) writeFileSync(join(root, BUILT_FROM), sha);
process.exitCode = status ?? 1;
