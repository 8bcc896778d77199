/** One group on one engine worker: what each kind of failure does to its cell, its neighbours and the worker. */
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { query } from '../activities/database.ts';
import type { EngineFault } from '../activities/failures.ts';
import { engineQueue } from '../workflows/queues.ts';
import { until } from './support/conditions.ts';
import { type FakeScript, fakeEngine } from './support/fake-engine.ts';
import { expectedHashes, type Launched, openStack, type TestStack, temporalTest as test } from './support/temporal.ts';

let stack: TestStack;
beforeAll(async () => {
  stack = await openStack('groups');
  await stack.control();
  await stack.engines({ slots: 1, times: { stallMs: 1_000 } });
});
afterAll(async () => {
  await stack?.[Symbol.asyncDispose]();
});

interface CellState {
  label: string;
  status: string;
  tries: number;
  err: string | null;
}

async function cellsOf(sweep: Launched): Promise<CellState[]> {
  return await query(
    stack.db,
    'select label, status, tries, err_class as err from cell where sweep_no = $1 order by cell_no',
    [sweep.sweepNo],
  );
}

async function errorsOf(sweep: Launched): Promise<{ class: string; kind: string | null; tail: string | null }[]> {
  return await query(stack.db, 'select class, kind, tail from cell_error where sweep_no = $1 order by id', [
    sweep.sweepNo,
  ]);
}

describe('a cell that fails ends failed with its class, and its neighbours are done', () => {
  const rows: [NonNullable<FakeScript['do']>, EngineFault['class'], string, number][] = [
    ['compressor', 'SpecInvalid', 'compressor', 1],
    ['oom', 'OutOfMemory', 'out_of_memory', 1],
    ['garbage', 'EngineCrash', 'protocol', 3],
    ['longline', 'EngineCrash', 'protocol', 3],
    ['exit137', 'EngineCrash', 'exit', 3],
    ['silence', 'EngineStall', 'stall', 3],
  ];
  test.each(rows)('%s: %s', async (action, errorClass, kind, tries) => {
    const sweep = await stack.launch({ groups: [[{}, { do: action }, {}]] });
    await sweep.result();
    expect(await cellsOf(sweep)).toEqual([
      { label: 'g0c0', status: 'done', tries: 1, err: null },
      { label: 'g0c1', status: 'failed', tries, err: errorClass },
      { label: 'g0c2', status: 'done', tries: 1, err: null },
    ]);
    const errors = await errorsOf(sweep);
    expect(errors.map((e) => [e.class, e.kind])).toEqual(Array(tries).fill([errorClass, kind]));
    expect(await sweep.attempts()).toHaveLength(1);
    expect(await sweep.hashes()).toEqual(expectedHashes(['g0c0', 'g0c2'], 2));
  });
});

test('an engine that crashes once is replaced and the cell runs again within the attempt', async () => {
  const started = stack.file('crash-once');
  const script: FakeScript = { do: 'kill', times: 1, mark: stack.file('crash-mark'), started };
  const sweep = await stack.launch({ groups: [[script]] });
  await sweep.result();
  expect(await cellsOf(sweep)).toEqual([{ label: 'g0c0', status: 'done', tries: 2, err: null }]);
  expect(await sweep.hashes()).toEqual(expectedHashes(['g0c0'], 2));
  const pids = (await readFile(started, 'utf8')).trim().split('\n');
  expect(new Set(pids).size).toBe(2);
});

test('a last line before the kill counts: the cell is done and not run again', async () => {
  const sweep = await stack.launch({ groups: [[{ do: 'last_line_kill' }, {}]] });
  await sweep.result();
  const [first, second] = await cellsOf(sweep);
  expect(first).toMatchObject({ status: 'done', tries: 1 });
  expect(second?.status).toBe('done');
  expect(await sweep.hashes()).toEqual(expectedHashes(['g0c0', 'g0c1'], 2));
});

test('warm: cells and groups of one engine key share a process; out of memory replaces it', async () => {
  const started = stack.file('warm');
  const sweep = await stack.launch({
    groups: [
      [{ started }, { started }],
      [{ started, do: 'oom' }, { started }],
    ],
  });
  await sweep.result();
  const pids = (await readFile(started, 'utf8')).trim().split('\n');
  expect(pids).toHaveLength(4);
  // The groups may run in either order: A A A B, or A B B B. Two processes in all means that cells and groups share
  // one, and that the one which ran out of memory was replaced.
  expect(new Set(pids).size).toBe(2);
  expect(pids[3]).not.toBe(pids[0]);
});

