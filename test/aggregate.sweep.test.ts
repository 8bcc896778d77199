import { expect, test } from 'vitest';
import { aggregateSweep } from '../activities/aggregate/sweep.ts';
import { query } from '../activities/database.ts';
import { type Made, PROMPTS, storeSweep, tokens } from './fixtures/stored-sweep.ts';
import { useDatabase } from './support/database.ts';
import { cellPlan } from './support/plans.ts';
import type { sampleRow } from './support/rows.ts';

const database = useDatabase();
const BASE = [100, 100, 100, 80, 8, 40].map((n) => tokens(n));
const KIVI = [tokens(100), tokens(150), tokens(200, 2), tokens(20), [9], tokens(130)];
const NOISE = [tokens(100), tokens(100), tokens(100), tokens(80), tokens(8), tokens(44)];

function cells(id: string): Made[] {
  const base = cellPlan(`${id} none`, { prompts: PROMPTS });
  const baselineKey = base.key;
  const noise = cellPlan(`${id} noise`, { prompts: PROMPTS, baselineKey, noise: { kind: 'batch', no: 0 } });
  const kivi = cellPlan(`${id} kivi`, {
    prompts: PROMPTS,
    baselineKey,
    compressor: { kivi: { bits: 4 } },
    label: 'kivi-4',
  });
  return [
    { plan: base, answers: { lists: BASE } },
    { plan: noise, answers: { lists: NOISE } },
    { plan: kivi, answers: { lists: KIVI, usPerToken: 800 } },
  ];
}

const all = async (text: string, values: unknown[]) => await query<Record<string, number>>(database.db, text, values);

test('length differences, noise floor and intervals of a sweep reach the views', async () => {
  const plans = cells('whole');
  const sweepNo = await storeSweep(database.db, 'whole', plans);
  const beats: string[] = [];
  const heartbeat = (stage: string, done: number, total: number) => void beats.push(`${stage} ${done}/${total}`);
  expect(await aggregateSweep(database.db, sweepNo, heartbeat, { resamples: 500 })).toEqual({ cells: 3 });
  // summaries of all cells are there before the first interval; an interval beats once a statistic
  expect(beats.indexOf('lengths 3/3')).toBeLessThan(beats.indexOf('intervals 0/3'));
  expect(beats.filter((beat) => beat === 'intervals 0/3').length).toBeGreaterThan(20);
  expect(beats.at(-1)).toBe('diagnostics 3/3');

  const key = plans[2]!.plan.key;
  const shifts = await all('select * from kv.length_shift where cell_key = $1 order by prompt_key', [key]);
  expect(shifts.map((row) => [row.l_base, row.l_comp, row.d])).toEqual([
    [100, 100, 0],
    [100, 150, -0.5],
    [100, 200, -1],
    [80, 20, 0.75],
    [8, 1, 0.875],
    [40, 130, -2.25],
  ]);
  expect(shifts.map((row) => [row.same, row.first_diff, row.stop_missed, row.stop_early])).toEqual([
    [true, null, false, false],
    [false, 100, true, false],
    [false, 0, false, false],
    [false, 20, false, true],
    [false, 0, false, false],
    [false, 40, true, false],
  ]);
  // noise: five identical answers and one of D = -0.1, so its 95 % quantile of |D| is 0.075
  const [floor] = await all('select * from kv.noise_floor where baseline_cell_key = $1', [plans[0]!.plan.key]);
  expect(floor!.noise_d95).toBeCloseTo(0.075, 12);
  expect(shifts.map((row) => row.beyond_noise)).toEqual([false, true, true, true, true, true]);

  const [summary] = await all('select * from kv.length_shift_summary where cell_key = $1', [key]);
  expect(summary).toMatchObject({ n: 6, n_missing: 0, noise_longer50: 0, share_longer50: 0.5, excess_longer50: 0.5 });
  const estimates = await all('select * from kv.estimates where cell_key = $1', [key]);
  const named = new Map(estimates.map((row) => [String(row.statistic), row]));
  expect(named.get('share_longer50')).toMatchObject({ value: 0.5, n: 6, n_clusters: 6, b: 500, seed: 42 });
  expect(named.get('ratio_of_means')!.value).toBeCloseTo(601 / 428, 12);
  // three of six clusters differ, all one way: a flip reaches the statistic in one of eight patterns
  expect(named.get('excess_share_longer50')!.p).toBeGreaterThan(0.1);
  expect(named.get('excess_share_longer50')!.p).toBeLessThan(0.15);
  expect(summary!.excess_p).toBe(named.get('excess_share_longer50')!.p);
  const [latency] = await all('select * from kv.e2e_latency_summary where cell_key = $1', [key]);
  for (const name of ['x_tokens_faster', 'y_answers_longer', 'service_ratio']) {
    expect(named.get(name)!.value).toBeCloseTo(latency![name]!, 10);
  }
});

