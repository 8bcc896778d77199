import { expect, test } from 'vitest';
import { median, quantile, standardDeviation } from '../analysis/quantiles.ts';
import { SplitMix64 } from '../analysis/random.ts';

test('SplitMix64 from state 0 gives the published sequence', () => {
  const random = new SplitMix64(0n);
  expect([random.next(), random.next(), random.next()].map((v) => v.toString(16))).toEqual([
    'e220a8397b1dcdaf',
    '6e789e6aa1b965f4',
    '6c45d188009454f',
  ]);
});

test('a key seeds the generator by the first 8 bytes of its sha256', () => {
  expect(SplitMix64.fromKey('abc').state.toString(16)).toBe('eacf018fbf1678ba');
});

test('below(10) under key abc draws 9 3 1 7 4 2 4 0', () => {
  const random = SplitMix64.fromKey('abc');
  expect(Array.from({ length: 8 }, () => random.below(10))).toEqual([9, 3, 1, 7, 4, 2, 4, 0]);
});

test('shuffle under key abc gives the design page order', () => {
  expect(SplitMix64.fromKey('abc').shuffle([0, 1, 2, 3, 4, 5, 6, 7])).toEqual([4, 6, 5, 1, 3, 0, 2, 7]);
});

test('the two-halves arithmetic equals 64-bit arithmetic over 2,000 steps from wild states', () => {
  const mask = (1n << 64n) - 1n;
  let state = 0xfedcba9876543210n;
  const random = new SplitMix64(state);
  for (let i = 0; i < 2000; i++) {
    state = (state + 0x9e3779b97f4a7c15n) & mask;
    let z = state;
    z = ((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n) & mask;
    z = ((z ^ (z >> 27n)) * 0x94d049bb133111ebn) & mask;
    expect(random.next()).toBe(z ^ (z >> 31n));
  }
});

test('below stays exact for bounds near 2^32', () => {
  const bounds = [4294967295, 4294967291, 2147483648, 3000000019, 1];
  for (const n of bounds) {
    const [a, b] = [SplitMix64.fromKey(`below ${n}`), SplitMix64.fromKey(`below ${n}`)];
    for (let i = 0; i < 200; i++) expect(BigInt(a.below(n))).toBe(((b.next() >> 32n) * BigInt(n)) >> 32n);
  }
});

test('quantiles are of type 7', () => {
  const values = [103.0, 98.9, 100.5, 99.8, 101.2];
  expect([0.25, 0.5, 0.75].map((q) => quantile(values, q))).toEqual([99.8, 100.5, 101.2]);
  expect(quantile([1, 2], 1)).toBe(2);
  expect(quantile([], 0.5)).toBeNull();
  expect(median([10, 9])).toBe(9.5);
});

test('quantiles sort by number, not by text', () => {
  expect(quantile([10, 9, 100], 0.5)).toBe(10);
});

test('the standard deviation divides by n - 1', () => {
  expect(standardDeviation([100, 104, 98, 102, 101])).toBeCloseTo(2.236068, 6);
  expect(standardDeviation([1])).toBeNull();
});
