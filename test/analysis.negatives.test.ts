/** Rules, thresholds, the mirror image and the robust form: the examples of the design page, and what must hold of all scores. */
import { describe, expect, test } from 'vitest';
import { addTallies, countsOf, levelOf, packLevels, tallyNegatives } from '../analysis/negative-counts.ts';
import { baseReplicates, greatestScores, robustMask } from '../analysis/negative-replicates.ts';
import {
  COUNTED_RULES,
  dropLevel,
  isEligible,
  isMirrored,
  isNegative,
  isRobustNegative,
  isStable,
  netTest,
  RULE_NAMES,
  replicateScores,
  THETAS,
  thresholdOf,
  thresholdsOf,
} from '../analysis/negatives.ts';
import { SplitMix64 } from '../analysis/random.ts';

describe('thresholds', () => {
  test('of an even number of scores the median is the mean of the two middle ones; the mean is over all', () => {
    expect(thresholdsOf([0.8, 0, 0.2, 0.4])).toEqual({ n: 4, median: 0.30000000000000004, mean: 0.35 });
    expect(thresholdsOf([1, 0, 0.5])).toEqual({ n: 3, median: 0.5, mean: 0.5 });
    expect(thresholdsOf([])).toBeNull();
  });

  test('default, median and artifact take the median, mean takes the mean', () => {
    const thresholds = { median: 0.25, mean: 0.75 };
    expect(RULE_NAMES.map((rule) => [rule, thresholdOf(thresholds, rule)])).toEqual([
      ['default', 0.25],
      ['median', 0.25],
      ['mean', 0.75],
      ['artifact', 0.25],
    ]);
  });

  test('a baseline of 0 is eligible under median where the median is 0, and never under default', () => {
    expect(isEligible(0, 0, 'median')).toBe(true);
    expect(isEligible(0, 0, 'artifact')).toBe(true);
    expect(isEligible(0, 0, 'default')).toBe(false);
    expect(isNegative(0, 0, 0, 0.1, 'median')).toBe(true);
    expect(isNegative(0, 0, 0, 0.1, 'default')).toBe(false);
    // passage_count: 8 of 200 baselines are above 0, so the mean is too
    expect(isNegative(0, 0, 0.0309, 0.1, 'mean')).toBe(false);
  });
});

describe('the comparison', () => {
  test('thetas are percentages over 100 in doubles', () => {
    expect(THETAS).toEqual([0.01, 0.02, 0.04, 0.08, 0.1, 0.16, 0.24, 0.32]);
  });

  test('a fall of exactly theta counts: 1.0 to 0.9 at 10 %, where (b - s) / b >= 0.1 would say no', () => {
    expect(isNegative(1, 0.9, 0.57, 0.1, 'default')).toBe(true);
    expect((1 - 0.9) / 1 >= 0.1).toBe(false);
    expect(isNegative(1, 0.9000000000000001, 0.57, 0.1, 'default')).toBe(false);
  });

  test('mirrored swaps the two runs and keeps the threshold', () => {
    expect(isMirrored(0.3, 0.6, 0.5, 0.1, 'default')).toBe(true);
    expect(isNegative(0.3, 0.6, 0.5, 0.1, 'default')).toBe(false);
    expect(isMirrored(0.3, 0.4, 0.5, 0.1, 'default')).toBe(false);
    expect(isMirrored(0, 0, 0, 0.1, 'default')).toBe(false);
    expect(isMirrored(0, 0, 0, 0.1, 'median')).toBe(true);
  });

  test('negative at theta is negative at every smaller theta, whatever the scores and the rule', () => {
    const random = SplitMix64.fromKey('negatives shrink with theta');
    // few values, so that ties and equal ratios come up often
    const draw = () => random.below(21) / (random.coin() ? 20 : 23);
    let negatives = 0;
    for (let i = 0; i < 20_000; i++) {
      const [base, score, threshold] = [draw(), draw(), draw()];
      const thetas = [...THETAS, random.below(1000) / 1001, random.below(1000) / 1001].sort((a, b) => a - b);
      for (const rule of RULE_NAMES) {
        for (const of of [isNegative, isMirrored]) {
          const said = thetas.map((theta) => of(base, score, threshold, theta, rule));
          negatives += said.filter(Boolean).length;
          expect(said).toEqual([...said].sort((a, b) => Number(b) - Number(a)));
        }
      }
    }
    expect(negatives).toBeGreaterThan(10_000);
  });
});

describe('net', () => {
  test.each([
    [102, 107, -5, 0.78],
    [172, 134, 38, 0.034],
    [130, 79, 51, 0.0005],
  ])('%i negatives against %i mirrored: net %i, p = %f', (negatives, mirrored, net, p) => {
    const found = netTest(negatives, mirrored);
    expect(found.net).toBe(net);
    expect(Number(found.p.toPrecision(p < 0.001 ? 1 : 2))).toBe(p);
  });

  test('nothing against nothing is no evidence', () => {
    expect(netTest(0, 0)).toEqual({ net: 0, p: 1 });
  });
});

