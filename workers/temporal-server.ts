/**
 * The Temporal development server of the local stack, from the pinned CLI. It runs under a small shell that holds
 * the read end of a pipe from this process: when this process ends, by whatever signal, the server is stopped.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Connection } from '@temporalio/client';

export interface TemporalOptions {
  binary: string;
  /** SQLite file; null = in memory. */
  file: string | null;
  port: number;
  httpPort: number;
  metricsPort: number;
  onLog?: (line: string) => void;
}

export interface TemporalServer {
  address: string;
  pid: number;
  exited: Promise<void>;
  stop(): Promise<void>;
}

export const SEARCH_ATTRIBUTES = ['KvSweepId=Keyword', 'KvStatus=Keyword', 'KvModel=Keyword', 'KvCells=Int'];

/** Fairness: with the defaults a small sweep waits for the whole backlog of a large one. */
const DYNAMIC_CONFIG = [
  'matching.enableFairness=true',
  'matching.numTaskqueueReadPartitions=1',
  'matching.numTaskqueueWritePartitions=1',
];

/** The first line of the shell tells the pid of the server; TERM then KILL when the pipe closes. */
const SUPERVISOR =
  '"$@" 3<&- & server=$!; echo "pid $server"; ' +
  '(cat <&3 >/dev/null; kill -TERM $server 2>/dev/null; n=0; ' +
  'while kill -0 $server 2>/dev/null && [ $n -lt 50 ]; do sleep 0.1; n=$((n+1)); done; ' +
  'kill -KILL $server 2>/dev/null) & watcher=$!; ' +
  'wait $server; code=$?; exec 3<&-; kill $watcher 2>/dev/null; exit $code';

/** Starts the server and waits until the namespace `default` answers. */
export async function startTemporal(options: TemporalOptions): Promise<TemporalServer> {
  if (options.file !== null) await checkFileVersion(options.binary, options.file);
  const args = ['server', 'start-dev', '--headless', '--ip', '127.0.0.1', '--log-level', 'warn'];
  args.push('--port', String(options.port), '--http-port', String(options.httpPort));
  args.push('--metrics-port', String(options.metricsPort));
  if (options.file !== null) {
    args.push(
      '--db-filename',
      options.file,
      '--sqlite-pragma',
      'journal_mode=WAL',
      '--sqlite-pragma',
      'synchronous=OFF',
    );
  }
  for (const attribute of SEARCH_ATTRIBUTES) args.push('--search-attribute', attribute);
  for (const value of DYNAMIC_CONFIG) args.push('--dynamic-config-value', value);
  const child = spawn('/bin/sh', ['-c', SUPERVISOR, 'sh', options.binary, ...args], {
    detached: true,
    env: { PATH: process.env.PATH, HOME: process.env.HOME },
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
  });
  const tail: string[] = [];
  // `exit`, not `close`: the shell's watcher may still hold the pipe, which is closed here.
  const exited = new Promise<void>((done) => {
    child.once('exit', () => {
      child.stdio[3]?.destroy();
      done();
    });
  });
  const pid = await serverPid(child, tail, options.onLog);
  const stop = async () => {
    child.stdio[3]?.destroy();
    await exited;
  };
  const address = `127.0.0.1:${options.port}`;
  try {
    await namespaceAnswers(address, child, tail);
  } catch (error) {
    await stop();
    throw error;
  }
  return { address, pid, exited, stop };
}

/**
 * The file is not stable across versions of the CLI. Nothing of a sweep's results is in it, so a file of another
 * version may be removed; it is not removed for the user, because open runs are in it.
 */
async function checkFileVersion(binary: string, file: string): Promise<void> {
  const { stdout } = await promisify(execFile)(binary, ['--version']);
  const version = stdout.trim();
  const known = await readFile(`${file}.version`, 'utf8').catch(() => null);
  if (known !== null && known.trim() !== version) {
    throw new Error(
      `${file} was made by "${known.trim()}", the Temporal CLI is "${version}"; remove ${file}* and run \`kvsweep up\` again ` +
        '(results are in Postgres; open sweeps go on with `kvsweep resume`)',
    );
  }
  await mkdir(dirname(file), { recursive: true });
  await writeFile(`${file}.version`, `${version}\n`);
}

function serverPid(child: ChildProcess, tail: string[], onLog?: (line: string) => void): Promise<number> {
  return new Promise((resolve, reject) => {
    const take = (text: string) => {
      for (const line of text.split('\n').filter(Boolean)) {
        const told = /^pid (\d+)$/.exec(line);
        if (told) resolve(Number(told[1]));
        tail.push(line);
        if (tail.length > 30) tail.shift();
        onLog?.(line);
      }
    };
    child.stdout!.setEncoding('utf8').on('data', take);
    child.stderr!.setEncoding('utf8').on('data', take);
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`the Temporal server ended with code ${code}:\n${tail.join('\n')}`)));
  });
}

async function namespaceAnswers(address: string, child: ChildProcess, tail: string[]): Promise<void> {
  const deadline = Date.now() + 60_000;
  for (;;) {
    if (child.exitCode !== null)
      throw new Error(`the Temporal server did not start on ${address}:\n${tail.join('\n')}`);
    try {
      const connection = await Connection.connect({ address, connectTimeout: 2_000 });
      try {
        await connection.workflowService.describeNamespace({ namespace: 'default' });
        return;
      } finally {
        await connection.close();
      }
    } catch (error) {
      if (Date.now() > deadline) {
        throw new Error(`the Temporal server on ${address} did not answer in 60 s:\n${tail.join('\n')}`, {
          cause: error,
        });
      }
      await sleep(100);
    }
  }
}
