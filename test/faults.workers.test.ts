/** Workers that die, freeze, drain or are reset in the middle of a group: the rows are those of an undisturbed run. */
import { readFile, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect } from 'vitest';
import { query } from '../activities/database.ts';
import { sweepWorkflowId } from '../workflows/messages.ts';
import { engineQueue } from '../workflows/queues.ts';
import { until } from './support/conditions.ts';
import {
  expectedHashes,
  isAlive,
  type Launched,
  openStack,
  type TestStack,
  temporalTest as test,
} from './support/temporal.ts';

let stack: TestStack;
beforeAll(async () => {
  stack = await openStack('faults');
  await stack.control();
});
afterAll(async () => {
  await stack?.[Symbol.asyncDispose]();
});

/** Each test has a queue of its own, so that a worker of one test never serves another. */
let queues = 0;
const freshQueue = () => engineQueue('cpu', `faults-${++queues}`);

async function triesOf(sweep: Launched): Promise<number[]> {
  const rows = await query<{ tries: number }>(stack.db, 'select tries from cell where sweep_no = $1 order by cell_no', [
    sweep.sweepNo,
  ]);
  return rows.map((row) => row.tries);
}

async function pidsIn(file: string): Promise<number[]> {
  return (await readFile(file, 'utf8').catch(() => '')).split('\n').filter(Boolean).map(Number);
}

async function sumCheck(sweep: Launched, cells: number): Promise<void> {
  const states = await sweep.states();
  expect(Object.values(states).reduce((sum, n) => sum + n, 0)).toBe(cells);
}

test('kill -9 of a worker inside a group: samples once, two attempts, finished cells not run again', async () => {
  const queue = freshQueue();
  const [hold, started] = [stack.file('kill-hold'), stack.file('kill-started')];
  const first = await stack.spawnWorker({ queues: [queue] });
  const sweep = await stack.launch({ groups: [[{}, { hold, started }, {}]], queue });
  const [enginePid] = await until('the second cell runs', async () => {
    const pids = await pidsIn(started);
    return pids.length > 0 && pids;
  });
  process.kill(first.pid, 'SIGKILL');
  await first.exited;
  await until('its engine is gone', async () => !(await isAlive(enginePid!)), 5_000);
  await writeFile(hold, '');
  await stack.spawnWorker({ queues: [queue] });
  await sweep.result();
  expect(await sweep.hashes()).toEqual(expectedHashes(['g0c0', 'g0c1', 'g0c2'], 2));
  expect(await triesOf(sweep)).toEqual([1, 2, 1]);
  expect(await sweep.attempts()).toHaveLength(2);
  await sumCheck(sweep, 3);
});

test('a worker frozen past its heartbeat and thawed again writes nothing; it is of use afterwards', async () => {
  const queue = freshQueue();
  const [hold, started] = [stack.file('zombie-hold'), stack.file('zombie-started')];
  const zombie = await stack.spawnWorker({ queues: [queue] });
  const sweep = await stack.launch({ groups: [[{ hold, started }, {}]], queue });
  const [enginePid] = await until('the cell runs', async () => {
    const pids = await pidsIn(started);
    return pids.length > 0 && pids;
  });
  process.kill(zombie.pid, 'SIGSTOP');
  const other = await stack.spawnWorker({ queues: [queue] });
  await until('another worker has the cell', async () => (await pidsIn(started)).length === 2);
  // Both engines finish the cell now; the frozen worker finds the end of it in its pipe when it thaws.
  await writeFile(hold, '');
  await sweep.result();
  const rows = await sweep.hashes();
  process.kill(zombie.pid, 'SIGCONT');
  await until('the zombie has let its engine go', async () => !(await isAlive(enginePid!)));
  expect(rows).toEqual(expectedHashes(['g0c0', 'g0c1'], 2));
  expect(await sweep.hashes()).toEqual(rows);
  expect(await sweep.states()).toEqual({ done: 2 });
  const attempts = await sweep.attempts();
  expect(attempts).toHaveLength(2);
  expect(attempts[1]).toMatchObject({ outcome: 'done' });
  // Told of the timeout, or refused by the fence: never `done`.
  expect(['stale', null]).toContain(attempts[0]!.outcome);

  other.child.kill('SIGKILL');
  await other.exited;
  const next = await stack.launch({ groups: [[{}]], queue });
  await next.result();
  expect(await next.states()).toEqual({ done: 1 });
});