const SNAPSHOT = `
  select (select jsonb_agg(to_jsonb(l) order by l.cell_no, l.sample_idx, l.rep) from output_diff l where l.sweep_no = $1) as diffs,
         (select jsonb_agg(to_jsonb(e) order by e.cell_no, e.statistic) from estimate e where e.sweep_no = $1) as estimates,
         (select jsonb_agg(to_jsonb(t) - 'computed_at' order by t.cell_no, t.task_type) from cell_stats t where t.sweep_no = $1) as stats`;

test('a second aggregation has nothing to do; a forced one, even twice at once, gives the same rows', async () => {
  const sweepNo = await storeSweep(database.db, 'again', cells('again'));
  await aggregateSweep(database.db, sweepNo, undefined, { resamples: 200 });
  const before = await all(SNAPSHOT, [sweepNo]);
  expect(await aggregateSweep(database.db, sweepNo, undefined, { resamples: 200 })).toEqual({ cells: 0 });
  await query(database.db, 'delete from cell_stage where sweep_no = $1', [sweepNo]);
  await Promise.all([1, 2].map(() => aggregateSweep(database.db, sweepNo, undefined, { resamples: 200 })));
  expect(await all(SNAPSHOT, [sweepNo])).toEqual(before);
});

test('failed samples and other prompt tokens leave no pair and are counted', async () => {
  const plans = cells('holes');
  plans[2]!.answers.change = (row, i) => {
    if (i === 0) return { ...row, finish: 'error', errorKind: 'numeric', outSha: null, textSha: null };
    return i === 1 ? { ...row, promptSha: 'ff'.repeat(32) } : row;
  };
  const sweepNo = await storeSweep(database.db, 'holes', plans);
  await aggregateSweep(database.db, sweepNo, undefined, { resamples: 100 });
  const [row] = await all("select stats from cell_stats where sweep_no = $1 and cell_no = 2 and task_type = ''", [
    sweepNo,
  ]);
  expect(row!.stats).toMatchObject({ n: 4, nMissing: 1, nMismatch: 1, own: { n: 5 } });
});

test('times of another device are not compared', async () => {
  const plans = cells('devices');
  plans[2]!.answers.over = { provenance: { device: { name: 'another' } } };
  const sweepNo = await storeSweep(database.db, 'devices', plans);
  await aggregateSweep(database.db, sweepNo, undefined, { resamples: 100 });
  const rows = await all(
    "select statistic from estimate where sweep_no = $1 and cell_no = 2 and statistic = 'service_ratio'",
    [sweepNo],
  );
  expect(rows).toEqual([]);
});

test('perplexity is compared over the prompts that both sides scored', async () => {
  const workload = { score: { top_k: 1 } };
  const base = cellPlan('ppl none', { prompts: PROMPTS, workload });
  const comp = cellPlan('ppl kivi', { prompts: PROMPTS, workload, baselineKey: base.key, compressor: { kivi: {} } });
  const scored = (sum: (i: number) => number) => (row: ReturnType<typeof sampleRow>, i: number) => ({
    ...row,
    extra: { logprob_sum: sum(i), n_match: 3 },
  });
  const lists = Array.from({ length: 6 }, () => tokens(10));
  const sweepNo = await storeSweep(database.db, 'ppl', [
    { plan: base, answers: { lists, change: scored(() => -20) } },
    { plan: comp, answers: { lists, change: scored((i) => -20 - i) } },
  ]);
  await aggregateSweep(database.db, sweepNo, undefined, { resamples: 500 });
  // 60 tokens a side: ln ppl 2 against 135 / 60
  const [row] = await all('select * from kv.perplexity where cell_key = $1', [comp.key]);
  expect(row!.delta).toBeCloseTo(0.25, 12);
  expect(row!.delta_lo).toBeLessThan(0.25);
  expect(row!.delta_hi).toBeGreaterThan(0.25);
});
