import { beforeAll, expect, test } from 'vitest';
import { aggregateSweep } from '../activities/aggregate/sweep.ts';
import { query } from '../activities/database.ts';
import { useDatabase } from './support/database.ts';
import { cellPlan, promptSet, sha } from './support/plans.ts';
import { sampleRow } from './support/rows.ts';
import { finishedSweep } from './support/sweeps.ts';

const database = useDatabase();

/** analysis 2.3: L_b, L_c, cut b, cut c, D, interval. */
const TABLE: [number, number, boolean, boolean, number | null, number, number][] = [
  [100, 100, false, false, 0, 0, 0],
  [100, 150, false, false, -0.5, -0.5, -0.5],
  [100, 200, false, false, -1, -1, -1],
  [80, 20, false, false, 0.75, 0.75, 0.75],
  [8, 9, false, false, -0.125, -0.125, -0.125],
  [300, 1024, false, true, -724 / 300, Number.NEGATIVE_INFINITY, -724 / 300],
  [1024, 600, true, false, 0.4140625, 0.4140625, 1],
  [1024, 1024, true, true, 0, Number.NEGATIVE_INFINITY, 1],
  [0, 12, false, false, null, 0, 0],
  [40, 130, false, false, -2.25, -2.25, -2.25],
];
const prompts = promptSet(TABLE.length);
const baseKey = sha('base');

const tokens = (n: number) => Array.from({ length: n }, (_, i) => i);

/** Samples of one side; its answers are cut where the table says so. */
const samples = (side: 0 | 1) =>
  TABLE.map((row, i) =>
    sampleRow(i, tokens(row[side]), row[2 + side] ? { finish: 'length', stopId: null } : { finish: 'stop', stopId: 2 }),
  );

beforeAll(async () => {
  const lengths = (side: 0 | 1) => TABLE.map((row) => tokens(row[side]));
  const { sweepNo } = await finishedSweep(
    database.db,
    'lengths',
    [
      { plan: cellPlan('base', { prompts }), lists: lengths(0), over: { samples: samples(0) } },
      {
        plan: cellPlan('kivi', { prompts, compressor: { kivi: { bits: 4 } }, label: 'kivi-4', baselineKey: baseKey }),
        lists: lengths(1),
        over: { samples: samples(1) },
      },
      {
        plan: cellPlan('noise', { prompts, noise: { kind: 'batch', no: 0 }, baselineKey: baseKey }),
        lists: lengths(0),
        // two other answers of the same length
        over: { samples: samples(0).map((row, i) => (i < 2 ? { ...row, outSha: sha(`other ${i}`) } : row)) },
      },
      {
        // a replicate of the compressed cell has a noise kind too: no noise cell, and in no summary of compressors
        plan: cellPlan('twin', {
          prompts,
          compressor: { kivi: { bits: 4 } },
          label: 'kivi-4',
          noise: { kind: 'batch', no: 0 },
          baselineKey: baseKey,
        }),
        lists: lengths(1),
      },
      {
        plan: cellPlan('inert', { prompts, compressor: { kivi: { bits: 8 } }, label: 'kivi-8', baselineKey: baseKey }),
        lists: lengths(0),
        over: {
          summary: {
            tokens: 1,
            seconds: 1,
            inert: true,
            peak_bytes: null,
            batch: 1,
            max_batch: null,
            numerics: 'cpu-1',
            stop_ids: [],
            page: null,
            memory: null,
          },
        },
      },
      {
        plan: cellPlan('faulty', { prompts, compressor: { kivi: { bits: 2 } }, label: 'kivi-2', baselineKey: baseKey }),
        lists: lengths(1),
        over: {
          samples: samples(1).map((row, i) =>
            i === 0
              ? sampleRow(i, [], { finish: 'error', errorKind: 'numeric', newTokens: null, outSha: null })
              : { ...row, ...(i === 1 ? { promptSha: sha('other ids') } : {}) },
          ),
        },
      },
    ],
    { promptSets: [prompts] },
  );
  await aggregateSweep(database.db, sweepNo, undefined, { resamples: 1000 });
});

