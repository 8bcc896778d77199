import { expect, test } from 'vitest';
import { pairTimes } from '../analysis/latency.ts';
import { lengthShifts } from '../analysis/length-shift.ts';
import { bucketBounds, bucketOf, bucketQuantile, merge, summarise } from '../analysis/summaries.ts';
import { PAIRS } from './fixtures/length-pairs.ts';

const timed = PAIRS.map((pair, i) => ({
  ...pair,
  base: { ...pair.base!, prefillMs: 10 + i, decodeMs: 100 + i },
  comp: { ...pair.comp!, prefillMs: 12 + i, decodeMs: 90 + 3 * i },
}));
const summaryOf = (pairs: typeof timed) => summarise(lengthShifts(pairs), pairTimes(pairs));

test('a merged summary equals the summary of all pairs, wherever they are split', () => {
  const whole = summaryOf(timed);
  for (let cut = 0; cut <= timed.length; cut++) {
    const merged = merge(summaryOf(timed.slice(0, cut)), summaryOf(timed.slice(cut)));
    expect(merged.sumLogRatio).toBeCloseTo(whole.sumLogRatio, 12);
    expect({ ...merged, sumLogRatio: 0 }).toEqual({ ...whole, sumLogRatio: 0 });
  }
});

test('a summary counts the fixture as the page does', () => {
  expect(summaryOf(timed)).toMatchObject({
    n: 9,
    nUndefined: 1,
    gt50: 4,
    longer50: 4,
    longer50Certain: 4,
    longer50Possible: 5,
    shorter50: 1,
    sumBase: 2776,
    sumComp: 3257,
    nTimed: 10,
  });
});

test.each([
  [0, 0],
  [1, 8],
  [3, 16],
  [7, 24],
  [10, 27],
  [100, 53],
  [1000, 79],
])('value %i falls into bucket %i', (value, bucket) => {
  expect(bucketOf(value)).toBe(bucket);
  const [lo, hi] = bucketBounds(bucket);
  expect(value).toBeGreaterThanOrEqual(lo);
  expect(value).toBeLessThan(hi);
});

test('every power of two minus one opens its own bucket', () => {
  for (let k = 0; k < 40; k++) expect(bucketOf(2 ** k - 1)).toBe(8 * k);
});

test('a quantile from buckets is within 9 percent', () => {
  const buckets: Record<string, number> = {};
  for (let v = 100; v < 1100; v++) buckets[bucketOf(v)] = (buckets[bucketOf(v)] ?? 0) + 1;
  expect(Math.abs(bucketQuantile(buckets, 0.5)! / 599.5 - 1)).toBeLessThan(0.09);
  expect(bucketQuantile({}, 0.5)).toBeNull();
});
