import { describe, expect, test } from 'vitest';
import { query } from '../activities/database.ts';
import {
  applyFailurePolicy,
  claimGroup,
  closeRun,
  commitCell,
  countOpen,
  failCell,
  insertPlan,
  nextGroups,
  openRun,
  planShards,
  readEvents,
  readOpenQueues,
  readSweep,
  readSweepStatus,
  setSweepStatus,
} from '../activities/ledger.ts';
import type { SweepPlan } from '../workflows/plan.ts';
import { useDatabase } from './support/database.ts';
import { cellPlan, sweepPlan } from './support/plans.ts';
import { commitInput } from './support/rows.ts';

const database = useDatabase();
let clock = 1;

async function open(id: string, sizes: number[], options: Parameters<typeof sweepPlan>[2] = {}) {
  const groups = sizes.map((n, g) => Array.from({ length: n }, (_, i) => cellPlan(`${id} ${g} ${i}`)));
  const { sweepNo } = await insertPlan(database.db, sweepPlan(id, groups, options));
  const { runNo } = await openRun(database.db, id, `${id} 1`);
  return { sweepNo, runNo };
}

/** Ends cells of a group: 'done', or failed with a class. */
async function end(sweepNo: number, runNo: number, groupNo: number, ends: string[]) {
  const lease = `lease ${clock}`;
  const { cells } = await claimGroup(database.db, {
    sweepNo,
    groupNo,
    runNo,
    scheduledMs: clock++,
    lease,
    hostId: null,
    maxTries: 3,
  });
  for (const [i, how] of ends.entries()) {
    const cell = { sweepNo, cellNo: cells[i]!.cellNo, lease };
    if (how === 'done') await commitCell(database.db, commitInput(cell, [[1], [2], [3]]));
    else
      await failCell(database.db, {
        ...cell,
        errClass: how as 'OutOfMemory',
        errKind: null,
        message: null,
        tail: null,
      });
  }
}

describe('shards', () => {
  test('cover every open group once, each on one queue', async () => {
    const queues = Array.from({ length: 1000 }, (_, g) => (g < 600 ? 'kv.cpu.a' : 'kv.cpu.b'));
    const { sweepNo } = await open(
      'cover',
      queues.map(() => 1),
      { queues },
    );
    const shards = await planShards(database.db, sweepNo, { 'kv.cpu.a': 40, 'kv.cpu.b': 2 });
    const covered = shards.flatMap(({ lo, hi, queue }) => Array.from({ length: hi - lo }, (_, i) => [lo + i, queue]));
    expect(covered).toEqual(queues.map((queue, g) => [g, queue]));
    // 600 groups in pieces of 200; two slots make one shard, so that warm models are not swapped for each other.
    expect(shards.map((shard) => [shard.queue, shard.hi - shard.lo])).toEqual([
      ['kv.cpu.a', 200],
      ['kv.cpu.a', 200],
      ['kv.cpu.a', 200],
      ['kv.cpu.b', 400],
    ]);
    const inFlight = (queue: string) => shards.filter((s) => s.queue === queue).reduce((sum, s) => sum + s.inFlight, 0);
    expect(inFlight('kv.cpu.a')).toBeGreaterThanOrEqual(80);
    expect(inFlight('kv.cpu.b')).toBeGreaterThanOrEqual(4);
    expect(shards.every((shard) => shard.inFlight <= 500 && shard.timeoutMs >= 15 * 60_000)).toBe(true);
    expect(await readOpenQueues(database.db, sweepNo)).toEqual([
      { queue: 'kv.cpu.a', cells: 600 },
      { queue: 'kv.cpu.b', cells: 400 },
    ]);
  });

  test('never number more than 64', async () => {
    const { sweepNo } = await open(
      'many queues',
      Array.from({ length: 100 }, () => 1),
      {
        queues: Array.from({ length: 100 }, (_, g) => `kv.cpu.${g}`),
      },
    );
    expect(await planShards(database.db, sweepNo, {})).toHaveLength(64);
  });

  test('of canary groups come alone first; a failed canary keeps its model back and no other', async () => {
    const { sweepNo, runNo } = await open('canary', [1, 1, 3, 3], { canaries: 2 });
    await query(database.db, `update cell_group set engine_key = 'm' || group_no % 2 where sweep_no = $1`, [sweepNo]);
    const ranges = async () => (await planShards(database.db, sweepNo, {})).map(({ lo, hi }) => [lo, hi]);
    expect(await ranges()).toEqual([[0, 2]]);
    await end(sweepNo, runNo, 0, ['OutOfMemory']);
    await end(sweepNo, runNo, 1, ['done']);
    expect(await ranges()).toEqual([[3, 4]]);
    expect(await nextGroups(database.db, sweepNo, 0, 4, 200)).toEqual({ control: 'run', groups: [3], next: 4 });
    expect(await countOpen(database.db, sweepNo)).toBe(6);
  });

  test('of a finished sweep are none', async () => {
    const { sweepNo, runNo } = await open('finished', [1]);
    await end(sweepNo, runNo, 0, ['done']);
    expect(await planShards(database.db, sweepNo, {})).toEqual([]);
  });
});

