import { expect, test } from 'vitest';
import { artifactForm, roundHalfEven } from '../analysis/artifact-form.ts';
import { densityAt, histogramBin, lengthDensity, lengthHistogram, UNDERFLOW } from '../analysis/histogram.ts';
import { lengthShifts } from '../analysis/length-shift.ts';
import { D_QUANTILES, summariseLengths } from '../analysis/length-summary.ts';
import { PAIRS, side } from './fixtures/length-pairs.ts';

const NONE = Number.NEGATIVE_INFINITY;
const { rows } = lengthShifts(PAIRS);
const summary = summariseLengths(rows);

test('each pair of the fixture has its D', () => {
  const expected = [0, -0.5, -1, 0.75, -0.125, -2.4133333333333336, 0.4140625, 0, null, -2.25];
  rows.forEach((row, i) => {
    if (expected[i] === null) expect(row.d).toBeNull();
    else expect(row.d).toBeCloseTo(expected[i]!, 12);
  });
});

test('a cut answer opens the side of the interval that its true length may lie on', () => {
  const d = rows.map((row) => row.d);
  expect(rows.map((row) => [row.dLo, row.dHi])).toEqual([
    [0, 0],
    [-0.5, -0.5],
    [-1, -1],
    [0.75, 0.75],
    [-0.125, -0.125],
    [NONE, d[5]],
    [0.4140625, 1],
    [NONE, 1],
    [null, null],
    [-2.25, -2.25],
  ]);
  expect(rows.map((row) => row.censor).slice(5, 8)).toEqual(['comp', 'base', 'both']);
});

test('shares, bounds, quantiles and ratios of the fixture', () => {
  expect(summary).toMatchObject({ n: 9, nUndefined: 1 });
  expect(summary.gt50!.value).toBeCloseTo(4 / 9, 15);
  expect(summary.longer50).toEqual({ value: 4 / 9, lo: 4 / 9, hi: 5 / 9 });
  expect(summary.shorter50!.value).toBeCloseTo(1 / 9, 15);
  // by hand: [.4140625, 1) and (-inf, 1) may still hold a D beyond either limit
  expect(summary.gt50).toEqual({ value: 4 / 9, lo: 4 / 9, hi: 6 / 9 });
  expect(summary.shorter50).toEqual({ value: 1 / 9, lo: 1 / 9, hi: 3 / 9 });
  const at = (q: (typeof D_QUANTILES)[number]) => summary.quantiles[D_QUANTILES.indexOf(q)]!;
  [-2.348, -1, -0.125, 0, 0.615625].forEach((expected, i) => {
    expect(at(([0.05, 0.25, 0.5, 0.75, 0.95] as const)[i]!)).toBeCloseTo(expected, 12);
  });
  expect(summary.ratioOfMeans).toBeCloseTo(3257 / 2776, 12);
  expect(summary.ratioOfMeans).toBeCloseTo(1.1732709, 7);
  expect(summary.geoRatio).toBeCloseTo(1.2081622, 7);
  expect(summary.meanOfRatios).toBeCloseTo(1.5693634, 7);
  expect(summary.medianRatio).toBeCloseTo(1.125, 12);
  expect(summary.censoredBase).toBeCloseTo(2 / 9, 15);
  expect(summary.censoredComp).toBeCloseTo(2 / 9, 15);
});

test('histogram bins of the fixture are exact, also on an edge', () => {
  const bins = rows.filter((row) => row.lBase > 0).map((row) => histogramBin(row.lBase, row.lComp));
  expect(bins).toEqual([40, 30, 20, 55, 37, UNDERFLOW, 48, 40, UNDERFLOW]);
  expect(histogramBin(100, 0)).toBe(59);
  // D = -0.15 exactly: in doubles 20 * -0.15 / 1 may fall below -3
  expect(histogramBin(20, 23)).toBe(37);
  expect(histogramBin(10, 30)).toBe(0);
  const counts = lengthHistogram(rows);
  expect(counts.reduce((a, b) => a + b)).toBe(9);
  expect(counts[UNDERFLOW]).toBe(2);
});

