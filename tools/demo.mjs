#!/usr/bin/env node
// `npm run demo`: set-up, local stack, the quickstart sweep with progress, the three answers, the report.
import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bootstrap } from './bootstrap.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const SWEEP = 'quickstart';

let current = null;
let interrupted = false;
for (const name of ['SIGINT', 'SIGTERM']) {
  process.on(name, () => {
    // A terminal's Ctrl-C reaches the command by itself; a signal to this process alone is passed on.
    interrupted = true;
    if (name === 'SIGTERM') current?.kill('SIGTERM');
  });
}

/** Runs one kvsweep command; resolves with its exit code. */
function kvsweep(...args) {
  return new Promise((resolve) => {
    current = spawn(process.execPath, [join(root, 'dist/cli/index.js'), ...args], { cwd: root, stdio: 'inherit' });
    current.once('exit', (code, signal) => {
      current = null;
      resolve(signal ? 130 : code);
    });
  });
}

async function demo() {
  await bootstrap();
  const started = Date.now();
  if ((await kvsweep('up', '--detach')) !== 0) return 1;
  let code = 130;
  try {
    if (!interrupted) code = await kvsweep('launch', `sweeps/${SWEEP}.yaml`, '--watch', '--yes');
    if (code === 0 && !interrupted) code = await kvsweep('report', SWEEP);
  } finally {
    await kvsweep('down');
  }
  if (code !== 0) return code;
  console.error(`
the demo took ${Math.round((Date.now() - started) / 1000)} s after set-up. What to do next:
  npx kvsweep up --detach                  start the local stack again
  npx kvsweep query "select compressor, batch_size, phase, tok_s, s_same from kv.throughput"
  npx kvsweep schema                       the views that queries may use
  npx kvsweep plan my-sweep.yaml           what a sweep of your own would run (copy sweeps/quickstart.yaml)
  npx kvsweep down                         stop the stack`);
  return 0;
}

try {
  process.exitCode = await demo();
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
