#!/usr/bin/env node
// The one set-up step of `npm run demo` and `npm test`. It uses nothing but Node itself, because it runs before
// `npm install`. Each part does nothing when its result is there.
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { fetchPinned } from './pinned.mjs';
import { missingRequirements } from './requirements.mjs';
import { BUILT_FROM, hashOf, sourcesSha } from './sources.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Makes the checkout ready to run; throws a sentence for what cannot be done. */
export async function bootstrap({ env = process.env, note = (line) => console.error(line) } = {}) {
  const problems = missingRequirements();
  if (problems.length > 0) throw new Error(problems.join('\n'));
  const home = env.KVSWEEP_HOME ?? join(root, '.kvsweep');
  const stamps = join(home, 'state', 'stamps');
  mkdirSync(stamps, { recursive: true });

  const lock = hashOf(root, ['package.json', 'package-lock.json']);
  step(join(stamps, 'npm'), lock, existsSync(join(root, 'node_modules/typescript')), () => {
    note('installing npm packages');
    run('npm', ['install', '--no-audit', '--no-fund', '--loglevel=error'], env);
  });
  // Cargo decides by itself what is out of date; a no-op takes a third of a second.
  if (!existsSync(join(root, 'gpu-runner/target/release/gpu-runner'))) note('building the engine (a few minutes the first time)');
  run('cargo', ['build', '--release', '--locked', '--quiet', '--manifest-path', 'gpu-runner/Cargo.toml'], env);

  const built = join(root, BUILT_FROM);
  if (!existsSync(built) || readFileSync(built, 'utf8') !== sourcesSha(root)) {
    note('compiling TypeScript');
    run('npm', ['run', '--silent', 'build'], env);
  }
  linkCommand();
  await fetchPinned({ home, lists: join(root, 'tools/pinned'), env, note });
}

/** `npx kvsweep` finds a command of the checkout itself only through this link. */
function linkCommand() {
  const entry = join(root, 'dist/cli/index.js');
  chmodSync(entry, 0o755);
  const link = join(root, 'node_modules/.bin/kvsweep');
  if (existsSync(link)) return;
  mkdirSync(dirname(link), { recursive: true });
  rmSync(link, { force: true });
  symlinkSync(relative(dirname(link), entry), link);
}

function step(stamp, wanted, exists, work) {
  if (exists && existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return;
  work();
  writeFileSync(stamp, wanted);
}

function run(program, args, env) {
  const result = spawnSync(program, args, { cwd: root, env, stdio: ['ignore', 2, 2] });
  if (result.error) throw new Error(`${program} could not be started: ${result.error.message}`);
  if (result.status !== 0) throw new Error(`\`${program} ${args.join(' ')}\` failed with code ${result.status ?? result.signal}`);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  try {
    await bootstrap();
    console.error('ready');
  } catch (error) {
    console.error(error.message);
    process.exit(1);
  }
}
