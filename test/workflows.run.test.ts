/** Whole sweeps on a real Temporal server and a real Postgres, with the scripted engine. */
import { readFile, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect } from 'vitest';
import * as ledger from '../activities/ledger.ts';
import { deadQueues } from '../activities/queues.ts';
import {
  aggregateInBackground,
  aggregateSweepNow,
  cancelSweep,
  estimatesEnd,
  nudgeSweep,
  wakeSweep,
} from '../activities/sweep-client.ts';
import type { EstimateSlice } from '../workflows/contracts.ts';
import { sweepWorkflowId } from '../workflows/messages.ts';
import { engineQueue } from '../workflows/queues.ts';
import { until } from './support/conditions.ts';
import { fakeEngine } from './support/fake-engine.ts';
import { scriptedPlan } from './support/scripted-plan.ts';
import {
  expectedHashes,
  FAST,
  isAlive,
  type Launched,
  openStack,
  type TestStack,
  temporalTest as test,
} from './support/temporal.ts';

let stack: TestStack;
const aggregated: number[] = [];
let holdAggregation: Promise<void> | null = null;
/** Slices of estimates not yet computed, by sweep. */
const openSlices = new Map<number, EstimateSlice[]>();
let holdEstimates: Promise<void> | null = null;
beforeAll(async () => {
  stack = await openStack('workflows');
  await stack.control({
    summaries: async (_db, sweepNo) => {
      aggregated.push(sweepNo);
      await holdAggregation;
    },
    planEstimates: async (_db, sweepNo) => (openSlices.get(sweepNo) ?? []).slice(0, 2),
    estimate: async (_db, sweepNo, slice) => {
      await holdEstimates;
      const left = openSlices.get(sweepNo)!.filter((open) => open.runs[0] !== slice.runs[0]);
      openSlices.set(sweepNo, left);
    },
  });
  await stack.engines({ slots: 4 });
});
afterAll(async () => {
  await stack?.[Symbol.asyncDispose]();
});

const user = 'test';
const groupsOf = (n: number, script = {}) => Array.from({ length: n }, () => [script]);
const labels = (n: number) => Array.from({ length: n }, (_, i) => `g${i}c0`);

test('a sweep runs every cell once, the canary in a pass of its own, and ends finished and aggregated', async () => {
  const sweep = await stack.launch({ groups: [[{}], [{}, {}], [{}, {}]], canaries: [0] });
  expect(await sweep.result()).toEqual({ open: 0, passes: 2 });
  expect(await sweep.states()).toEqual({ done: 5 });
  expect(await sweep.hashes()).toEqual(expectedHashes(['g0c0', 'g1c0', 'g1c1', 'g2c0', 'g2c1'], 2));
  expect(await sweep.status()).toBe('finished');
  await aggregateSweepNow(stack.client.workflow, sweep.id);
  expect(aggregated).toContain(sweep.sweepNo);
});

test('a shard continues as new before its history grows, and no group is lost or run twice', async () => {
  const sweep = await stack.launch({ groups: groupsOf(40) }, { policy: { ...FAST, historyEvents: 30, sliceSize: 5 } });
  await sweep.result();
  expect(await sweep.hashes()).toEqual(expectedHashes(labels(40), 2));
  expect(await sweep.attempts()).toHaveLength(40);
  const runs = await runsOf(`${sweepWorkflowId(sweep.id)}/shard/0`);
  expect(runs.length).toBeGreaterThan(2);
  // 30 events, then one slice of 5 groups at no more than 12 events each.
  for (const events of runs) expect(events).toBeLessThan(30 + 5 * 12 + 12);
});

test('a paused sweep stands still and goes on where it was, also across continue-as-new', async () => {
  const hold = stack.file('pause');
  const sweep = await stack.launch(
    { groups: [[{ hold }, {}], [{ hold }, {}], ...groupsOf(10)] },
    { policy: { ...FAST, historyEvents: 10, sliceSize: 3 } },
  );
  await until('both groups run', async () => (await sweep.starts()) >= 2);
  await ledger.setSweepStatus(stack.db, { sweepId: sweep.id, status: 'paused', reason: 'lunch', user });
  await nudgeSweep(stack.client.workflow, sweep.id);
  await writeFile(hold, '');
  await until('nothing is leased', async () => !(await sweep.states()).leased);
  const still = await sweep.states();
  expect(still.pending).toBeGreaterThan(0);
  await shardsWait(sweep);
  expect(await sweep.states()).toEqual(still);

  await ledger.setSweepStatus(stack.db, { sweepId: sweep.id, status: 'running', reason: null, user });
  await wakeSweep(stack.client.workflow, sweep.id);
  await sweep.result();
  expect(await sweep.states()).toEqual({ done: 14 });
  expect(await sweep.starts()).toBe(14);
});

