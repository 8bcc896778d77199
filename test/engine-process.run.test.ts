/** The life of an engine process, against the scripted engine: what it may do wrong, and that nothing stays behind. */
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { runCell } from '../activities/cells.ts';
import { createEnginePool } from '../activities/engine-pool.ts';
import { boundedLines, ENGINE_LIMITS, type EngineProcess, startEngine } from '../activities/engine-process.ts';
import { MAX_LINE_BYTES } from '../activities/engine-protocol.ts';
import { EngineFault } from '../activities/failures.ts';
import type { CellRun } from '../workflows/contracts.ts';
import { isAlive, until } from './support/conditions.ts';
import { type FakeScript, fakeEngine, fakeModel } from './support/fake-engine.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kvsweep-engine-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});

const LIMITS = { ...ENGINE_LIMITS, killAfterMs: 1_500 };
const started: EngineProcess[] = [];
function start(...args: string[]): EngineProcess {
  const engine = startEngine(fakeEngine(...args), LIMITS);
  started.push(engine);
  return engine;
}
afterEach(async () => {
  for (const engine of started.splice(0)) {
    await engine.stop();
    expect(await isAlive(engine.pid), 'an engine outlived its test').toBe(false);
  }
});

async function loaded(...args: string[]): Promise<EngineProcess> {
  const engine = start(...args);
  const { path, sha256 } = fakeModel(folder);
  await engine.send({ op: 'load', id: 'g1', model: { path, sha256 }, backend: 'cpu' });
  expect((await engine.next({ stallMs: 20_000 })).event).toBe('hello');
  expect((await engine.next({ stallMs: 20_000 })).event).toBe('loaded');
  return engine;
}

function cellRun(fake: FakeScript): CellRun {
  const { name, path, sha256 } = fakeModel(folder);
  return {
    model: { name, path, sha256 },
    backend: 'cpu',
    threads: null,
    compressor: { fake: fake as Record<string, string> },
    batch: 1,
    scheduler: 'continuous',
    invariant: true,
    numerics: 'fake-1',
    invariant_rows: 64,
    workload: {
      generate: {
        max_new_tokens: 4,
        sampling: { greedy: true },
        chat: false,
        truncate: 'none',
        stop_ids: [],
        stop_strings: [],
        trace: [],
      },
    },
    prompt_set: null,
    n_prompts: 4,
    replicates: 1,
    seed: 1,
  };
}
const PROMPTS = [0, 1, 2, 3].map((i) => ({ sampleIdx: i, key: `p/${i}`, prompt: `prompt ${i}` }));

async function run(engine: EngineProcess, fake: FakeScript, times: { stallMs?: number; timeoutMs?: number } = {}) {
  return await runCell(engine, {
    id: 'c1',
    run: cellRun(fake),
    prompts: PROMPTS,
    stallMs: times.stallMs ?? 20_000,
    timeoutMs: times.timeoutMs ?? 60_000,
    signal: new AbortController().signal,
    onEvent: () => {},
  });
}

async function faultOf(work: Promise<unknown>): Promise<EngineFault> {
  const error = await work.then(
    () => null,
    (e: unknown) => e,
  );
  expect(error).toBeInstanceOf(EngineFault);
  return error as EngineFault;
}

test('a cell that goes well gives every sample once', async () => {
  const record = await run(await loaded(), {});
  expect(record.samples.map((s) => s.sample)).toEqual(['p/0', 'p/1', 'p/2', 'p/3']);
  expect(record.finished.samples).toBe(4);
});

describe('an engine that misbehaves is told by its kind', () => {
  const rows: [NonNullable<FakeScript['do']>, string, string][] = [
    ['garbage', 'protocol', 'EngineCrash'],
    ['unknown', 'protocol', 'EngineCrash'],
    ['gap', 'protocol', 'EngineCrash'],
    ['longline', 'protocol', 'EngineCrash'],
    ['exit137', 'exit', 'EngineCrash'],
    ['kill', 'exit', 'EngineCrash'],
    ['stderr', 'exit', 'EngineCrash'],
    ['exit3', 'device_lost', 'HostFault'],
    ['device_lost', 'device_lost', 'HostFault'],
    ['oom', 'out_of_memory', 'OutOfMemory'],
    ['compressor', 'compressor', 'SpecInvalid'],
  ];
  test.each(rows)('%s is %s (%s)', async (action, kind, errorClass) => {
    const fault = await faultOf(run(await loaded(), { do: action }));
    expect([fault.kind, fault.class]).toEqual([kind, errorClass]);
  });
});

test('silence is a stall after the stall limit, and the time limit of the cell is told apart', async () => {
  const fault = await faultOf(run(await loaded(), { do: 'silence' }, { stallMs: 200 }));
  expect([fault.kind, fault.class]).toEqual(['stall', 'EngineStall']);
  const slow = await faultOf(run(await loaded(), { ms: 60 }, { timeoutMs: 100 }));
  expect([slow.kind, slow.class]).toEqual(['cell_timeout', 'EngineStall']);
});

