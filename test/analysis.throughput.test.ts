import { expect, test } from 'vitest';
import { drift, fitSteps, MAX_DRIFT, ownMaximumSpeedUp, rateOf, sameBatchSpeedUp } from '../analysis/throughput.ts';
import { COMPRESSORS, PUBLISHED } from './fixtures/published-throughput.ts';

function decode(compressor: (typeof COMPRESSORS)[number]) {
  const column = 2 + COMPRESSORS.length + COMPRESSORS.indexOf(compressor);
  return PUBLISHED.flatMap((row) => {
    const tokS = row[column];
    return typeof tokS === 'number' ? [{ batch: row[0]!, prompt: row[1]!, tokS }] : [];
  });
}

test('rates come from quantiles of times', () => {
  // times 1, 2, 4 s for 8 tokens: q25 = 1.5, q75 = 3; the mean rate would be 4.67
  const rate = rateOf([4, 1, 2], 8)!;
  expect(rate).toMatchObject({ repeats: 3, medianS: 2, tokS: 4, noisy: true });
  expect(rate.tokSQ25).toBeCloseTo(8 / 3, 12);
  expect(rate.tokSQ75).toBeCloseTo(8 / 1.5, 12);
  expect(rateOf([], 8)).toBeNull();
});

test('a point is noisy above 5 percent spread of its times, not at it', () => {
  expect(rateOf([95, 97.5, 100, 102.5, 105], 1)!.noisy).toBe(false);
  expect(rateOf([94, 97, 100, 103, 106], 1)!.noisy).toBe(true);
});

test('a change of more than 3 percent between start and end of a group is drift', () => {
  expect(drift(100, 104) > MAX_DRIFT).toBe(true);
  expect(drift(100, 98) > MAX_DRIFT).toBe(false);
});

test('the worked example: GEAR-4 at 4000 tokens gains 0.97 at batch 8 and 1.38 at its own maximum', () => {
  const at4000 = (name: 'fp16' | 'gear') => decode(name).filter((point) => point.prompt === 4000);
  const same = sameBatchSpeedUp(at4000('gear'), at4000('fp16'), 8)!;
  expect(same.ratio).toBeCloseTo(0.97, 2);
  const own = ownMaximumSpeedUp(at4000('gear'), at4000('fp16'))!;
  expect(own).toMatchObject({ batch: 16, baseBatch: 8 });
  expect(own.ratio).toBeCloseTo(1.38, 2);
  expect(sameBatchSpeedUp(at4000('gear'), at4000('fp16'), 16)).toBeNull();
});

test.each([
  ['fp16', 23, 32.9, 0.876, 1.81],
  ['kivi', 23, 32.76, 0.826, 2.37],
  ['gear', 24, 32.45, 0.898, 1.55],
  ['stream', 20, 33.79, 0.165, 5.0],
  ['h2o', 24, 34.52, 0.126, 5.06],
] as const)('the published %s runs fit a fixed part and a part per cached token', (name, points, fixed, per, mape) => {
  const used = decode(name).filter((point) => point.batch > 1);
  expect(used).toHaveLength(points);
  const fit = fitSteps(
    used.map((point) => ({
      cachedTokens: point.batch * (point.prompt + 32),
      stepMs: (point.batch / point.tokS) * 1000,
    })),
  )!;
  // the page fitted unrounded rates; the table is rounded to 0.1 token/s, worth up to 0.02 ms here
  expect(Math.abs(fit.fixedMs - fixed)).toBeLessThan(0.02);
  expect(fit.perTokenUs).toBeCloseTo(per, 3);
  expect(fit.leaveOneOutMape * 100).toBeCloseTo(mape, 1);
});

test('two points are no fit', () => {
  expect(
    fitSteps([
      { cachedTokens: 1, stepMs: 1 },
      { cachedTokens: 2, stepMs: 2 },
    ]),
  ).toBeNull();
});