test('a cancelled sweep closes after its engines have stopped and leaves nothing leased', async () => {
  const started = stack.file('cancel-pids');
  const never = stack.file('never');
  const sweep = await stack.launch({ groups: groupsOf(6, { hold: never, started }) });
  await until('four cells run', async () => (await pidsIn(started)).length === 4);
  await ledger.setSweepStatus(stack.db, { sweepId: sweep.id, status: 'cancelled', reason: 'enough', user });
  expect(await cancelSweep(stack.client.workflow, sweep.id)).toBe(true);
  await expect(sweep.result()).rejects.toThrow('Workflow execution cancelled');
  const alive = await Promise.all((await pidsIn(started)).map(isAlive));
  expect(alive).toEqual([false, false, false, false]);
  expect(await sweep.states()).toEqual({ pending: 6 });
  expect(await sweep.status()).toBe('cancelled');
  expect((await sweep.attempts()).map((a) => a.outcome)).toEqual(Array(4).fill('cancelled'));
});

test('a second launch attaches to the first one', async () => {
  const hold = stack.file('double');
  const sweep = await stack.launch({ groups: [[{ hold }]] });
  const first = await stack.client.workflow.getHandle(sweepWorkflowId(sweep.id)).describe();
  const again = await stack.launch({ id: sweep.id, groups: [[{ hold }]] });
  const second = await stack.client.workflow.getHandle(sweepWorkflowId(sweep.id)).describe();
  expect(again.sweepNo).toBe(sweep.sweepNo);
  expect(second.runId).toBe(first.runId);
  await writeFile(hold, '');
  await sweep.result();
  expect(await sweep.starts()).toBe(1);
});

test('a used name with another spec is refused with the difference', async () => {
  const sweep = await stack.launch({ groups: [[{}]] });
  await sweep.result();
  const other = scriptedPlan({ id: sweep.id, model: stack.model, groups: [[{}]], prompts: 3 });
  const cell = other.groups[0]!.cells[0]!;
  cell.key = cell.key.replace(/^./, (c) => (c === '0' ? '1' : '0'));
  await expect(ledger.insertPlan(stack.db, other)).rejects.toThrow(/exists with another spec/);
});

test('a queue without a worker is found before a launch', async () => {
  const queues = [engineQueue('cpu'), engineQueue('cuda', 'h100-80')];
  expect(await deadQueues(stack.client.workflow, queues)).toEqual([engineQueue('cuda', 'h100-80')]);
});

test('a canary that fails spares the rest of its engine key, and the sweep says why it stopped', async () => {
  const sweep = await stack.launch({ groups: [[{ do: 'compressor' }], [{}, {}]], canaries: [0] });
  const result = await sweep.result();
  expect(result.open).toBe(2);
  expect(await sweep.states()).toEqual({ failed: 1, pending: 2 });
  expect(await sweep.status()).toBe('stopped');
});

test('too many failures stop the sweep', async () => {
  const sweep = await stack.launch(
    {
      groups: [...groupsOf(3, { do: 'compressor' }), ...groupsOf(30)],
      limits: { maxFailures: { count: 1 } },
    },
    { policy: { ...FAST, sliceSize: 3 } },
  );
  await sweep.result();
  expect(await sweep.status()).toBe('stopped');
  expect((await sweep.states()).pending).toBeGreaterThanOrEqual(20);
});

test('a group that no engine can load fails as a whole; others are not touched', async () => {
  const queue = engineQueue('cpu', 'badload');
  await stack.engines({ queues: [queue], engine: fakeEngine('--on-load', 'compressor') });
  const sweep = await stack.launch({ groups: [[{}, {}]], queue });
  await sweep.result();
  expect(await sweep.states()).toEqual({ failed: 2 });
});

