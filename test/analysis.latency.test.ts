import { expect, test } from 'vitest';
import {
  breakEvenLength,
  decodeSteps,
  decompose,
  pairTimes,
  sampleTimes,
  summariseLatency,
  timeRatio,
} from '../analysis/latency.ts';
import { kaplanMeier, restrictedMean, survivalAt } from '../analysis/survival.ts';
import { side } from './fixtures/length-pairs.ts';

test('an end id takes a decode step, a stop string and a cut answer do not', () => {
  expect(decodeSteps(10, 2)).toBe(10);
  expect(decodeSteps(10, null)).toBe(9);
  expect(decodeSteps(1, 2)).toBe(1);
  expect(decodeSteps(1, null)).toBe(0);
  expect(decodeSteps(0, 2)).toBe(0);
});

test('time per token is null without a decode step; e2e is the sum of its parts', () => {
  const times = sampleTimes(side(1, 'length', { queueMs: 5, prefillMs: 20, decodeMs: 0 }))!;
  expect(times).toMatchObject({ tpotMs: null, serviceMs: 20, e2eMs: 25 });
  expect(sampleTimes(side(1, 'stop'))).toBeNull();
});

test.each([
  [100, 6.67, 'full gain'],
  [150, 10, 'gain gone'],
  [200, 13.3, 'slower than no compression'],
])('at 1.5x per token an answer of %i tokens takes %f s: %s', (length, seconds) => {
  expect(10 * timeRatio(length / 100, 1, 1.5, 1)).toBeCloseTo(seconds, 1);
});

test('break-even length', () => {
  expect(breakEvenLength(0.9, 1.5, 0.8)).toBeCloseTo(1.4583, 4);
  expect(breakEvenLength(1, 1.5, 1)).toBeCloseTo(1.5, 12);
  expect(timeRatio(breakEvenLength(0.9, 1.5, 0.8), 0.9, 1.5, 0.8)).toBeCloseTo(1, 12);
});

test('the decomposition is exact: tokens 1.33x faster, answers 1.50x longer, requests 1.12x slower', () => {
  const out = decompose({
    prefillBase: 2,
    prefillComp: 2.2,
    decodeBase: 8,
    decodeComp: 9,
    stepsBase: 800,
    stepsComp: 1200,
  });
  expect(out.x).toBeCloseTo(4 / 3, 12);
  expect(out.y).toBe(1.5);
  expect(out.w).toBeCloseTo(0.8, 12);
  expect(out.serviceRatio).toBeCloseTo(1.12, 12);
  expect((out.w * out.y) / out.x + (1 - out.w) * out.prefillRatio).toBeCloseTo(out.serviceRatio, 12);
});

test('a request that is faster per token and done later counts as a paradox', () => {
  const timed = (tokens: number, prefillMs: number, decodeMs: number) => side(tokens, 'stop', { prefillMs, decodeMs });
  const pairs = pairTimes([
    { promptKey: 'a', replicate: 0, base: timed(100, 10, 1000), comp: timed(200, 10, 1500) },
    { promptKey: 'b', replicate: 0, base: timed(100, 10, 1000), comp: timed(100, 10, 800) },
    { promptKey: 'c', replicate: 0, base: timed(100, 10, 1000), comp: timed(100, 10, 1200) },
    { promptKey: 'd', replicate: 0, base: timed(100, 10, 1000), comp: null },
  ]);
  expect(pairs.map((pair) => pair.paradox)).toEqual([true, false, false]);
  const summary = summariseLatency(pairs)!;
  expect(summary.n).toBe(3);
  expect(summary.shareSlower).toBeCloseTo(2 / 3, 12);
  expect(summary.shareParadox).toBeCloseTo(1 / 3, 12);
  expect(summary.ratioP50).toBeCloseTo(1210 / 1010, 12);
  expect(summary.serviceRatio).toBeCloseTo((1510 + 810 + 1210) / 3030, 12);
  expect(summariseLatency([])).toBeNull();
});

// 3, 5+, 5, 8, 10+, 12, 12, 20+ (+ = cut)
const curve = kaplanMeier(
  [
    [3, false],
    [5, true],
    [5, false],
    [8, false],
    [10, true],
    [12, false],
    [12, false],
    [20, true],
  ].map(([length, cut]) => ({ length: length as number, cut: cut as boolean })),
);

test('Kaplan-Meier counts a cut answer as still running at its own length', () => {
  [
    [3, 0.875],
    [5, 0.75],
    [8, 0.6],
    [10, 0.6],
    [12, 0.2],
    [20, 0.2],
  ].forEach(([t, s]) => {
    expect(survivalAt(curve, t!)).toBeCloseTo(s!, 12);
  });
  expect(survivalAt(curve, 2)).toBe(1);
  expect(curve.median).toBe(12);
  expect(restrictedMean(curve, 20)).toBeCloseTo(11, 12);
  expect(restrictedMean(curve, 10)).toBeCloseTo(8.2, 12);
});

test('with one limit for all, the restricted mean is the mean of cut lengths and the median may be beyond it', () => {
  const all = kaplanMeier([3, 10, 10, 10].map((length) => ({ length, cut: length === 10 })));
  expect(all.median).toBeNull();
  expect(restrictedMean(all, 10)).toBeCloseTo(33 / 4, 12);
});
