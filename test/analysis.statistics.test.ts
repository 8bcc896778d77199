import { expect, test } from 'vitest';
import { bootstrap, clustersOf, resample, type Statistic } from '../analysis/bootstrap.ts';
import { type LengthShift, lengthShifts } from '../analysis/length-shift.ts';
import { LENGTH_STATISTICS } from '../analysis/length-statistics.ts';
import { clusterSignTest, holm, lengthRatioTest, signFlip, signTest, wilson } from '../analysis/statistics.ts';
import { PAIRS, side } from './fixtures/length-pairs.ts';

const clusters = clustersOf(lengthShifts(PAIRS).rows.filter((row) => row.d !== null));
const named = (name: string): Statistic<LengthShift> => LENGTH_STATISTICS.find((s) => s.name === name)!;

test.each([
  ['share_longer50', 0.4444, 0.1111, 0.7778, 4],
  ['ratio_of_means', 1.1732709, 0.7254585, 2.50591, 7],
  ['geo_ratio', 1.2081622, 0.7211248, 1.9434743, 7],
] as const)('the bootstrap of %s gives the interval of the page', (name, value, lo, hi, digits) => {
  const interval = bootstrap(clusters, named(name), 42, 1000)!;
  expect(interval.value).toBeCloseTo(value, digits);
  expect(interval.lo).toBeCloseTo(lo, digits);
  expect(interval.hi).toBeCloseTo(hi, digits);
});

test('the first resamples are those of the page', () => {
  const shares = [...resample(clusters, named('share_longer50'), 42, 5)];
  expect(shares.map((v) => Math.round(v * 9))).toEqual([5, 5, 3, 2, 6]);
  const ratios = resample(clusters, named('ratio_of_means'), 42, 2);
  expect(ratios[0]).toBeCloseTo(1.6309524, 7);
  expect(ratios[1]).toBeCloseTo(0.7739507, 7);
});

const grouped = clustersOf(
  lengthShifts(
    (
      [
        ['c', 200, 200],
        ['a', 100, 90],
        ['b', 50, 80],
        ['c', 190, 260],
        ['a', 110, 120],
        ['c', 210, 150],
        ['d', 30, 66],
      ] as const
    ).map(([promptKey, lBase, lComp], replicate) => ({
      promptKey,
      replicate,
      base: side(lBase, 'stop'),
      comp: side(lComp, 'stop'),
    })),
  ).rows,
);

test('replicates of a prompt move together', () => {
  const interval = bootstrap(grouped, named('ratio_of_means'), 7, 1000)!;
  expect(interval.value).toBeCloseTo(1.0853933, 7);
  expect(interval.lo).toBeCloseTo(1.0123457, 7);
  expect(interval.hi).toBeCloseTo(1.8290179, 7);
  const first = resample(grouped, named('ratio_of_means'), 7, 3);
  [1.1452055, 1.0853933, 1.0081301].forEach((expected, i) => {
    expect(first[i]).toBeCloseTo(expected, 7);
  });
});

test('clusters sort by the bytes of their keys, not by UTF-16 units', () => {
  const keys = ['\u{1f600}', '\uff5e', 'a'].map((promptKey) => ({ promptKey }));
  expect(clustersOf(keys).map((rows) => rows[0]!.promptKey)).toEqual(['a', '\uff5e', '\u{1f600}']);
});

test('Wilson intervals', () => {
  const near = (k: number, n: number, lo: number, hi: number) => {
    expect(wilson(k, n).lo).toBeCloseTo(lo, 5);
    expect(wilson(k, n).hi).toBeCloseTo(hi, 5);
  };
  near(3, 20, 0.05237, 0.36042);
  near(0, 50, 0, 0.07135);
});

test('sign tests', () => {
  expect(signTest(12, 3)).toBeCloseTo(0.03515625, 12);
  expect(signTest(8, 2)).toBeCloseTo(0.109375, 12);
  expect(signTest(0, 0)).toBe(1);
  expect(signTest(3, 3)).toBe(1);
  expect(signTest(1500, 1500)).toBe(1);
  // c is 610 against 600: longer; a is level and drops out
  expect(clusterSignTest(grouped)).toBe(signTest(3, 0));
});

test('the sign-flip test of the fixture gives the hits of the page', () => {
  expect(lengthRatioTest(clusters, 42, 1000)).toMatchObject({ hits: 542, p: 543 / 1001 });
  expect(lengthRatioTest(clusters, 42)).toMatchObject({ hits: 5461, p: 0.5462 });
});

test('sign-flip p approaches the exact value over all sign patterns', () => {
  const sums = clusters.map((rows) => rows.reduce((sum, row) => sum + Math.log(row.lComp / row.lBase), 0));
  const observed = Math.abs(sums.reduce((a, b) => a + b));
  let hits = 0;
  for (let mask = 0; mask < 512; mask++) {
    const total = sums.reduce((sum, s, i) => sum + (mask & (1 << i) ? -s : s), 0);
    if (Math.abs(total) >= observed - 1e-9) hits++;
  }
  expect(hits / 512).toBeCloseTo(0.546875, 12);
});

test('an upper test of no difference at all has p = 1', () => {
  expect(signFlip([0, 0, 0], 3, 'any', 'upper', 99)).toMatchObject({ hits: 99, p: 1 });
});

test('Holm steps down and keeps the order given', () => {
  const adjusted = holm([0.01, 0.04, 0.03]);
  [0.03, 0.06, 0.06].forEach((expected, i) => {
    expect(adjusted[i]).toBeCloseTo(expected, 12);
  });
});