test('a cell over its time limit is failed as a stall', async () => {
  const sweep = await stack.launch({ groups: [[{ ms: 400 }, {}]], limits: { cellTimeoutMs: 500 } });
  await sweep.result();
  expect((await cellsOf(sweep)).map((c) => [c.status, c.err])).toEqual([
    ['failed', 'EngineStall'],
    ['done', null],
  ]);
  expect((await errorsOf(sweep)).map((e) => e.kind)).toEqual(Array(3).fill('cell_timeout'));
});

test('a lost device drains its worker; the group is finished by another one and no try is held against the cell', async () => {
  const queue = engineQueue('cpu', 'faulty');
  const sick = await stack.engines({ queues: [queue] });
  const sweep = await stack.launch({
    groups: [[{}, { do: 'device_lost', times: 1, mark: stack.file('lost') }]],
    queue,
  });
  await sick.done;
  expect(sick.fault()).toContain('device_lost');
  await stack.engines({ queues: [queue] });
  await sweep.result();
  expect((await cellsOf(sweep)).map((c) => [c.status, c.tries])).toEqual([
    ['done', 1],
    ['done', 1],
  ]);
  expect((await sweep.attempts()).map((a) => a.outcome)).toEqual(['failed', 'done']);
});

test('a model that no worker has leaves the cells lost, names the remedy, and keeps the worker', async () => {
  const missing = { name: 'absent', path: '/nowhere/absent.gguf', sha256: 'ab'.repeat(32) };
  const sweep = await stack.launch({ groups: [[{}, {}]], model: missing });
  const result = await sweep.result();
  expect(result.open).toBe(2);
  expect(await sweep.states()).toEqual({ lost: 2 });
  expect(await sweep.status()).toBe('stopped');
  const [error] = await query<{ message: string }>(
    stack.db,
    'select message from cell_error where sweep_no = $1 limit 1',
    [sweep.sweepNo],
  );
  expect(error?.message).toContain('KVSWEEP_MODELS');
  const next = await stack.launch({ groups: [[{}]] });
  await next.result();
  expect(await next.states()).toEqual({ done: 1 });
});

test('an engine of another numerics version runs no cell, and the worker goes on', async () => {
  const queue = engineQueue('cpu', 'numerics');
  await stack.engines({ queues: [queue] });
  const sweep = await stack.launch({ groups: [[{}]], queue, numerics: 'fake-2' });
  await sweep.result();
  expect((await cellsOf(sweep)).map((c) => [c.status, c.tries])).toEqual([['lost', 0]]);
  const next = await stack.launch({ groups: [[{}]], queue });
  await next.result();
  expect(await next.states()).toEqual({ done: 1 });
});

test('a model is found by its hash in a folder of the worker, whatever its path says', async () => {
  const queue = engineQueue('cpu', 'folder');
  await stack.engines({ queues: [queue], modelFolders: ['/nowhere', stack.folder] });
  const sweep = await stack.launch({ groups: [[{}]], queue, model: { ...stack.model, path: '/elsewhere/model.gguf' } });
  await sweep.result();
  expect(await sweep.states()).toEqual({ done: 1 });
});

test('an engine that cannot load ends the group by its class', async () => {
  const ends = [
    ['compressor', 'failed', 'SpecInvalid'],
    ['oom', 'failed', 'OutOfMemory'],
    ['exit137', 'lost', 'HostFault'],
  ] as const;
  for (const [action, status, errorClass] of ends) {
    const queue = engineQueue('cpu', `load-${action}`);
    await stack.engines({ queues: [queue], engine: fakeEngine('--on-load', action) });
    const sweep = await stack.launch({ groups: [[{}, {}]], queue });
    await sweep.result();
    expect((await cellsOf(sweep)).map((c) => [c.status, c.err])).toEqual(Array(2).fill([status, errorClass]));
  }
});

