/** A small form of `tools/scale.ts`: many cells, bounded histories, one row each. */
import { afterAll, beforeAll, expect } from 'vitest';
import { sweepWorkflowId } from '../workflows/messages.ts';
import { openStack, type TestStack, temporalTest as test } from './support/temporal.ts';

let stack: TestStack;
beforeAll(async () => {
  stack = await openStack('scale');
  await stack.control();
  await stack.engines({ slots: 2 });
});
afterAll(async () => {
  await stack?.[Symbol.asyncDispose]();
});

test('1,000 cells in groups of 20 are done once each, at no more than 12 events a group', async () => {
  const groups = Array.from({ length: 50 }, () => Array.from({ length: 20 }, () => ({})));
  const sweep = await stack.launch({ groups, prompts: 1 }, {});
  await sweep.result(100_000);
  expect(await sweep.states()).toEqual({ done: 1_000 });
  expect(Object.keys(await sweep.hashes())).toHaveLength(1_000);
  expect(await sweep.starts()).toBe(1_000);
  const shard = await stack.client.workflow.getHandle(`${sweepWorkflowId(sweep.id)}/shard/0`).describe();
  expect(shard.historyLength).toBeLessThan(50 * 12 + 20);
}, 120_000);