test('a line of 100 MB is refused in bounded memory', async () => {
  const engine = await loaded();
  const before = process.memoryUsage().rss;
  await faultOf(run(engine, { do: 'longline' }));
  expect(process.memoryUsage().rss - before).toBeLessThan(8 * MAX_LINE_BYTES);
});

test('of a flood on stderr the end is kept', async () => {
  const fault = await faultOf(run(await loaded(), { do: 'stderr' }));
  expect(fault.tail.length).toBeLessThanOrEqual(LIMITS.stderrBytes);
  expect(fault.tail).toContain('line 19999 of');
});

test('the last line before a kill is not lost', async () => {
  const engine = await loaded();
  const record = await run(engine, { do: 'last_line_kill' });
  expect(record.finished.samples).toBe(4);
  expect(await engine.closed).toEqual({ code: null, signal: 'SIGKILL' });
});

test('SIGTERM that is ignored is followed by SIGKILL', async () => {
  const engine = await loaded('--ignore-term');
  expect((await engine.stop()).signal).toBe('SIGKILL');
});

test('an engine that cannot be started is a fault of the host, with the remedy', async () => {
  const engine = startEngine({ path: join(folder, 'no-engine'), args: [], env: {} }, LIMITS);
  const fault = await faultOf(engine.next({ stallMs: 5_000 }));
  expect(fault.class).toBe('HostFault');
  expect(fault.message).toContain('KVSWEEP_ENGINE');
});

test('the engine sees the environment it is given and no other', async () => {
  process.env.DATABASE_URL = 'postgres://secret';
  try {
    const code = 'process.stderr.write(Object.keys(process.env).join());process.stdin.resume()';
    const engine = startEngine({ path: process.execPath, args: ['-e', code], env: { PATH: '/bin' } }, LIMITS);
    started.push(engine);
    await until('names on stderr', () => engine.stderrTail() !== '');
    expect(engine.stderrTail()).toBe('PATH');
  } finally {
    delete process.env.DATABASE_URL;
  }
});

test('an engine goes when its parent is killed with SIGKILL', async () => {
  const holder = spawn(process.execPath, ['--import', './tools/typescript.mjs', 'test/support/engine-holder.ts'], {
    cwd: fileURLToPath(new URL('..', import.meta.url)),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let out = '';
  holder.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  const pid = Number(await until('the engine runs', () => /engine (\d+)\n/.exec(out)?.[1]));
  expect(await isAlive(pid)).toBe(true);
  holder.kill('SIGKILL');
  await until('the engine is gone', async () => !(await isAlive(pid)), 5_000);
});

describe('the warm pool', () => {
  const signal = new AbortController().signal;
  const load = (folderOf: string) => {
    const { path, sha256 } = fakeModel(folderOf);
    return { model: { path, sha256 }, backend: 'cpu' as const };
  };
  const poolOf = (slots: number, ...args: string[]) =>
    createEnginePool({ slots, command: fakeEngine(...args), loadStallMs: 20_000, pingMs: 3_000, limits: LIMITS });

  test('gives the same process for the same key and never runs more than its slots', async () => {
    await using pool = poolOf(1);
    const first = await pool.acquire('a', load(folder), signal);
    pool.release(first);
    const again = await pool.acquire('a', load(folder), signal);
    expect(again.process.pid).toBe(first.process.pid);
    pool.release(again);
    const other = await pool.acquire('b', load(folder), signal);
    expect(await isAlive(first.process.pid)).toBe(false);
    expect(pool.pids()).toEqual([other.process.pid]);
    pool.release(other);
  });

  test('replaces an engine that died while it was idle', async () => {
    await using pool = poolOf(1);
    const first = await pool.acquire('a', load(folder), signal);
    pool.release(first);
    process.kill(first.process.pid, 'SIGKILL');
    await first.process.closed;
    const second = await pool.acquire('a', load(folder), signal);
    expect(second.process.pid).not.toBe(first.process.pid);
    pool.release(second);
  });

  test('a load that fails leaves no process', async () => {
    await using pool = poolOf(1, '--on-load', 'oom');
    const fault = await faultOf(pool.acquire('a', load(folder), signal));
    expect(fault.class).toBe('OutOfMemory');
    expect(pool.pids()).toEqual([]);
  });

  test('a slot is handed on in order, and waiting for one can be cancelled', async () => {
    await using pool = poolOf(1);
    const held = await pool.slot(signal);
    const cancel = new AbortController();
    const dropped = pool.slot(cancel.signal);
    const next = pool.slot(signal);
    cancel.abort(new Error('no longer wanted'));
    await expect(dropped).rejects.toThrow('no longer wanted');
    held[Symbol.dispose]();
    (await next)[Symbol.dispose]();
  });
});

test('lines are split at their ends, whatever the chunks; an unfinished last one is dropped', async () => {
  async function* chunks() {
    for (const text of ['a', 'b\nc', 'd\n\ne\nrest']) yield Buffer.from(text);
  }
  const lines: string[] = [];
  for await (const line of boundedLines(chunks(), 10)) lines.push(line);
  expect(lines).toEqual(['ab', 'cd', '', 'e']);
});