test('a timed cell stores every repeat of both phases, and where it ran', async () => {
  const workload = { throughput: { prompt_tokens: 16, new_tokens: 4, warmup: 1, repeats: 5, seed: 1 } };
  const sweep = await stack.launch({ groups: [[{}]], workload });
  await sweep.result();
  const runs = await query<{ phase: string; n: number }>(
    stack.db,
    'select phase, count(*)::int as n from throughput_run where sweep_no = $1 group by phase order by phase',
    [sweep.sweepNo],
  );
  expect(runs).toEqual([
    { phase: 'decode', n: 5 },
    { phase: 'prefill', n: 5 },
  ]);
  const [cell] = await query<{ provenance: Record<string, unknown> }>(
    stack.db,
    'select provenance from cell where sweep_no = $1',
    [sweep.sweepNo],
  );
  expect(cell?.provenance).toMatchObject({
    engine: 'fake',
    build: 'fake',
    numerics: 'fake-1',
    device: { name: 'fake' },
  });
  expect(cell?.provenance.host).toMatchObject({ name: 'test-host' });
});

test('two groups at once on one slot wait for each other instead of two engines', async () => {
  const queue = engineQueue('cpu', 'one-slot');
  const started = stack.file('one-slot');
  await stack.engines({ queues: [queue, engineQueue('cpu', 'one-slot-b')], slots: 1 });
  const first = await stack.launch({ groups: [[{ started, ms: 30 }]], queue });
  const second = await stack.launch({ groups: [[{ started, ms: 30 }]], queue: engineQueue('cpu', 'one-slot-b') });
  await Promise.all([first.result(), second.result()]);
  const pids = (await readFile(started, 'utf8')).trim().split('\n');
  expect(new Set(pids).size).toBe(1);
  await until('both are done', async () => (await second.states()).done === 1);
});

describe('throughput points', () => {
  const workload = { throughput: { prompt_tokens: 16, new_tokens: 4, warmup: 1, repeats: 5, seed: 1 } };
  const guardsOf = (sweep: Launched) =>
    query(
      stack.db,
      `select c.label, count(*)::int as runs, count(distinct t.phase)::int as phases
         from throughput_run t join cell c using (sweep_no, cell_no)
        where t.sweep_no = $1 and t.guard group by c.label`,
      [sweep.sweepNo],
    );

  test('the first baseline point of a group is timed again at its end, once, and drift is known', async () => {
    const sweep = await stack.launch({ groups: [[{}, {}, {}, {}]], workload, baselines: ['g0c1', 'g0c2'] });
    await sweep.result();
    const labels = (await cellsOf(sweep)).map((cell) => cell.label);
    const first = labels.find((label) => ['g0c1', 'g0c2'].includes(label));
    expect(await guardsOf(sweep)).toEqual([{ label: first, runs: 10, phases: 2 }]);
    // the scripted engine takes half a second for everything
    const drifts = await query(
      stack.db,
      `select distinct drift from kv.throughput where label like 'g0c%' and drift is not null`,
    );
    expect(drifts).toEqual([{ drift: 0 }]);
    const [counted] = await query(stack.db, `select n_done from kv.cells where sweep = $1 and label = $2`, [
      sweep.id,
      first,
    ]);
    expect(counted).toEqual({ n_done: 5 });
  });

  test('without a baseline before another point there is no guard', async () => {
    const alone = await stack.launch({ groups: [[{}]], workload, baselines: ['g0c0'] });
    const none = await stack.launch({ groups: [[{}, {}]], workload });
    for (const sweep of [alone, none]) {
      await sweep.result();
      expect(await guardsOf(sweep)).toEqual([]);
    }
  });

  test('a guard that fails costs its drift and no cell', async () => {
    const mark = stack.file('guard-mark');
    const sweep = await stack.launch({
      groups: [
        [
          { do: 'oom', times: 1, late: true, mark },
          { do: 'oom', times: 1, late: true, mark: `${mark}2` },
        ],
      ],
      workload,
      baselines: ['g0c0', 'g0c1'],
    });
    await sweep.result();
    expect((await cellsOf(sweep)).map((cell) => cell.status)).toEqual(['done', 'done']);
    expect(await guardsOf(sweep)).toEqual([]);
    // one of the two was started a second time
    const starts = [mark, `${mark}2`].map((file) => readFileSync(file, 'utf8').length);
    expect(starts.sort()).toEqual([1, 2]);
    expect((await sweep.attempts()).map((attempt) => attempt.outcome)).toEqual(['done']);
  });
});
