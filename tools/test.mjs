#!/usr/bin/env node
// `npm test`: set-up, then every check and test of both languages. Ends with 'N passed, N failed', summed from the
// runners' own counts; each lint, format and type check counts as one.
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bootstrap } from './bootstrap.mjs';
import { countCargo, countVitest } from './test-counts.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const cargo = ['--manifest-path', 'gpu-runner/Cargo.toml'];
const report = join(root, '.kvsweep/state/vitest.json');
const summary = join(root, '.kvsweep/state/test-summary.txt');

const CHECKS = [
  ['biome', 'npx', ['biome', 'check', '.']],
  ['tsc', 'npx', ['tsc', '-p', 'tsconfig.json']],
  ['cargo fmt', 'cargo', ['fmt', ...cargo, '--check']],
  ['cargo clippy', 'cargo', ['clippy', '--release', '--all-targets', '--locked', ...cargo, '--', '-D', 'warnings']],
];

/** Runs a program with its output shown and returned. */
function run(program, args) {
  return new Promise((resolve) => {
    const child = spawn(program, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
    let text = '';
    for (const [from, to] of [
      [child.stdout, process.stdout],
      [child.stderr, process.stderr],
    ]) {
      from.setEncoding('utf8').on('data', (part) => {
        text += part;
        to.write(part);
      });
    }
    child.once('error', (error) => resolve({ ok: false, text: error.message }));
    child.once('close', (code) => resolve({ ok: code === 0, text }));
  });
}

async function test() {
  const total = { passed: 0, failed: 0 };
  const add = ({ passed, failed }, ok) => {
    total.passed += passed;
    // A runner that failed without naming a failed test still failed.
    total.failed += failed === 0 && !ok ? 1 : failed;
  };
  for (const [name, program, args] of CHECKS) {
    console.log(`\n== ${name}`);
    const { ok } = await run(program, args);
    add({ passed: ok ? 1 : 0, failed: 0 }, ok);
  }
  console.log('\n== cargo test');
  const rust = await run('cargo', ['test', '--release', '--locked', ...cargo]);
  add(countCargo(rust.text), rust.ok);
  console.log('\n== vitest');
  mkdirSync(dirname(report), { recursive: true });
  rmSync(report, { force: true });
  const node = await run('npx', ['vitest', 'run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`]);
  let counts = { passed: 0, failed: 0 };
  try {
    counts = countVitest(JSON.parse(readFileSync(report, 'utf8')));
  } catch (error) {
    console.log(`vitest left no report: ${error.message}`);
  }
  add(counts, node.ok);
  return total;
}

let line = '0 passed, 1 failed';
try {
  await bootstrap();
  const { passed, failed } = await test();
  line = `${passed} passed, ${failed} failed`;
  process.exitCode = failed === 0 ? 0 : 1;
} catch (error) {
  console.log(error.message);
  process.exitCode = 1;
}
mkdirSync(dirname(summary), { recursive: true });
writeFileSync(summary, `${line}\n`);
console.log(`\n${line}`);