test('the density of the example has its bandwidth and values', () => {
  const values = [-1, -0.5, 0, 0, 0.25];
  const density = lengthDensity(values)!;
  expect(density.bandwidth).toBeCloseTo(0.36239, 5);
  const at = (x: number) => densityAt(values, density.bandwidth, x);
  expect(at(-0.5)).toBeCloseTo(0.50102, 5);
  expect(at(0)).toBeCloseTo(0.70378, 5);
  expect(at(0.5)).toBeCloseTo(0.34847, 5);
  expect(density.points).toHaveLength(201);
  expect(density.points[150]).toEqual({ d: 0, density: at(0) });
  expect([density.points[0]!.d, density.points[200]!.d]).toEqual([-3, 1]);
});

test('a density needs five values and some spread', () => {
  expect(lengthDensity([0, 0.1, 0.2, 0.3])).toBeNull();
  expect(lengthDensity([0.5, 0.5, 0.5, 0.5, 0.5])).toBeNull();
});

test('the artifact form rounds half to even and drops what is beyond 200 percent', () => {
  const form = artifactForm(rows.flatMap((row) => row.d ?? []));
  expect(form.values).toEqual([0, -50, -100, 75, -12, 41, 0]);
  expect(form.dropped).toBe(2);
  expect(form.bins).toHaveLength(20);
  expect(form.bins.reduce((sum, bin) => sum + bin.density * (bin.end - bin.start), 0)).toBeCloseTo(1, 12);
  expect([0.5, 1.5, 2.5, -0.5, -1.5, -12.5].map(roundHalfEven)).toEqual([0, 2, 2, 0, -2, -12]);
});

test('missing, failed and mismatched sides leave no row and are counted', () => {
  const out = lengthShifts([
    { promptKey: 'a', replicate: 0, base: side(5, 'stop'), comp: null },
    { promptKey: 'b', replicate: 0, base: side(5, 'error'), comp: side(5, 'stop') },
    {
      promptKey: 'c',
      replicate: 0,
      base: side(5, 'stop', { promptSha: 'x' }),
      comp: side(5, 'stop', { promptSha: 'y' }),
    },
    { promptKey: 'd', replicate: 0, base: side(5, 'stop', { promptSha: 'x' }), comp: side(5, 'stop') },
  ]);
  expect(out).toMatchObject({ nMissing: 2, nMismatch: 1 });
  expect(out.rows.map((row) => row.promptKey)).toEqual(['d']);
});

test('an answer of no tokens has D = 1, a baseline of none has no D', () => {
  const out = lengthShifts([
    { promptKey: 'a', replicate: 0, base: side(7, 'stop'), comp: side(0, 'stop') },
    { promptKey: 'b', replicate: 0, base: side(0, 'stop'), comp: side(3, 'stop') },
  ]);
  expect(out.rows.map((row) => row.d)).toEqual([1, null]);
});

test('token ids tell a missed stop from a changed answer', () => {
  const ids = (tokens: number[], finish: 'stop' | 'length' = 'stop') =>
    side(tokens.length, finish, { tokenIds: tokens, tokensSha: tokens.join() });
  const pair = (base: ReturnType<typeof side>, comp: ReturnType<typeof side>) => ({
    promptKey: 'p',
    replicate: 0,
    base,
    comp,
  });
  const out = lengthShifts([
    pair(ids([1, 2, 3]), ids([1, 2, 3, 4, 5])),
    pair(ids([1, 2, 3]), ids([1, 2])),
    pair(ids([1, 2, 3]), ids([1, 9, 3])),
    pair(ids([1, 2, 3]), ids([1, 2, 3])),
    pair(ids([1, 2, 3], 'length'), ids([1, 2, 3, 4])),
  ]).rows;
  expect(out.map((row) => row.firstDiff)).toEqual([3, 2, 1, null, 3]);
  expect(out.map((row) => row.stopMissed)).toEqual([true, false, false, false, false]);
  expect(out.map((row) => row.stopEarly)).toEqual([false, true, false, false, false]);
  expect(out.map((row) => row.same)).toEqual([false, false, false, true, false]);
});