describe('the next groups', () => {
  test('come in order, at most as many as asked for, without those that are done', async () => {
    const { sweepNo, runNo } = await open('slices', [1, 1, 1, 1, 1]);
    await end(sweepNo, runNo, 1, ['done']);
    expect(await nextGroups(database.db, sweepNo, 0, 5, 2)).toEqual({ control: 'run', groups: [0, 2], next: 3 });
    expect(await nextGroups(database.db, sweepNo, 3, 5, 2)).toEqual({ control: 'run', groups: [3, 4], next: 5 });
    expect(await nextGroups(database.db, sweepNo, 5, 5, 2)).toEqual({ control: 'run', groups: [], next: 5 });
    expect(await nextGroups(database.db, sweepNo, 0, 1, 2)).toEqual({ control: 'run', groups: [0], next: 1 });
  });

  test('are none while the sweep is paused or after its end', async () => {
    const { sweepNo } = await open('control', [1]);
    const set = (status: 'paused' | 'cancelled') =>
      setSweepStatus(database.db, { sweepId: 'control', status, reason: null, user: 'ada' });
    await set('paused');
    expect(await nextGroups(database.db, sweepNo, 0, 1, 9)).toEqual({ control: 'pause', groups: [], next: 0 });
    await set('cancelled');
    expect(await nextGroups(database.db, sweepNo, 0, 1, 9)).toMatchObject({ control: 'stop', groups: [] });
  });
});

describe('the failure policy', () => {
  const limits = (maxFailures: SweepPlan['limits']['maxFailures']) => ({
    limits: { maxFailures, cellTimeoutMs: 1000 },
  });

  test('stops the sweep when more cells failed than allowed, and says so in its history', async () => {
    const { sweepNo, runNo } = await open('count', [5], limits({ count: 1 }));
    await end(sweepNo, runNo, 0, ['done', 'OutOfMemory']);
    expect((await nextGroups(database.db, sweepNo, 0, 1, 9)).control).toBe('run');
    await end(sweepNo, runNo, 0, ['EngineCrash']);
    expect(await nextGroups(database.db, sweepNo, 0, 1, 9)).toMatchObject({ control: 'stop', groups: [] });
    expect(await readSweep(database.db, 'count')).toMatchObject({
      status: 'stopped',
      stopReason: '2 cells failed, max_failures allows 1',
    });
    expect(await readEvents(database.db, sweepNo)).toMatchObject([
      { user: 'kvsweep', action: 'policy', old: 'running', new: 'stopped' },
    ]);
  });

  test('takes percent of all cells', async () => {
    const { sweepNo, runNo } = await open('percent', [20], limits({ percent: 10 }));
    await end(sweepNo, runNo, 0, ['OutOfMemory', 'EngineCrash']);
    expect(await applyFailurePolicy(database.db, sweepNo)).toBeNull();
    await end(sweepNo, runNo, 0, ['SpecInvalid']);
    expect(await applyFailurePolicy(database.db, sweepNo)).toBe('3 of 20 cells failed, max_failures allows 10%');
  });

  test('has a breaker for one class of failure and nothing else ten times in a row', async () => {
    const { sweepNo, runNo } = await open('breaker', [12]);
    await end(sweepNo, runNo, 0, ['done', ...Array.from({ length: 9 }, () => 'EngineStall')]);
    expect(await applyFailurePolicy(database.db, sweepNo)).toBeNull();
    await end(sweepNo, runNo, 0, ['EngineStall']);
    expect(await applyFailurePolicy(database.db, sweepNo)).toBe('the last 10 cells all failed with EngineStall');
  });

  test('forgives earlier runs: who resumes has seen their failures', async () => {
    const { sweepNo, runNo } = await open('forgive', [5], limits({ count: 0 }));
    await end(sweepNo, runNo, 0, ['OutOfMemory']);
    expect(await applyFailurePolicy(database.db, sweepNo)).not.toBeNull();
    await openRun(database.db, 'forgive', 'forgive 2');
    expect(await applyFailurePolicy(database.db, sweepNo)).toBeNull();
  });
});