describe('the robust form', () => {
  const scores = [0.4, 0.52, 0.48];
  const calm = replicateScores([0.62, 0.6, 0.62], scores)!;

  test('uncompressed .62 .60 .62, compressed .40 .52 .48: robust at 10 %, not at 16 %', () => {
    expect(isStable(calm, 0.1)).toBe(true);
    expect(isRobustNegative(calm, 0.5, 0.1, 'default')).toBe(true);
    expect(isRobustNegative(calm, 0.5, 0.16, 'default')).toBe(false);
  });

  test('uncompressed .62 .50 .62 differ by more than 10 % themselves: unstable, so not', () => {
    const unstable = replicateScores([0.62, 0.5, 0.62], scores)!;
    expect(isStable(unstable, 0.1)).toBe(false);
    expect(isRobustNegative(unstable, 0.5, 0.1, 'default')).toBe(false);
  });

  test('the mean of the uncompressed runs has to reach the threshold', () => {
    expect(isRobustNegative(calm, calm.baseMean, 0.1, 'default')).toBe(true);
    expect(isRobustNegative(calm, calm.baseMean + 1e-9, 0.1, 'default')).toBe(false);
  });

  test('one uncompressed run is no replicate', () => {
    expect(replicateScores([0.62], scores)).toBeNull();
    expect(replicateScores([0.62, 0.6], [])).toBeNull();
  });
});

describe('counts of a whole cell', () => {
  const random = SplitMix64.fromKey('counts of a cell');
  const draw = () => random.below(11) / 10;
  const base = Float64Array.from({ length: 500 }, draw);
  const score = Float64Array.from(base, (b) => (random.below(3) === 0 ? draw() : b));
  const thresholds = thresholdsOf(base)!;
  // a second uncompressed run for most records, and a second compressed one for some
  const records = Int32Array.from(base.keys());
  const rerun = base.map((b) => (random.below(4) === 0 ? draw() : b));
  const twice = records.filter((i) => i % 5 !== 0);
  const twins = records.filter((i) => i % 2 === 0);
  const twin = score.map((s) => (random.below(4) === 0 ? draw() : s));
  const runs = baseReplicates([
    { records, scores: base },
    { records: twice, scores: Float64Array.from(twice, (i) => rerun[i]!) },
  ])!;
  const most = greatestScores([
    { records, scores: score },
    { records: twins, scores: Float64Array.from(twins, (i) => twin[i]!) },
  ]);
  const replicates = Array.from(base, (b, i) =>
    replicateScores(i % 5 === 0 ? [b] : [b, rerun[i]!], i % 2 === 0 ? [score[i]!, twin[i]!] : [score[i]!]),
  );
  const group = Int16Array.from(base, (_, i) => (i % 3) - 1);
  const tallies = tallyNegatives({
    base,
    score,
    levels: packLevels(base, score, thresholds),
    thresholds,
    replicates: {
      stable: Uint8Array.from(records, (i) => runs.stable[i]!),
      robust: Int32Array.from(records, (i) => robustMask(runs, i, most[i]!)),
    },
    group,
    groups: 2,
  });
  const all = Array.from(base.keys());

  test('thresholds of the robust form are over the mean scores of the records that have two runs', () => {
    expect(runs.thresholds).toEqual(thresholdsOf(replicates.flatMap((r) => (r ? [r.baseMean] : []))));
  });

  test.each([
    ['all pairs', [0, 1, 2], all],
    ['one group', [1], all.filter((i) => i % 3 === 2)],
    ['the pairs of no group', [2], all.filter((i) => i % 3 === 0)],
  ])('%s: the sums are those of the definitions, for every rule and theta', (_, which, of) => {
    const found = countsOf(addTallies(which.map((t) => tallies[t]!)));
    expect(found.n).toBe(of.length);
    COUNTED_RULES.forEach((rule, r) => {
      const threshold = thresholdOf(thresholds, rule);
      const robustThreshold = thresholdOf(runs.thresholds, rule);
      const count = (test: (i: number) => boolean) => of.filter(test).length;
      expect(found.eligible[r]).toBe(count((i) => isEligible(base[i]!, threshold, rule)));
      THETAS.forEach((theta, t) => {
        const at = THETAS.length * r + t;
        const negatives = of.filter((i) => isNegative(base[i]!, score[i]!, threshold, theta, rule));
        expect(found.negatives[at]).toBe(negatives.length);
        expect(found.mirrored[at]).toBe(count((i) => isMirrored(base[i]!, score[i]!, threshold, theta, rule)));
        expect(found.robust![at]).toBe(
          count((i) => replicates[i] !== null && isRobustNegative(replicates[i]!, robustThreshold, theta, rule)),
        );
        expect(found.stable![at]).toBe(
          count(
            (i) => replicates[i] !== null && isEligible(base[i]!, threshold, rule) && isStable(replicates[i]!, theta),
          ),
        );
        const mean = (column: Float64Array) => negatives.reduce((sum, i) => sum + column[i]!, 0) / negatives.length;
        expect(found.meanBase[at]).toBeCloseTo(mean(base), 12);
        expect(found.meanScore[at]).toBeCloseTo(mean(score), 12);
        expect(found.p[at]).toBe(netTest(found.negatives[at]!, found.mirrored[at]!).p);
      });
    });
  });

  test('levels count thetas: 0 = no fall, 8 = at all of them', () => {
    const levels = [
      [1, 1],
      [1, 0.99],
      [1, 0.9],
      [1, 0],
      [0, 0.5],
    ].map(([from, to]) => dropLevel(from!, to!));
    expect(levels).toEqual([0, 1, 5, 8, 0]);
    const [packed] = packLevels(Float64Array.of(1), Float64Array.of(0.9), { n: 1, median: 0.5, mean: 0.95 });
    expect([levelOf(packed!, 'default', 'negative'), levelOf(packed!, 'mean', 'negative')]).toEqual([5, 5]);
    expect([levelOf(packed!, 'default', 'mirrored'), levelOf(packed!, 'mean', 'mirrored')]).toEqual([0, 0]);
  });
});