test('the summary of the fixture table is that of the design', async () => {
  const [row] = await query<Record<string, number>>(
    database.db,
    `select * from kv.length_shift_summary where label = 'kivi-4'`,
  );
  expect(row).toMatchObject({ n: 9, n_undefined: 1, n_missing: 0, n_mismatch: 0, batch_size: 1, dataset: 'chat' });
  const expected = {
    share_gt50: 4 / 9,
    share_longer50: 4 / 9,
    share_longer50_lo: 4 / 9,
    share_longer50_hi: 5 / 9,
    share_shorter50: 1 / 9,
    // by hand from the intervals of 2.3: cut compressed answers leave |D| > 0.5 open, the cut baseline D >= 0.5
    share_gt50_lo: 4 / 9,
    share_gt50_hi: 6 / 9,
    share_shorter50_lo: 1 / 9,
    share_shorter50_hi: 3 / 9,
    share_same: 2 / 9,
    share_near: 2 / 9,
    q01: -2.41333333333 + 0.08 * (2.41333333333 - 2.25),
    q05: -2.348,
    q25: -1,
    q50: -0.125,
    q75: 0,
    q95: 0.615625,
    ratio_of_means: 3257 / 2776,
    geo_ratio: 1.2081622,
    median_ratio: 1.125,
    mean_of_ratios: 1.5693634,
    iqr: 1,
    censored_base: 2 / 9,
    censored_comp: 2 / 9,
    noise_longer50: 0,
    noise_gt50: 0,
    noise_shorter50: 0,
    noise_d95: 0,
    excess_longer50: 4 / 9,
    excess_gt50: 4 / 9,
    excess_shorter50: 1 / 9,
  };
  for (const [name, value] of Object.entries(expected)) expect(row![name], name).toBeCloseTo(value, 6);
  // bins of the page in row order 40, 30, 20, 55, 37, under, 48, 40, -, under
  const bins = [40, 30, 20, 55, 37, 60, 48, 40, 60];
  const counts = Array.from({ length: 61 }, (_, bin) => bins.filter((at) => at === bin).length);
  expect(row!.histogram).toEqual(counts);
  // four of nine clusters differ, all one way: a flip reaches that in one of 16 sign patterns
  for (const p of [row!.excess_p!, row!.excess_gt50_p!]) {
    expect(p).toBeGreaterThan(0.05);
    expect(p).toBeLessThan(0.08);
  }
});

test('a cell whose compressor did not act is in no share and no pair, and is marked', async () => {
  const labels = async (view: string) =>
    (await query<{ label: string }>(database.db, `select distinct label from kv.${view} order by 1`)).map(
      (row) => row.label,
    );
  expect(await labels('length_shift_summary')).toEqual(['kivi-2', 'kivi-4']);
  expect(await labels('length_shift')).toEqual(['kivi-2', 'kivi-4', 'none']);
  expect(await labels('pairs')).toEqual(['kivi-2', 'kivi-4']);
  expect(await labels('e2e_latency')).toEqual(['kivi-2', 'kivi-4']);
  expect(await query(database.db, 'select label, compressed from kv.cells order by cell_no')).toEqual([
    { label: 'none', compressed: null },
    { label: 'kivi-4', compressed: true },
    { label: 'none', compressed: null },
    { label: 'kivi-4', compressed: true },
    { label: 'kivi-8', compressed: false },
    { label: 'kivi-2', compressed: true },
  ]);
});

test('pairs with an errored side or other prompt ids are counted and left out', async () => {
  const [row] = await query(
    database.db,
    `select n, n_missing, n_mismatch from kv.length_shift_summary where label = 'kivi-2'`,
  );
  expect(row).toEqual({ n: 7, n_missing: 1, n_mismatch: 1 });
  const latency = await query(database.db, `select prompt_key from kv.e2e_latency where label = 'kivi-2'`);
  expect(latency).toHaveLength(8);
});

test('the noise floor is that of uncompressed runs', async () => {
  expect(
    await query(
      database.db,
      'select noise_kind, n, share_same, noise_d95, share_longer50, baseline_cell_key from kv.noise_floor',
    ),
  ).toEqual([
    { noise_kind: 'batch', n: 9, share_same: 7 / 9, noise_d95: 0, share_longer50: 0, baseline_cell_key: baseKey },
  ]);
});

test('infinite ends of intervals come out as they went in', async () => {
  const rows = await query<{ d_lo: number }>(
    database.db,
    `select d, d_lo, d_hi, censor from kv.length_shift where label = 'kivi-4' and noise_kind is null and censor <> 'none' order by prompt_key`,
  );
  expect(rows).toEqual([
    { d: -724 / 300, d_lo: Number.NEGATIVE_INFINITY, d_hi: -724 / 300, censor: 'comp' },
    { d: 0.4140625, d_lo: 0.4140625, d_hi: 1, censor: 'base' },
    { d: 0, d_lo: Number.NEGATIVE_INFINITY, d_hi: 1, censor: 'both' },
  ]);
});
