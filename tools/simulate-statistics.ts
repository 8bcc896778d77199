/**
 * Do the intervals hold the truth as often as they say, and do the tests stay silent where there is nothing? Thousands of
 * made-up studies whose true figures are known, through the code that fills `kv.estimates`.
 *
 *   npm run simulate -- [--studies 1000] [--resamples 1000] [--prompts 200] [--seed 1] [--json]
 *
 * Exits with 1 if an interval of the main population covers in less than 93 % or more than 97 % of studies, or if a test
 * rejects an exchangeable population in more than 5 % of studies by more than the simulation can err.
 */
import { parseArgs } from 'node:util';
import { renderTable } from '../cli/table.ts';
import { type Coverage, coverage, falsePositives, type TestRate } from './simulation/coverage.ts';
import { EXCHANGEABLE, LENGTHENED, RARE } from './simulation/population.ts';
import { trueValues } from './simulation/truth.ts';

const { values } = parseArgs({
  options: {
    studies: { type: 'string', default: '1000' },
    resamples: { type: 'string', default: '1000' },
    prompts: { type: 'string', default: '200' },
    seed: { type: 'string', default: '1' },
    json: { type: 'boolean', default: false },
  },
});
const [studies, resamples, prompts] = [values.studies, values.resamples, values.prompts].map(Number) as [
  number,
  number,
  number,
];

/** 95 % +- 2: the claim. At 1,000 studies the simulation itself errs by 0.7 (one standard error). */
const COVERS = [0.93, 0.97] as const;
const LEVEL = 0.05;
/** Wilson's interval stands in where no event was seen; a one-sided miss of 2.5 % is its share of the 5 %. */
const WILSON_MISSES = 0.025;
/** One test in two hundred is allowed to look worse by chance. */
const ERRORS = 2.58;
const upTo = (rate: number) => rate + ERRORS * Math.sqrt((rate * (1 - rate)) / studies);

const started = performance.now();
const step = <T>(name: string, compute: () => T): T => {
  const from = performance.now();
  const result = compute();
  if (!values.json) process.stderr.write(`${name}: ${((performance.now() - from) / 1000).toFixed(0)} s\n`);
  return result;
};
const of = (name: string) => ({ studies, resamples, key: `kvsweep-simulation|${values.seed}|${name}` });
const truth = step('truth', () => trueValues(LENGTHENED));
const main = step('intervals', () => coverage(LENGTHENED, truth, { ...of('main'), prompts }));
const few = step('50 prompts', () => coverage(LENGTHENED, truth, { ...of('few'), prompts: 50, noise: false }));
const tiny = step('15 prompts', () => coverage(LENGTHENED, truth, { ...of('tiny'), prompts: 15, noise: false }));
const rare = step('rare events', () => coverage(RARE, trueValues(RARE), { ...of('rare'), prompts, noise: false }));
const tests = step('tests', () => falsePositives(EXCHANGEABLE, { ...of('tests'), prompts }));
const testsFew = step('tests, 50 prompts', () => falsePositives(EXCHANGEABLE, { ...of('tests few'), prompts: 50 }));

const failures = [
  ...main
    .filter((row) => rate(row) < COVERS[0] || rate(row) > COVERS[1])
    .map((row) => `${row.statistic}: the interval covers in ${percent(rate(row))} of studies, not 95 % +- 2`),
  ...[...tests, ...testsFew]
    .filter((row) => row.rejected / row.studies > upTo(LEVEL))
    .map(
      (row) =>
        `${row.test}: rejects in ${percent(row.rejected / row.studies)} of studies, over ${percent(upTo(LEVEL))}`,
    ),
  ...[...main, ...rare]
    .filter((row) => row.wilsonMissed / studies > upTo(WILSON_MISSES))
    .map((row) => `${row.statistic}: Wilson's interval was used and missed in ${percent(row.wilsonMissed / studies)}`),
];

if (values.json) {
  process.stdout.write(
    `${JSON.stringify({ studies, resamples, prompts, main, few, tiny, rare, tests, testsFew, failures })}\n`,
  );
} else {
  const print = (title: string, rows: Record<string, unknown>[]) =>
    process.stdout.write(`\n${title}\n${renderTable(rows)}\n`);
  const size = `${studies} studies, ${resamples} resamples`;
  print(`coverage of 95 % intervals, ${prompts} prompts x 3 replicates, ${size} (bar: 93 to 97 %)`, main.map(line));
  print('the same with 50 prompts (for information)', few.map(line));
  print('the same with 15 prompts, where intervals carry the flag few_clusters (for information)', tiny.map(line));
  print(
    `greedy, rare events, ${prompts} prompts (for information; bar for Wilson: used and missed in at most 2.5 %)`,
    rare.map((row) => ({ ...line(row), 'Wilson used': row.wilson, missed: row.wilsonMissed })),
  );
  print(
    `tests at 5 % where answers are exchangeable, ${size.split(',')[0]} (bar: ${percent(upTo(LEVEL))} = 5 % and ${ERRORS} standard errors)`,
    [...tests.map((row) => testLine(row, prompts)), ...testsFew.map((row) => testLine(row, 50))],
  );
  process.stdout.write(`\n${((performance.now() - started) / 1000).toFixed(0)} s\n`);
  for (const failure of failures) process.stdout.write(`OUTSIDE THE BAR: ${failure}\n`);
}
process.exitCode = failures.length > 0 ? 1 : 0;

function rate(row: Coverage): number {
  return row.held / row.studies;
}

function line(row: Coverage): Record<string, unknown> {
  const part = (count: number) => percent(count / row.studies);
  return {
    statistic: row.statistic,
    truth: row.truth.toFixed(4),
    'mean width': row.width.toFixed(4),
    covered: percent(rate(row)),
    'truth below': part(row.above),
    'truth above': part(row.below),
    studies: row.studies,
  };
}

function testLine(row: TestRate, size: number): Record<string, unknown> {
  return { test: row.test, prompts: size, 'p <= .05': percent(row.rejected / row.studies), studies: row.studies };
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}
