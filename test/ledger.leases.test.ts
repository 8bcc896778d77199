import { expect, test } from 'vitest';
import { query } from '../activities/database.ts';
import {
  claimGroup,
  commitCell,
  countOpen,
  endAttempt,
  failCell,
  failGroup,
  insertPlan,
  openRun,
  releaseGroup,
  StaleAttempt,
  startCell,
} from '../activities/ledger.ts';
import { useDatabase } from './support/database.ts';
import { cellPlan, sweepPlan } from './support/plans.ts';
import { commitInput } from './support/rows.ts';

const database = useDatabase();

/** A fresh sweep with one group of `n` cells, running under run 1. */
async function openSweep(id: string, n = 3) {
  const cells = Array.from({ length: n }, (_, i) => cellPlan(`${id} ${i}`));
  const { sweepNo } = await insertPlan(database.db, sweepPlan(id, [cells]));
  const { runNo } = await openRun(database.db, id, 'run-a');
  const claim = (lease: string, scheduledMs: number) =>
    claimGroup(database.db, { sweepNo, groupNo: 0, runNo, scheduledMs, lease, hostId: null, maxTries: 3 });
  return { sweepNo, runNo, claim };
}

async function states(sweepNo: number): Promise<Record<string, number>> {
  const rows = await query<{ status: string; n: number }>(
    database.db,
    'select status, count(*) as n from cell where sweep_no = $1 group by status order by status',
    [sweepNo],
  );
  return Object.fromEntries(rows.map((row) => [row.status, row.n]));
}

test('a claim returns every open cell with what to run', async () => {
  const { claim } = await openSweep('claims');
  const { cells, engineKey, cellTimeoutMs, sweepId } = await claim('a', 1);
  expect({ engineKey, cellTimeoutMs, sweepId }).toEqual({
    engineKey: 'tiny/cpu',
    cellTimeoutMs: 60_000,
    sweepId: 'claims',
  });
  expect(cells.map((cell) => [cell.cellNo, cell.status, cell.tries, cell.run.model.name])).toEqual([
    [0, 'leased', 0, 'tiny'],
    [1, 'leased', 0, 'tiny'],
    [2, 'leased', 0, 'tiny'],
  ]);
});

test('an earlier attempt cannot claim what a later one has; the same attempt may repeat its claim', async () => {
  const { claim } = await openSweep('order');
  await claim('late', 10);
  await expect(claim('early', 9)).rejects.toBeInstanceOf(StaleAttempt);
  await expect(claim('equal time', 10)).rejects.toBeInstanceOf(StaleAttempt);
  expect((await claim('late', 10)).cells).toHaveLength(3);
});

test('an attempt of an earlier run cannot claim, however late its clock is', async () => {
  const { claim } = await openSweep('runs');
  await openRun(database.db, 'runs', 'run-b');
  await expect(claim('zombie', 1e12)).rejects.toBeInstanceOf(StaleAttempt);
});

test('of eight claims at once exactly one holds the group', async () => {
  const { sweepNo, claim } = await openSweep('race');
  await Promise.allSettled(Array.from({ length: 8 }, (_, i) => claim(`l${i}`, 100 + i)));
  const [row] = await query<{ group: string; cells: number }>(
    database.db,
    `select g.lease as "group", count(distinct c.lease) as cells from cell_group g join cell c using (sweep_no, group_no)
      where g.sweep_no = $1 and c.lease = g.lease group by g.lease`,
    [sweepNo],
  );
  expect(row).toEqual({ group: 'l7', cells: 1 });
});

test('a zombie can neither start, commit, fail nor release, and writes no row', async () => {
  const { sweepNo, claim } = await openSweep('zombie');
  await claim('zombie', 1);
  await claim('heir', 2);
  const cell = { sweepNo, cellNo: 0, lease: 'zombie' };
  await expect(startCell(database.db, cell)).rejects.toBeInstanceOf(StaleAttempt);
  await expect(commitCell(database.db, commitInput(cell, [[1], [2], [3]]))).rejects.toBeInstanceOf(StaleAttempt);
  const failure = { errClass: 'EngineCrash', errKind: null, message: null, tail: null } as const;
  await expect(failCell(database.db, { ...cell, ...failure })).rejects.toBeInstanceOf(StaleAttempt);
  expect(await releaseGroup(database.db, { sweepNo, groupNo: 0, lease: 'zombie' })).toBe(0);
  const counts = await query(
    database.db,
    `select (select count(*) from sample where sweep_no = $1) as samples,
            (select count(*) from output) as outputs,
            (select count(*) from cell_error where sweep_no = $1) as errors`,
    [sweepNo],
  );
  expect(counts).toEqual([{ samples: 0, outputs: 0, errors: 0 }]);
  expect(await states(sweepNo)).toEqual({ leased: 3 });
});

