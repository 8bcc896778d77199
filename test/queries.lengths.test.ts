/** The documented questions on speed, latency and length, over a made-up sweep whose answers are known by hand. */
import { beforeAll, expect, test } from 'vitest';
import { aggregateNegatives } from '../activities/aggregate/negatives.ts';
import { aggregateSweep } from '../activities/aggregate/sweep.ts';
import { query } from '../activities/database.ts';
import type { ThroughputRow } from '../activities/ledger.ts';
import type { JsonObject } from '../workflows/contracts.ts';
import { useDatabase } from './support/database.ts';
import { documented } from './support/documented.ts';
import { cellPlan, promptSet } from './support/plans.ts';
import { sampleRow } from './support/rows.ts';
import { finishedSweep } from './support/sweeps.ts';

const database = useDatabase();
const N = 10;
const prompts = promptSet(N, 'chat');
const METHODS: [label: string, compressor: JsonObject][] = [
  ['none', { none: {} }],
  ['kivi-4', { kivi: { bits: 4 } }],
  ['h2o-64', { h2o: { budget: 64 } }],
];
/** Lengths per cell; the uncompressed answers have 10 tokens each. */
const LENGTHS: Record<string, number[]> = {
  none: Array(N).fill(10),
  // 3 of 10 twice as long: D = -1
  'kivi-4': [20, 20, 20, 10, 10, 10, 10, 10, 10, 10],
  // shorter everywhere: D = .5
  'h2o-64': Array(N).fill(5),
  // noise: one answer of 12 tokens, D = -.2
  noise: [12, ...Array(N - 1).fill(10)],
};
const base = (workload: string) => `q ${workload} none`;

beforeAll(async () => {
  const key = (name: string) => cellPlan(name).key;
  const generate = [
    ...METHODS.map(([label, compressor]) => ({ label, compressor, noise: undefined })),
    {
      label: 'noise',
      compressor: { none: {} },
      noise: { kind: 'batch' as const, no: 0 },
    },
  ].map(({ label, compressor, noise }) => {
    const plan = cellPlan(`q generate ${label}`, {
      prompts,
      compressor,
      label: label === 'noise' ? 'none' : label,
      ...(noise && { noise, batch: 2 }),
      baselineKey: label === 'none' ? null : key(base('generate')),
    });
    const lists = LENGTHS[label]!.map((length, i) => Array.from({ length }, (_, t) => 100 * i + t));
    // A step takes 1 ms uncompressed and 0.8 ms under kivi; prefill takes 1 ms. Of h2o the first answer was cut.
    const samples = lists.map((list, i) =>
      sampleRow(i, list, {
        prefillUs: 1000,
        decodeUs: list.length * (label === 'kivi-4' ? 800 : 1000),
        ...(label === 'h2o-64' && i === 0 ? { finish: 'length' as const, stopId: null } : {}),
      }),
    );
    return { plan, lists, over: { samples } };
  });
  const throughput = METHODS.flatMap(([label, compressor]) =>
    [8, 16].map((batch) => ({
      plan: cellPlan(`q throughput ${label} ${batch}`, {
        compressor,
        label,
        batch,
        prompts: null,
        workload: { throughput: { prompt_tokens: 512, new_tokens: 64, warmup: 1, repeats: 5, seed: 1 } },
        baselineKey: label === 'none' ? null : key(`q throughput none ${batch}`),
      }),
      // both methods are faster at 16, kivi by 1.25, h2o by 2
      over: { throughput: runs(batch, { none: 1, 'kivi-4': 0.8, 'h2o-64': 0.5 }[label]!) },
    })),
  );
  const { sweepNo } = await finishedSweep(database.db, 'questions', [...generate, ...throughput], {
    promptSets: [prompts],
  });
  await aggregateSweep(database.db, sweepNo, undefined, { resamples: 100 });
});

