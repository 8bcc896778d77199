/** Temporal and Postgres themselves are killed in the middle of a sweep; results are in Postgres, so nothing is lost. */
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';
import { openDatabase } from '../activities/database.ts';
import { wakeSweep } from '../activities/sweep-client.ts';
import { migrate } from '../migrations/migrate.ts';
import { findTemporalBinary, readConfig } from '../workers/config.ts';
import { type PostgresServer, startPostgres } from '../workers/embedded-postgres.ts';
import { freePort } from '../workers/ports.ts';
import { startTemporal, type TemporalOptions, type TemporalServer } from '../workers/temporal-server.ts';
import { until } from './support/conditions.ts';
import { expectedHashes, FAST, openStack, type TestStack, temporalTest as test } from './support/temporal.ts';

let folder: string;
let options: TemporalOptions;
let temporal: TemporalServer;
let postgres: PostgresServer;
let stack: TestStack;

beforeAll(async () => {
  const binary = findTemporalBinary(readConfig());
  if (binary === null) return;
  folder = await mkdtemp(join(tmpdir(), 'kvsweep-servers-'));
  await chmod(folder, 0o755); // as root, Postgres runs as another user
  const ports = { port: await freePort(), httpPort: await freePort(), metricsPort: await freePort() };
  options = { binary, file: join(folder, 'temporal.db'), ...ports };
  [temporal, postgres] = await Promise.all([
    startTemporal(options),
    startPostgres({ dataDir: join(folder, 'data'), port: await freePort() }),
  ]);
  const db = openDatabase(postgres.url);
  await migrate(db);
  const database = { url: postgres.url, db, [Symbol.asyncDispose]: () => db.destroy() };
  stack = await openStack('servers', { address: temporal.address, database });
  await stack.control();
  await stack.engines({ slots: 2, times: { databaseMs: 40_000 } });
});
afterAll(async () => {
  await stack?.[Symbol.asyncDispose]();
  await stack?.database[Symbol.asyncDispose]();
  await Promise.all([temporal?.stop(), postgres?.stop()]);
  if (folder) await rm(folder, { recursive: true, force: true });
});

/** Ten groups, two of them held until `hold` exists: a sweep that is in its middle when both are running. */
async function midSweep(name: string) {
  const [hold, started] = [stack.file(`${name}-hold`), stack.file(`${name}-started`)];
  const groups = [[{ hold, started }, {}], [{ hold, started }], ...Array.from({ length: 8 }, () => [{}])];
  const sweep = await stack.launch({ groups });
  await until('two cells run', async () => {
    const text = await readFile(started, 'utf8').catch(() => '');
    return text.split('\n').filter(Boolean).length === 2;
  });
  const labels = ['g0c0', 'g0c1', 'g1c0', ...Array.from({ length: 8 }, (_, i) => `g${i + 2}c0`)];
  return { sweep, release: () => writeFile(hold, ''), expected: expectedHashes(labels, 2) };
}

async function killTemporal(): Promise<void> {
  process.kill(temporal.pid, 'SIGKILL');
  await temporal.exited;
}

test('kill -9 of the Temporal server: restarted on its file, the sweep goes on by itself', async () => {
  const { sweep, release, expected } = await midSweep('temporal');
  await killTemporal();
  await release();
  temporal = await startTemporal(options);
  await sweep.result(60_000);
  expect(await sweep.hashes()).toEqual(expected);
  expect(await sweep.states()).toEqual({ done: 11 });
}, 90_000);

test('the Temporal server loses its file: a resume rebuilds the sweep from rows', async () => {
  const { sweep, release, expected } = await midSweep('lost');
  await killTemporal();
  for (const suffix of ['', '-wal', '-shm']) await rm(`${options.file}${suffix}`, { force: true });
  temporal = await startTemporal(options);
  await release();
  await wakeSweep(stack.client.workflow, sweep.id, { policy: FAST });
  await sweep.result(60_000);
  expect(await sweep.hashes()).toEqual(expected);
  expect(await sweep.states()).toEqual({ done: 11 });
}, 90_000);

test('Postgres is restarted: the sweep finishes, no row lost, none twice', async () => {
  const { sweep, release, expected } = await midSweep('postgres');
  const port = postgres.port;
  await postgres.stop();
  await release();
  postgres = await startPostgres({ dataDir: join(folder, 'data'), port });
  await sweep.result(60_000);
  expect(await sweep.hashes()).toEqual(expected);
  expect(await sweep.states()).toEqual({ done: 11 });
}, 90_000);
