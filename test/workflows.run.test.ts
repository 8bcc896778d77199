/** Whole sweeps on a real Temporal server and a real Postgres, with the scripted engine. */
import { afterAll, beforeAll, expect } from 'vitest';
import * as ledger from '../activities/ledger.ts';
import { nudgeSweep, wakeSweep } from '../activities/sweep-client.ts';
import { until } from './support/conditions.ts';
import { expectedHashes, FAST, openStack, type TestStack, temporalTest as test } from './support/temporal.ts';

let stack: TestStack;
beforeAll(async () => {
  stack = await openStack('workflows');
  await stack.control();
  await stack.engines({ slots: 2 });
});
afterAll(async () => {
  await stack?.[Symbol.asyncDispose]();
});

test('a sweep runs every cell once and ends finished', async () => {
  const sweep = await stack.launch({ groups: [[{}, {}], [{}], [{}, {}]], canaries: [1] });
  expect(await sweep.result()).toEqual({ open: 0, passes: 2 });
  expect(await sweep.states()).toEqual({ done: 5 });
  expect(await sweep.hashes()).toEqual(expectedHashes(['g0c0', 'g0c1', 'g1c0', 'g2c0', 'g2c1'], 2));
  expect(await sweep.status()).toBe('finished');
});