describe('a run', () => {
  test('opens once per key; a new key takes the next number and turns leased into lost', async () => {
    const { sweepNo, runNo } = await open('open', [2]);
    expect(runNo).toBe(1);
    await claimGroup(database.db, {
      sweepNo,
      groupNo: 0,
      runNo,
      scheduledMs: 1,
      lease: 'a',
      hostId: null,
      maxTries: 3,
    });
    await query(database.db, 'update cell set tries = 2 where sweep_no = $1 and cell_no = 0', [sweepNo]);
    expect(await openRun(database.db, 'open', 'open 1')).toEqual({ sweepNo, runNo: 1 });
    const opened = await Promise.all(Array.from({ length: 8 }, () => openRun(database.db, 'open', 'open 2')));
    expect(opened).toEqual(Array.from({ length: 8 }, () => ({ sweepNo, runNo: 2 })));
    expect(await query(database.db, 'select status, tries from cell where sweep_no = $1', [sweepNo])).toEqual([
      { status: 'lost', tries: 0 },
      { status: 'lost', tries: 0 },
    ]);
    expect(await readSweepStatus(database.db, sweepNo)).toBe('running');
  });

  test('closes with nothing leased: stopped with open cells, finished without; an earlier run cannot close it', async () => {
    const { sweepNo, runNo } = await open('close', [2]);
    await claimGroup(database.db, {
      sweepNo,
      groupNo: 0,
      runNo,
      scheduledMs: 1,
      lease: 'a',
      hostId: null,
      maxTries: 3,
    });
    await closeRun(database.db, sweepNo, runNo - 1);
    expect(await readSweepStatus(database.db, sweepNo)).toBe('running');
    await closeRun(database.db, sweepNo, runNo);
    expect(await readSweep(database.db, 'close')).toMatchObject({
      status: 'stopped',
      stopReason: '2 cells are left open',
    });
    expect(await query(database.db, 'select distinct status from cell where sweep_no = $1', [sweepNo])).toEqual([
      { status: 'pending' },
    ]);
    const next = await openRun(database.db, 'close', 'close 2');
    await end(sweepNo, next.runNo, 0, ['done', 'OutOfMemory']);
    await closeRun(database.db, sweepNo, next.runNo);
    expect(await readSweep(database.db, 'close')).toMatchObject({ status: 'finished', stopReason: null });
  });

  test('that was cancelled stays cancelled', async () => {
    const { sweepNo, runNo } = await open('cancelled', [1]);
    await setSweepStatus(database.db, {
      sweepId: 'cancelled',
      status: 'cancelled',
      reason: 'wrong model',
      user: 'ada',
    });
    await closeRun(database.db, sweepNo, runNo);
    expect(await readSweep(database.db, 'cancelled')).toMatchObject({ status: 'cancelled', stopReason: 'wrong model' });
  });

  test('of an unknown sweep is refused', async () => {
    await expect(openRun(database.db, 'nobody', 'x')).rejects.toThrow('No sweep is named "nobody".');
  });
});

test('what a user does to a sweep is written down; what cannot be is refused in words', async () => {
  const { sweepNo } = await open('status', [1]);
  const set = (status: 'paused' | 'running' | 'cancelled', reason: string | null) =>
    setSweepStatus(database.db, { sweepId: 'status', status, reason, user: 'ada' });
  expect(await set('paused', 'lunch')).toEqual({ sweepNo, old: 'running' });
  await set('cancelled', 'no more');
  await expect(set('paused', null)).rejects.toThrow('Sweep "status" is cancelled; it cannot become paused.');
  const events = (await readEvents(database.db, sweepNo)).map(({ user, reason, old, new: now }) => [
    user,
    reason,
    old,
    now,
  ]);
  expect(events).toEqual([
    ['ada', 'lunch', 'running', 'paused'],
    ['ada', 'no more', 'paused', 'cancelled'],
  ]);
});