test('a drained worker finishes its cell, gives the rest back, and costs no attempt', async () => {
  const queue = freshQueue();
  const [hold, started] = [stack.file('drain-hold'), stack.file('drain-started')];
  const first = await stack.spawnWorker({ queues: [queue] });
  const sweep = await stack.launch({ groups: [[{ hold, started }, {}, {}]], queue });
  await until('the first cell runs', async () => (await pidsIn(started)).length > 0);
  first.child.kill('SIGTERM');
  await writeFile(hold, '');
  expect(await first.exited).toBe(0);
  expect(await sweep.states()).toEqual({ done: 1, pending: 2 });
  await stack.spawnWorker({ queues: [queue] });
  await sweep.result();
  expect(await triesOf(sweep)).toEqual([1, 1, 1]);
  const attempts = await sweep.attempts();
  expect(attempts.map((a) => a.outcome)).toEqual(['left', 'done']);
  // A new activity at its first attempt, not a retry of the old one.
  expect(attempts.map((a) => a.lease.split(':').at(-1))).toEqual(['1', '1']);
  expect(await sweep.hashes()).toEqual(expectedHashes(['g0c0', 'g0c1', 'g0c2'], 2));
});

test('a second signal ends the engines at once and gives the cells back without a try', async () => {
  const queue = freshQueue();
  const [never, started] = [stack.file('never'), stack.file('second-started')];
  const first = await stack.spawnWorker({ queues: [queue] });
  const sweep = await stack.launch({ groups: [[{ hold: never, started }]], queue });
  const [enginePid] = await until('the cell runs', async () => {
    const pids = await pidsIn(started);
    return pids.length > 0 && pids;
  });
  first.child.kill('SIGTERM');
  await first.draining(); // two signals of one kind that are not yet delivered count as one
  first.child.kill('SIGTERM');
  expect(await first.exited).toBe(0);
  expect(await isAlive(enginePid!)).toBe(false);
  expect(await sweep.states()).toEqual({ pending: 1 });
  await writeFile(never, '');
  await stack.spawnWorker({ queues: [queue] });
  await sweep.result();
  expect(await triesOf(sweep)).toEqual([1]);
});

test('a reset of the running activity starts a new first attempt, which claims the group', async () => {
  const queue = freshQueue();
  const [hold, started] = [stack.file('reset-hold'), stack.file('reset-started')];
  await stack.spawnWorker({ queues: [queue] });
  const sweep = await stack.launch({ groups: [[{ hold, started }, {}]], queue });
  await until('the cell runs', async () => (await pidsIn(started)).length === 1);
  await stack.client.workflowService.resetActivity({
    namespace: stack.client.options.namespace,
    execution: { workflowId: `${sweepWorkflowId(sweep.id)}/shard/0` },
    type: 'runGroup',
  });
  await until('it runs again', async () => (await pidsIn(started)).length === 2);
  await writeFile(hold, '');
  await sweep.result();
  expect(await sweep.hashes()).toEqual(expectedHashes(['g0c0', 'g0c1'], 2));
  expect(await sweep.states()).toEqual({ done: 2 });
  await sumCheck(sweep, 2);
});

test('a cell that kills its worker each time is Poison after three, and the rest of its group is done', async () => {
  const queue = freshQueue();
  const sweep = await stack.launch({ groups: [[{}, { do: 'host_worker' }, {}]], queue });
  for (let death = 0; death < 3; death++) {
    const worker = await stack.spawnWorker({ queues: [queue] });
    expect(await worker.exited).toBe('SIGKILL');
  }
  await stack.spawnWorker({ queues: [queue] });
  await sweep.result();
  const cells = await query(
    stack.db,
    'select label, status, err_class as err from cell where sweep_no = $1 order by cell_no',
    [sweep.sweepNo],
  );
  expect(cells).toEqual([
    { label: 'g0c0', status: 'done', err: null },
    { label: 'g0c1', status: 'failed', err: 'Poison' },
    { label: 'g0c2', status: 'done', err: null },
  ]);
  expect(await sweep.hashes()).toEqual(expectedHashes(['g0c0', 'g0c2'], 2));
});
