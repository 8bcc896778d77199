/** The small form of `npm run simulate`: the same code on fewer studies, with bounds that chance explains. */
import { expect, test } from 'vitest';
import { coverage, falsePositives } from '../tools/simulation/coverage.ts';
import { EXCHANGEABLE, LENGTHENED, RARE } from '../tools/simulation/population.ts';
import { trueValues } from '../tools/simulation/truth.ts';

/** Largest count that n draws of probability p pass with a chance below `chance`. */
function binomialUpper(n: number, p: number, chance: number): number {
  let term = (1 - p) ** n;
  let below = term;
  let k = 0;
  while (1 - below > chance) {
    term *= ((n - k) / (k + 1)) * (p / (1 - p));
    k++;
    below += term;
  }
  return k;
}

test('the bound of a count is the quantile of the binomial law', () => {
  // by Python's exact sums of comb(n, k) * p**k * (1-p)**(n-k): 21 and 15
  expect(binomialUpper(150, 0.07, 1e-3)).toBe(21);
  expect(binomialUpper(20, 0.5, 1e-2)).toBe(15);
});

test('intervals of every statistic hold the truth of a clustered, heavy-tailed, cut population', {
  timeout: 300_000,
}, () => {
  const studies = 100;
  const truth = trueValues(LENGTHENED, 60_000);
  const rows = coverage(LENGTHENED, truth, { prompts: 100, studies, resamples: 300, key: 'test', noise: false });
  expect(rows.map((row) => row.statistic)).toEqual([
    'share_gt50',
    'share_longer50',
    'share_shorter50',
    'share_same',
    'ratio_of_means',
    'geo_ratio',
    'x_tokens_faster',
    'y_answers_longer',
    'service_ratio',
  ]);
  for (const row of rows) {
    // The claim is a miss in at most 7 % of studies; more than the bound happens once in 10,000 runs of such a claim.
    expect(row.studies - row.held, row.statistic).toBeLessThanOrEqual(binomialUpper(studies, 0.07, 1e-4));
  }
  // Intervals that hold everything would pass the above: over all statistics some must miss, and widths must be of use.
  expect(rows.reduce((sum, row) => sum + row.studies - row.held, 0)).toBeGreaterThan(9);
  expect(rows.find((row) => row.statistic === 'share_longer50')!.width).toBeLessThan(0.12);
});

test('an interval for another truth is found out', () => {
  const truth = trueValues(LENGTHENED, 20_000);
  const wrong = { geo_ratio: truth.geo_ratio! * 1.04 };
  const [row] = coverage(LENGTHENED, wrong, { prompts: 100, studies: 60, resamples: 200, key: 'wrong', noise: false });
  expect(row!.studies - row!.held).toBeGreaterThan(binomialUpper(60, 0.07, 1e-4));
});

test('the noise-floor test and the sign flip keep their level where answers are exchangeable', {
  timeout: 300_000,
}, () => {
  const studies = 300;
  const rates = falsePositives(EXCHANGEABLE, { prompts: 60, studies, flips: 199, key: 'test' });
  expect(rates).toHaveLength(4);
  for (const { test: name, rejected } of rates) {
    expect(rejected, name).toBeLessThanOrEqual(binomialUpper(studies, 0.05, 1e-4));
  }
  // two-sided and continuous: a level far below 5 % would be a fault too
  expect(rates.find((row) => row.test.startsWith('sign flip'))!.rejected).toBeGreaterThan(3);
});

test("where no event was seen, Wilson's interval misses in at most 2.5 percent of studies", () => {
  const studies = 100;
  const rows = coverage(RARE, trueValues(RARE, 60_000), {
    prompts: 200,
    studies,
    resamples: 50,
    key: 'rare',
    noise: false,
  });
  const longer = rows.find((row) => row.statistic === 'share_longer50')!;
  expect(longer.wilson).toBeGreaterThan(0);
  expect(longer.wilsonMissed).toBeLessThanOrEqual(binomialUpper(studies, 0.025, 1e-4));
  const shorter = rows.find((row) => row.statistic === 'share_shorter50')!;
  expect(shorter.wilson).toBeGreaterThan(studies / 4);
  expect(shorter.wilsonMissed).toBe(0);
});