test('failed cells run again on request, while the sweep is long over', async () => {
  const mark = stack.file('retry');
  const sweep = await stack.launch({ groups: [[{ do: 'compressor', times: 1, mark }, {}]] });
  await sweep.result();
  expect(await sweep.states()).toEqual({ done: 1, failed: 1 });
  await ledger.reopenCells(stack.db, { sweepNo: sweep.sweepNo, where: null, user });
  await wakeSweep(stack.client.workflow, sweep.id);
  await sweep.result();
  expect(await sweep.states()).toEqual({ done: 2 });
  expect(await sweep.hashes()).toEqual(expectedHashes(['g0c0', 'g0c1'], 2));
});

test('an aggregation that runs is joined, and looks again for what came meanwhile', async () => {
  const sweep = await stack.launch({ groups: [[{}]] });
  await sweep.result();
  await aggregateSweepNow(stack.client.workflow, sweep.id);
  const count = () => aggregated.filter((n) => n === sweep.sweepNo).length;
  const before = count();
  let release!: () => void;
  holdAggregation = new Promise((resolve) => {
    release = resolve;
  });
  await aggregateInBackground(stack.client.workflow, sweep.id);
  await until('it runs', () => count() === before + 1);
  const joined = aggregateSweepNow(stack.client.workflow, sweep.id);
  await until('the wake has arrived', async () => (await signalsOf(`aggregate/${sweep.id}`)) >= 2);
  release();
  holdAggregation = null;
  await joined;
  expect(count()).toBe(before + 2);
});

test('estimates run behind the aggregation: nobody waits for them, and they hold up no other sweep', async () => {
  const [slow, other] = [await stack.launch({ groups: [[{}]] }), await stack.launch({ groups: [[{}]] })];
  await Promise.all([slow.result(), other.result()]);
  let release!: () => void;
  holdEstimates = new Promise((resolve) => {
    release = resolve;
  });
  openSlices.set(
    slow.sweepNo,
    Array.from({ length: 5 }, (_, i) => ({ stage: 'intervals', runs: [`${slow.sweepNo}/${i}`] })),
  );
  await aggregateSweepNow(stack.client.workflow, slow.id);
  await aggregateSweepNow(stack.client.workflow, other.id);
  expect(openSlices.get(slow.sweepNo)).toHaveLength(5);
  release();
  holdEstimates = null;
  await estimatesEnd(stack.client.workflow, slow.id);
  expect(openSlices.get(slow.sweepNo)).toEqual([]);
});

test('a sweep without open estimates starts none', async () => {
  const sweep = await stack.launch({ groups: [[{}]] });
  await sweep.result();
  await aggregateSweepNow(stack.client.workflow, sweep.id);
  await estimatesEnd(stack.client.workflow, sweep.id);
  await expect(stack.client.workflow.getHandle(`estimates/${sweep.id}`).describe()).rejects.toThrow(/not found/);
});

async function pidsIn(file: string): Promise<number[]> {
  const text = await readFile(file, 'utf8').catch(() => '');
  return text.split('\n').filter(Boolean).map(Number);
}

/** Number of events of each run of a workflow id. */
async function runsOf(workflowId: string): Promise<number[]> {
  const lengths: number[] = [];
  const query = `WorkflowId = '${workflowId}'`;
  await until('the last run is visible as completed', async () => {
    lengths.length = 0;
    let completed = false;
    for await (const run of stack.client.workflow.list({ query })) {
      lengths.push(run.historyLength);
      completed ||= run.status.name === 'COMPLETED';
    }
    return completed;
  });
  return lengths;
}

async function signalsOf(workflowId: string): Promise<number> {
  const { events } = await stack.client.workflow.getHandle(workflowId).fetchHistory();
  return (events ?? []).filter((event) => event.workflowExecutionSignaledEventAttributes).length;
}

/** Waits until no activity of the sweep's shards is pending. */
async function shardsWait(sweep: Launched): Promise<void> {
  await until('the shards wait', async () => {
    const { raw } = await stack.client.workflow.getHandle(`${sweepWorkflowId(sweep.id)}/shard/0`).describe();
    return (raw.pendingActivities ?? []).length === 0;
  });
}
