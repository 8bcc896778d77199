/**
 * Histories of released shapes replay on today's workflow code: what runs on a server survives an upgrade. A change
 * that breaks one needs `patched()`, not another recording. Record new shapes with
 * `RECORD_HISTORIES=1 npx vitest run test/replay.histories.test.ts`.
 */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { Worker, type WorkflowBundlePath } from '@temporalio/worker';
import { beforeAll, describe, expect, test } from 'vitest';
import * as ledger from '../activities/ledger.ts';
import { cancelSweep, estimatesEnd, nudgeSweep, wakeSweep } from '../activities/sweep-client.ts';
import { workflowBundle } from '../workers/bundle.ts';
import type { EstimateSlice } from '../workflows/contracts.ts';
import { sweepWorkflowId } from '../workflows/messages.ts';
import { until } from './support/conditions.ts';
import { FAST, openStack, type TestStack } from './support/temporal.ts';

const FOLDER = fileURLToPath(new URL('./fixtures/histories/', import.meta.url));
const CACHE = fileURLToPath(new URL('../.kvsweep/test', import.meta.url));
const NAMES = (await readdir(FOLDER)).filter((name) => name.endsWith('.json')).sort();

interface Recorded {
  events: { workflowExecutionStartedEventAttributes?: { workflowId: string } }[];
}
/** Ids of children follow from it, so a replay under another id would differ. */
const idOf = (history: Recorded) => history.events[0]!.workflowExecutionStartedEventAttributes!.workflowId;

let bundle: WorkflowBundlePath;
beforeAll(async () => {
  bundle = await workflowBundle(CACHE);
});

describe('a committed history replays', () => {
  test.each(NAMES)('%s', async (name) => {
    const history = JSON.parse(await readFile(join(FOLDER, name), 'utf8')) as Recorded;
    await Worker.runReplayHistory({ workflowBundle: bundle }, history, idOf(history));
  });
});

test('all released shapes are there', () => {
  const shapes = ['aggregate', 'cancelled', 'continued', 'estimates', 'failed-group', 'paused', 'plain'];
  for (const shape of shapes) expect(NAMES.some((name) => name.startsWith(`${shape}.`))).toBe(true);
});

test('a changed activity name is noticed', async () => {
  const text = await readFile(join(FOLDER, 'plain.shard.json'), 'utf8');
  const history = JSON.parse(text.replaceAll('"nextGroups"', '"followingGroups"')) as Recorded;
  const replay = Worker.runReplayHistory({ workflowBundle: bundle }, history, idOf(history));
  await expect(replay).rejects.toThrow(/TMPRL1100|[Nn]ondeterminism/);
});

test('one protobufjs serves all: with two, no history replays from JSON', () => {
  const require = createRequire(import.meta.url);
  const own = require.resolve('protobufjs');
  for (const part of ['proto', 'common', 'worker', 'client']) {
    const from = createRequire(require.resolve(`@temporalio/${part}`));
    expect(from.resolve('protobufjs')).toBe(own);
  }
  expect((require('protobufjs/package.json') as { version: string }).version).toBe('8.8.1');
});

test.runIf(process.env.RECORD_HISTORIES === '1')(
  'records a history of each shape',
  async () => {
    await using stack = await openStack('record');
    let slices: EstimateSlice[] = [1, 2].map((n) => ({ stage: 'intervals', runs: [`1/${n}`] }));
    await stack.control({
      planEstimates: async () => slices,
      estimate: async (_db, _sweepNo, done) => {
        slices = slices.filter((slice) => slice.runs[0] !== done.runs[0]);
      },
    });
    await stack.engines({ slots: 2 });
    const shard = (id: string) => `${sweepWorkflowId(id)}/shard/0`;

    const plain = await stack.launch({ groups: [[{}], [{}, {}], [{}]], canaries: [0] });
    await plain.result();
    await record(stack, sweepWorkflowId(plain.id), 'plain.sweep');
    await record(stack, shard(plain.id), 'plain.shard');
    await stack.client.workflow.getHandle(`aggregate/${plain.id}`).result();
    await record(stack, `aggregate/${plain.id}`, 'aggregate.sweep');
    await estimatesEnd(stack.client.workflow, plain.id);
    await record(stack, `estimates/${plain.id}`, 'estimates.sweep');

    const continued = await stack.launch(
      { groups: Array.from({ length: 12 }, () => [{}]) },
      { policy: { ...FAST, historyEvents: 20, sliceSize: 4 } },
    );
    const firstRun = await until('the shard runs', async () => {
      const run = await stack.client.workflow.getHandle(shard(continued.id)).describe();
      return run.runId;
    });
    await continued.result();
    await record(stack, shard(continued.id), 'continued.shard', firstRun);

    const hold = stack.file('hold');
    const paused = await stack.launch({ groups: [[{ hold }, {}], [{}], [{}]] });
    await until('a cell runs', async () => (await paused.starts()) > 0);
    const change = { sweepId: paused.id, reason: null, user: 'test' };
    await ledger.setSweepStatus(stack.db, { ...change, status: 'paused' });
    await nudgeSweep(stack.client.workflow, paused.id);
    await writeFile(hold, '');
    await until('nothing runs', async () => !(await paused.states()).leased);
    await until('the shard waits', async () => {
      const { raw } = await stack.client.workflow.getHandle(shard(paused.id)).describe();
      return (raw.pendingActivities ?? []).length === 0;
    });
    await ledger.setSweepStatus(stack.db, { ...change, status: 'running' });
    await wakeSweep(stack.client.workflow, paused.id);
    await paused.result();
    await record(stack, sweepWorkflowId(paused.id), 'paused.sweep');
    await record(stack, shard(paused.id), 'paused.shard');

    const cancelled = await stack.launch({ groups: [[{ hold: stack.file('never') }], [{}]] });
    await until('a cell runs', async () => (await cancelled.starts()) > 0);
    await cancelSweep(stack.client.workflow, cancelled.id);
    await expect(cancelled.result()).rejects.toThrow();
    await record(stack, sweepWorkflowId(cancelled.id), 'cancelled.sweep');
    await record(stack, shard(cancelled.id), 'cancelled.shard');

    const missing = { name: 'absent', path: '/nowhere/absent.gguf', sha256: 'ab'.repeat(32) };
    const failed = await stack.launch({ groups: [[{}], [{}]], model: missing });
    await failed.result();
    await record(stack, shard(failed.id), 'failed-group.shard');
  },
  120_000,
);

/** As JSON that replays; stacks and names of this machine are not part of a shape. */
async function record(stack: TestStack, workflowId: string, name: string, runId?: string): Promise<void> {
  const history = await stack.client.workflow.getHandle(workflowId, runId).fetchHistory();
  const text = JSON.stringify(
    JSON.parse(historyToJSON(history)),
    (key, value: unknown) => (key === 'stackTrace' ? '' : key === 'identity' ? 'worker' : value),
    1,
  );
  await writeFile(join(FOLDER, `${name}.json`), `${text}\n`);
}
