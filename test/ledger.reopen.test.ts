import { describe, expect, test } from 'vitest';
import { query } from '../activities/database.ts';
import {
  claimGroup,
  commitCell,
  compileFilter,
  failCell,
  failGroup,
  insertPlan,
  listSweeps,
  openRun,
  readCellLog,
  readEvents,
  readFailures,
  readProgress,
  recordCellError,
  registerEngineBuild,
  registerHost,
  reopenCells,
  startCell,
} from '../activities/ledger.ts';
import { useDatabase } from './support/database.ts';
import { cellPlan, sha, sweepPlan } from './support/plans.ts';
import { commitInput } from './support/rows.ts';

const database = useDatabase();

const KIVI = { kivi: { bits: 4 } };

/** Cells: 0 done, 1 failed (memory), 2 failed (crash), 3 lost, 4 pending in a group of its own. */
async function mixed(id: string) {
  const first = [
    cellPlan(`${id} 0`, { batch: 1 }),
    cellPlan(`${id} 1`, { batch: 8, compressor: KIVI, label: 'kivi-4', axes: { seed: 7, note: 'x' } }),
    cellPlan(`${id} 2`, { batch: 16, compressor: KIVI, label: 'kivi-4', axes: { seed: 12 } }),
    cellPlan(`${id} 3`, { batch: 4 }),
  ];
  const { sweepNo } = await insertPlan(database.db, sweepPlan(id, [first, [cellPlan(`${id} 4`)]]));
  const { runNo } = await openRun(database.db, id, 'run');
  const hostId = await registerHost(database.db, { name: 'node-1', facts: { device: { name: 'cpu' } } });
  await claimGroup(database.db, { sweepNo, groupNo: 0, runNo, scheduledMs: 1, lease: 'a', hostId, maxTries: 3 });
  const cell = (cellNo: number) => ({ sweepNo, cellNo, lease: 'a' });
  await startCell(database.db, cell(0));
  await commitCell(database.db, commitInput(cell(0), [[1], [2], [3, 4]]));
  await recordCellError(database.db, {
    ...cell(1),
    errClass: 'EngineCrash',
    errKind: 'internal',
    message: 'first',
    tail: 'stderr 1',
  });
  await failCell(database.db, {
    ...cell(1),
    errClass: 'OutOfMemory',
    errKind: 'out_of_memory',
    message: 'too big',
    tail: 'stderr 2',
  });
  await failCell(database.db, {
    ...cell(2),
    errClass: 'EngineCrash',
    errKind: 'internal',
    message: 'panic',
    tail: null,
  });
  await failGroup(database.db, { sweepNo, groupNo: 0, failure: { type: 'TimeoutFailure', message: 'no heartbeat' } });
  return sweepNo;
}

const statuses = async (sweepNo: number) =>
  (
    await query<{ status: string }>(database.db, 'select status from cell where sweep_no = $1 order by cell_no', [
      sweepNo,
    ])
  ).map((row) => row.status);

test('progress counts every cell in one state, and the states sum to the grid', async () => {
  await mixed('progress');
  const progress = await readProgress(database.db, 'progress');
  expect(progress).toMatchObject({
    counts: { pending: 1, leased: 0, done: 1, failed: 2, lost: 1 },
    total: 5,
    reused: 0,
    samplesDone: 3,
    samplesPlanned: 15,
    tokens: 4,
    openEstMs: 2000,
    doneEstMs: 1000,
    alarms: 0,
    status: 'running',
  });
  expect(Object.values(progress.counts).reduce((a, b) => a + b)).toBe(progress.total);
  expect(progress.failures).toEqual(
    expect.arrayContaining([
      { errClass: 'OutOfMemory', cells: 1 },
      { errClass: 'EngineCrash', cells: 1 },
    ]),
  );
  expect((await listSweeps(database.db)).find((line) => line.id === 'progress')).toMatchObject({
    total: 5,
    done: 1,
    failed: 2,
  });
});

test('failures carry their newest error; the log of a cell has all of them and its attempts', async () => {
  const sweepNo = await mixed('log');
  expect((await readFailures(database.db, sweepNo)).map((f) => [f.cellNo, f.status, f.errClass, f.message])).toEqual([
    [1, 'failed', 'OutOfMemory', 'too big'],
    [2, 'failed', 'EngineCrash', 'panic'],
    [3, 'lost', 'HostFault', 'no heartbeat'],
  ]);
  const log = await readCellLog(database.db, sweepNo, 1);
  expect(log.errors.map((error) => [error.errClass, error.tail])).toEqual([
    ['EngineCrash', 'stderr 1'],
    ['OutOfMemory', 'stderr 2'],
  ]);
  expect(log.attempts).toMatchObject([{ lease: 'a', host: 'node-1', outcome: null }]);
  expect(log.run).toMatchObject({ batch: 8 });
  await expect(readCellLog(database.db, sweepNo, 99)).rejects.toThrow('The sweep has no cell 99.');
});

