import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { openDatabase, query } from '../activities/database.ts';
import { freePort, reachableDataDir, startPostgres, stopPostgres } from '../workers/embedded-postgres.ts';

let folder: string;
let dataDir: string;
const children: ChildProcess[] = [];
const settings = { fsync: 'off' };

/** A cluster made once; each test starts from a copy, since making one takes seconds. */
let model: string;

beforeAll(async () => {
  model = await mkdtemp(join(tmpdir(), 'kvsweep-pgmodel-'));
  await chmod(model, 0o755);
  await (await startPostgres({ dataDir: join(model, 'data'), settings })).stop();
});

afterAll(async () => await rm(model, { recursive: true, force: true }));

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kvsweep-pgtest-'));
  await chmod(folder, 0o755);
  dataDir = join(folder, 'data');
  execFileSync('cp', ['-a', join(model, 'data'), join(model, 'data.password'), folder]);
});

afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await stopPostgres(dataDir);
  await rm(folder, { recursive: true, force: true });
});

/** Another process that runs a server on `dataDir`. */
async function holder(): Promise<{ child: ChildProcess; pid: number; url: string }> {
  const root = fileURLToPath(new URL('..', import.meta.url));
  const child = spawn(
    process.execPath,
    ['--import', './tools/typescript.mjs', 'test/support/hold-postgres.ts', dataDir],
    {
      cwd: root,
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  children.push(child);
  const [line] = (await once(child.stdout!, 'data')) as [Buffer];
  return { child, ...JSON.parse(line.toString()) };
}

/** A process that ended but was not reaped by its (foreign) parent is not alive. */
const isAlive = (pid: number) => {
  try {
    return !execFileSync('ps', ['-o', 'stat=', '-p', String(pid)])
      .toString()
      .startsWith('Z');
  } catch {
    return false;
  }
};

async function until(ready: () => boolean): Promise<void> {
  const deadline = Date.now() + 15_000;
  while (!ready()) {
    if (Date.now() > deadline) throw new Error('waited in vain');
    await new Promise((resume) => setTimeout(resume, 50));
  }
}

test('rows survive a stop and a start on another port', async () => {
  const first = await startPostgres({ dataDir, settings });
  const db = openDatabase(first.url);
  await query(db, 'create table kept (i int)');
  await query(db, 'insert into kept values (7)');
  await db.destroy();
  await first.stop();
  expect(isAlive(first.pid)).toBe(false);
  const second = await startPostgres({ dataDir, port: await freePort(), settings });
  const again = openDatabase(second.url);
  expect(await query(again, 'select i from kept')).toEqual([{ i: 7 }]);
  await again.destroy();
  await second.stop();
  await stat(join(dataDir, 'postmaster.pid')).then(
    () => expect.fail('the pid file is left'),
    () => undefined,
  );
});

test('the password is for its owner only, and needed', async () => {
  await using server = await startPostgres({ dataDir, settings });
  expect((await stat(`${dataDir}.password`)).mode & 0o777).toBe(0o600);
  const wrong = openDatabase(server.url.replace(/:[^:@]+@/, ':wrong@'), { max: 1 });
  await expect(query(wrong, 'select 1')).rejects.toMatchObject({ code: '28P01' });
  await wrong.destroy();
});

test('a server ends with the process that started it, even by kill -9', async () => {
  const { child, pid } = await holder();
  expect(isAlive(pid)).toBe(true);
  child.kill('SIGKILL');
  await until(() => !isAlive(pid));
  await using server = await startPostgres({ dataDir, settings });
  expect(server.pid).not.toBe(pid);
});

test('a server that another process uses is not taken from it', async () => {
  const { pid } = await holder();
  await expect(startPostgres({ dataDir, settings })).rejects.toThrow(
    `A Postgres server (process ${pid}) is running on ${dataDir} for another process`,
  );
  expect(isAlive(pid)).toBe(true);
  expect(await stopPostgres(dataDir)).toBe(true);
  expect(await stopPostgres(dataDir)).toBe(false);
});

test('a server that lost its supervisor is replaced', async () => {
  const { child, pid } = await holder();
  const supervisor = Number(execFileSync('ps', ['-o', 'ppid=', '-p', String(pid)]).toString());
  process.kill(supervisor, 'SIGKILL');
  child.kill('SIGKILL');
  await using server = await startPostgres({ dataDir, settings });
  expect(isAlive(pid)).toBe(false);
  expect(server.pid).not.toBe(pid);
});

test('a stale pid file that names a process of someone else harms neither', async () => {
  const first = await startPostgres({ dataDir, settings });
  const pidFile = await readFile(join(dataDir, 'postmaster.pid'), 'utf8');
  await first.stop();
  await writeFile(join(dataDir, 'postmaster.pid'), pidFile.replace(/^\d+/, String(process.pid)));
  expect(await stopPostgres(dataDir)).toBe(false);
  await expect(startPostgres({ dataDir, settings }).then((server) => server.stop())).resolves.toBeUndefined();
});

test('a taken port and a data directory of another major version are refused in words', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  await expect(startPostgres({ dataDir, port, settings })).rejects.toThrow(`Port ${port} is taken by another process`);
  server.close();
  await writeFile(join(dataDir, 'PG_VERSION'), '13\n');
  await expect(startPostgres({ dataDir, settings })).rejects.toThrow(/was made by Postgres 13, this is 18/);
});

test.runIf(process.getuid?.() === 0)('root keeps its data where the server can reach it', async () => {
  expect(await reachableDataDir(dataDir)).toBe(dataDir);
  await chmod(folder, 0o700);
  const elsewhere = await reachableDataDir(dataDir);
  expect(elsewhere).toMatch(/kvsweep-postgres-[0-9a-f]{12}$/);
  expect(await reachableDataDir(dataDir)).toBe(elsewhere);
});