function runs(batch: number, seconds: number): ThroughputRow[] {
  return Array.from({ length: 5 }, (_, repeat) => ({
    phase: 'decode',
    repeat,
    guard: false,
    batch,
    promptTokens: 512,
    steps: 64,
    tokens: 64 * batch,
    seconds,
    bytesStep: null,
    boundS: null,
    peakBytes: null,
    bytesEnd: null,
    keptMean: null,
    clockMhz: null,
    usStep: null,
  }));
}

const ask = async (heading: string) => await query(database.db, documented(heading, 'questions'));

test('faster per token at batch 16 and slower for more than a quarter of the prompts: kivi alone', async () => {
  // kivi: 3 of 10 requests took 1 + 16 ms instead of 1 + 10 ms; h2o made all of them shorter
  expect(await ask('Faster per token, slower per answer')).toEqual([
    { label: 'kivi-4', prompt_tokens: 512, s_same: 1.25, batch_size: 1, share_slower: 0.3, n: N },
  ]);
});

test('shares that the token limit leaves open by more than two points: h2o alone, by one answer of ten', async () => {
  expect(await ask('Shares that the token limit blurs')).toEqual([
    {
      label: 'h2o-64',
      batch_size: 1,
      dataset: 'chat',
      n: N,
      share_longer50: 0,
      share_longer50_lo: 0,
      share_longer50_hi: 0.1,
      width: 0.1,
      censored_base: 0,
      censored_comp: 0.1,
    },
  ]);
});

test('D in the form of the artifact: whole percent, how many prompts each', async () => {
  expect(await ask("Length differences in the form of the study's artifact")).toEqual([
    { label: 'h2o-64', batch_size: 1, percent: 50, n: N },
    { label: 'kivi-4', batch_size: 1, percent: -100, n: 3 },
    { label: 'kivi-4', batch_size: 1, percent: 0, n: 7 },
  ]);
});

test('quantiles of D by data set and compressor, beyond those of the noise', async () => {
  const [h2o, kivi] = (await ask('Length differences beyond the noise floor')) as Record<string, number | string>[];
  expect(h2o).toMatchObject({ dataset: 'chat', label: 'h2o-64', n: N, d05: 0.5, d50: 0.5, d95: 0.5, beyond50: 0.5 });
  // kivi: -1 -1 -1 0 ...: quantile 25 % lies at 2.25, between -1 and 0; noise: -.2 0 0 ...
  expect(kivi).toMatchObject({ label: 'kivi-4', d05: -1, d25: -0.75, d50: 0, d95: 0, beyond25: -0.75, beyond50: 0 });
  expect(kivi!.beyond05).toBeCloseTo(-1 - -0.2 * (1 - 0.45), 12);
});

test('the noise floor says how many negatives two uncompressed runs have, and its mirror image', async () => {
  const cells = await query<{ sweepNo: number; cellNo: number; key: string; noiseKind: 'batch' | null }>(
    database.db,
    `select c.sweep_no as "sweepNo", c.cell_no as "cellNo", encode(c.key, 'hex') as key, c.noise_kind as "noiseKind"
       from cell c where c.workload = 'generate' and c.compressor = 'none' order by c.noise_kind nulls first`,
  );
  // uncompressed all 1, noise 0 in two of ten; the median is 1
  for (const { sweepNo, cellNo, noiseKind } of cells) {
    await query(
      database.db,
      `insert into score (sweep_no, cell_no, sample_idx, rep, metric, scorer_version, score)
       select $1, $2, i, 0, 'contains', 'test', case when $3 and i < 2 then 0 else 1 end from generate_series(0, 9) i`,
      [sweepNo, cellNo, noiseKind !== null],
    );
  }
  const [base] = cells;
  await aggregateNegatives(
    database.db,
    cells.map((cell) => ({ ...cell, isBaseline: cell === base, inert: false, baseline: cell === base ? null : base! })),
    async () => undefined,
  );
  expect(await query(database.db, 'select n, negatives_theta10, mirrored_theta10 from kv.noise_floor')).toEqual([
    { n: N, negatives_theta10: 2, mirrored_theta10: 0 },
  ]);
});