test('resume --failed reopens what failed and what was lost, and nothing that is done', async () => {
  const sweepNo = await mixed('failed');
  expect(await reopenCells(database.db, { sweepNo, where: null, user: 'ada' })).toBe(3);
  expect(await statuses(sweepNo)).toEqual(['done', 'pending', 'pending', 'pending', 'pending']);
  expect(await reopenCells(database.db, { sweepNo, where: null, user: 'ada' })).toBe(0);
  const [event, ...none] = await readEvents(database.db, sweepNo);
  expect(event).toMatchObject({ user: 'ada', action: 'reopen', new: { where: null, cells: 3 } });
  expect(none).toEqual([]);
  // The errors stay in the history.
  expect((await readCellLog(database.db, sweepNo, 1)).errors).toHaveLength(2);
});

describe('retry --where', () => {
  test.each([
    ['compressor = kivi', [1, 2]],
    ['compressor != kivi', [3]],
    ['batch >= 8 and batch < 16', [1]],
    ['error = OutOfMemory or batch = 16', [1, 2]],
    ['not (error = OutOfMemory)', [2, 3]],
    ['not error = OutOfMemory and compressor = kivi', [2]],
    ['status = lost', [3]],
    ['status = done', []],
    ['label ~ kivi*', [1, 2]],
    ['label ~ "*-4"', [1, 2]],
    ['seed > 9', [2]],
    ['seed = 7', [1]],
    ['note = "x"', [1]],
    ['absent = 1', []],
    ['baseline = false', [1, 2]],
    ['cell = 3', [3]],
    [`key ~ ${sha('where 1').slice(0, 10)}*`, null],
    ['compressor = "kivi\' or true --"', []],
    ['"x\'); drop table cell; --" = 1', []],
  ])('%s', async (where, expected) => {
    const id = `where ${where}`;
    const sweepNo = await mixed(id);
    const n = await reopenCells(database.db, {
      sweepNo,
      where: where.replace(sha('where 1').slice(0, 10), sha(`${id} 1`).slice(0, 10)),
      user: 'ada',
    });
    const cells = expected ?? [1];
    expect(n).toBe(cells.length);
    const reopened = (await statuses(sweepNo)).flatMap((status, i) => (status === 'pending' && i < 4 ? [i] : []));
    expect(reopened).toEqual(cells);
  });

  test.each([
    ['compressor', 'an operator (= != < <= > >= ~) is missing at character 11'],
    ['compressor =', 'a value is missing at character 13'],
    ['(batch = 1', '")" is missing at character 11'],
    ['batch = many', 'batch wants a number, "many" is none, at character 13'],
    ['batch = 1 compressor = x', '"compressor" is not expected at character 10'],
    ['baseline = maybe', 'baseline wants true or false, at character 17'],
    ['', 'an axis is missing at character 1'],
    ['a = "b', 'cannot read character 4'],
  ])('"%s" is refused with the place', (where, message) => {
    expect(() => compileFilter(where)).toThrow(message);
  });

  test('puts what the user wrote into parameters only', () => {
    const { text, values } = compileFilter(`model = "'; drop table cell" and x = "$1"`, 5);
    expect(text).not.toMatch(/drop|\$1\b/);
    expect(values).toEqual([`'; drop table cell`, 'x', '$1']);
  });
});

test('a host and an engine build have one number each, also when registered ten times at once', async () => {
  const facts = { device: { name: 'H200' }, driver: '570' };
  const ids = await Promise.all(Array.from({ length: 10 }, () => registerHost(database.db, { name: 'gpu-1', facts })));
  expect(new Set(ids).size).toBe(1);
  expect(await registerHost(database.db, { name: 'gpu-1', facts: { ...facts, driver: '575' } })).not.toBe(ids[0]);
  const build = { sha: sha('engine'), version: '0.1.0', build: 'abc', numerics: { cpu: 'cpu-1' } };
  const builds = await Promise.all(Array.from({ length: 10 }, () => registerEngineBuild(database.db, build)));
  expect(new Set(builds).size).toBe(1);
});
