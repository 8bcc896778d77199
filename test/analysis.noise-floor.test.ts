import { expect, test } from 'vitest';
import { bootstrap, clustersOf } from '../analysis/bootstrap.ts';
import { type LengthShift, lengthShifts } from '../analysis/length-shift.ts';
import { LENGTH_STATISTICS } from '../analysis/length-statistics.ts';
import { excess, excessTest, floorOf, noiseD95, noisePairs } from '../analysis/noise-floor.ts';
import { SplitMix64 } from '../analysis/random.ts';
import { side } from './fixtures/length-pairs.ts';

function shifts(lengths: [key: string, lBase: number, lComp: number][]): LengthShift[] {
  return lengthShifts(
    lengths.map(([promptKey, b, c]) => ({ promptKey, replicate: 0, base: side(b, 'stop'), comp: side(c, 'stop') })),
  ).rows;
}

test('the floor is a seed or batch cell; a rerun is never one', () => {
  const cells = [
    { kind: 'rerun', no: 0 },
    { kind: 'batch', no: 1 },
    { kind: 'batch', no: 0 },
  ];
  expect(floorOf(cells)).toBe(cells[2]);
  expect(floorOf([{ kind: 'rerun', no: 0 }])).toBeNull();
  expect(floorOf([])).toBeNull();
});

test('excess compares the prompts that both sides answered', () => {
  const comp = shifts([
    ['a', 100, 200],
    ['b', 100, 160],
    ['c', 100, 100],
    ['only here', 100, 900],
  ]);
  const noise = shifts([
    ['a', 100, 150],
    ['b', 100, 100],
    ['c', 100, 100],
  ]);
  expect(noisePairs(comp, noise)).toHaveLength(3);
  const result = excess(comp, noise, 'longer50', 42, 500)!;
  expect(result.value).toBeCloseTo(1 / 3, 12);
  expect(result.noiseShare).toBeCloseTo(1 / 3, 12);
  expect(result.nClusters).toBe(3);
  // only b differs: a flip of its sign decides, so about half of all flips reach the statistic
  expect(result.p).toBeGreaterThan(0.45);
  expect(result.p).toBeLessThan(0.55);
  expect(noiseD95(noise)).toBeCloseTo(0.45, 12);
});

test('no common prompt, no excess', () => {
  expect(excess(shifts([['a', 1, 2]]), shifts([['b', 1, 2]]), 'gt50', 42, 10)).toBeNull();
});

/** Lengths with a prompt effect and heavy tails, as answers have. */
function lengthOf(random: SplitMix64, scale: number): number {
  const u = (random.below(1_000_000) + 0.5) / 1_000_000;
  return Math.max(1, Math.round(scale * Math.exp(0.6 * Math.log(u / (1 - u)))));
}

test('exchangeable outputs pass the noise-floor test at 5 percent in at most 5 percent of studies', () => {
  const random = SplitMix64.fromKey('simulation of the noise floor');
  const studies = 600;
  let rejected = 0;
  for (let study = 0; study < studies; study++) {
    const comp: [string, number, number][] = [];
    const noise: [string, number, number][] = [];
    for (let prompt = 0; prompt < 30; prompt++) {
      const scale = 50 + random.below(300);
      const base = lengthOf(random, scale);
      comp.push([`${prompt}`, base, lengthOf(random, scale)]);
      noise.push([`${prompt}`, base, lengthOf(random, scale)]);
    }
    const clusters = clustersOf(noisePairs(shifts(comp), shifts(noise)));
    if (excessTest(clusters, 'longer50', study, 199).p <= 0.05) rejected++;
  }
  // 600 studies at a true rate of 0.05: three standard errors are 0.027
  expect(rejected / studies).toBeLessThanOrEqual(0.05 + 0.027);
});

test('a real effect is found', () => {
  const random = SplitMix64.fromKey('power');
  const lengths = Array.from({ length: 40 }, (_, i) => [`${i}`, 60 + random.below(100)] as const);
  const comp = shifts(lengths.map(([key, l], i) => [key, l, i % 2 ? 2 * l : l]));
  const noise = shifts(lengths.map(([key, l], i) => [key, l, i % 10 ? l : 2 * l]));
  expect(excess(comp, noise, 'longer50', 42, 100)!.p).toBeLessThan(0.01);
});

test('95 percent intervals of a length ratio cover it in about 95 percent of studies', () => {
  const random = SplitMix64.fromKey('simulation of coverage');
  const statistic = LENGTH_STATISTICS.find((s) => s.name === 'geo_ratio')!;
  const studies = 400;
  let covered = 0;
  for (let study = 0; study < studies; study++) {
    const rows = shifts(
      Array.from({ length: 60 }, (_, i): [string, number, number] => {
        const scale = 2000 + random.below(4000); // long, so that rounding to whole tokens moves nothing
        return [`${i}`, lengthOf(random, scale), lengthOf(random, 1.2 * scale)];
      }),
    );
    const interval = bootstrap(clustersOf(rows), statistic, study, 300)!;
    if (interval.lo <= 1.2 && 1.2 <= interval.hi) covered++;
  }
  // a percentile bootstrap of 60 clusters is a little short of 95 %; three standard errors of 400 studies are 0.033
  expect(covered / studies).toBeGreaterThan(0.905);
  expect(covered / studies).toBeLessThan(0.985);
});