test('a start counts a try; a sweep that is paused holds it', async () => {
  const { sweepNo, claim } = await openSweep('starts');
  await claim('a', 1);
  expect(await startCell(database.db, { sweepNo, cellNo: 0, lease: 'a' })).toBe('started');
  await query(database.db, `update sweep set status = 'paused' where sweep_no = $1`, [sweepNo]);
  expect(await startCell(database.db, { sweepNo, cellNo: 1, lease: 'a' })).toBe('held');
  const tries = await query(database.db, 'select cell_no, tries from cell where sweep_no = $1 order by 1', [sweepNo]);
  expect(tries).toEqual([
    { cell_no: 0, tries: 1 },
    { cell_no: 1, tries: 0 },
    { cell_no: 2, tries: 0 },
  ]);
});

test('released cells are pending again and spend no try', async () => {
  const { sweepNo, claim } = await openSweep('release');
  await claim('a', 1);
  expect(await releaseGroup(database.db, { sweepNo, groupNo: 0, lease: 'a' })).toBe(3);
  expect(await states(sweepNo)).toEqual({ pending: 3 });
  expect((await claim('b', 2)).cells.map((cell) => cell.tries)).toEqual([0, 0, 0]);
});

test('a cell that was started three times without an end is poison; the rest of its group is leased', async () => {
  const { sweepNo, claim } = await openSweep('poison');
  for (let attempt = 1; attempt <= 3; attempt++) {
    await claim(`a${attempt}`, attempt);
    await startCell(database.db, { sweepNo, cellNo: 1, lease: `a${attempt}` });
  }
  const { cells } = await claim('a4', 4);
  expect(cells.map((cell) => cell.status)).toEqual(['leased', 'failed', 'leased']);
  const errors = await query(database.db, 'select cell_no, class from cell_error where sweep_no = $1', [sweepNo]);
  expect(errors).toEqual([{ cell_no: 1, class: 'Poison' }]);
});

test('a group whose activity ended for good leaves lost cells, and poison where tries are spent', async () => {
  const { sweepNo, claim } = await openSweep('ended');
  for (let attempt = 1; attempt <= 3; attempt++) {
    await claim(`a${attempt}`, attempt);
    await startCell(database.db, { sweepNo, cellNo: 0, lease: `a${attempt}` });
  }
  const failure = { type: 'HostFault', message: 'the driver is gone' };
  expect(await failGroup(database.db, { sweepNo, groupNo: 0, failure })).toEqual({ failed: 1, lost: 2 });
  expect(await states(sweepNo)).toEqual({ failed: 1, lost: 2 });
  expect(await countOpen(database.db, sweepNo)).toBe(2);
  await expect(startCell(database.db, { sweepNo, cellNo: 1, lease: 'a3' })).rejects.toBeInstanceOf(StaleAttempt);
});

test('a group that cannot load fails all its open cells; a stale attempt changes nothing', async () => {
  const { sweepNo, claim } = await openSweep('load');
  await claim('a', 1);
  await commitCell(database.db, commitInput({ sweepNo, cellNo: 0, lease: 'a' }, [[1], [2], [3]]));
  const stale = { type: 'StaleAttempt', message: 'fence' };
  expect(await failGroup(database.db, { sweepNo, groupNo: 0, failure: stale })).toEqual({ failed: 0, lost: 0 });
  const failure = { type: 'OutOfMemory', message: 'weights do not fit' };
  expect(await failGroup(database.db, { sweepNo, groupNo: 0, failure })).toEqual({ failed: 2, lost: 0 });
  expect(await states(sweepNo)).toEqual({ done: 1, failed: 2 });
});

test('a failure of unknown type leaves cells lost with a class that the tables know', async () => {
  const { sweepNo, claim } = await openSweep('unknown');
  await claim('a', 1);
  expect(
    await failGroup(database.db, { sweepNo, groupNo: 0, failure: { type: 'TimeoutFailure', message: 'heartbeat' } }),
  ).toEqual({
    failed: 0,
    lost: 3,
  });
});

test('the first end of an attempt stays in its history', async () => {
  const { sweepNo, claim } = await openSweep('history');
  await claim('a', 1);
  await claim('a', 1);
  await endAttempt(database.db, { sweepNo, groupNo: 0, lease: 'a', outcome: 'done' });
  await endAttempt(database.db, { sweepNo, groupNo: 0, lease: 'a', outcome: 'stale' });
  const rows = await query(database.db, 'select lease, outcome from attempt where sweep_no = $1', [sweepNo]);
  expect(rows).toEqual([{ lease: 'a', outcome: 'done' }]);
});
