/** Scores of answers, per-sample budgets, the witness, and the documented query on dropped tokens. */
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import { aggregateSweep } from '../activities/aggregate/sweep.ts';
import { query } from '../activities/database.ts';
import { cellRows } from '../activities/rows.ts';
import type { PromptSetPlan } from '../workflows/plan.ts';
import { useDatabase } from './support/database.ts';
import { cellPlan, promptSet, sha } from './support/plans.ts';
import { commitInput, sampleRow } from './support/rows.ts';
import { finishedSweep } from './support/sweeps.ts';

const database = useDatabase();
/** Four prompts whose answers hold their token ids; the second one asks for two of them, the last has no reference. */
const prompts: PromptSetPlan = {
  ...promptSet(4, 'codes'),
  prompts: promptSet(4, 'codes').prompts.map((p, i) => ({
    ...p,
    ...(i < 3 ? { metric: i === 2 ? 'bleu' : 'string_all', references: i === 1 ? ['11', '22'] : ['77'] } : {}),
    taskType: 'retrieval',
  })),
};
const base = cellPlan('scores none', { prompts });
const kivi = cellPlan('scores kivi', {
  prompts,
  compressor: { kivi: { bits: 2 } },
  label: 'kivi-2',
  baselineKey: base.key,
});
const inert = cellPlan('scores inert', {
  prompts,
  compressor: { kivi: { bits: 8 } },
  label: 'kivi-8',
  baselineKey: base.key,
});
const good = [[77, 5], [11, 22], [1], [2]];
const worse = [[7, 5], [11, 23], [1], [2]];
const { summary } = commitInput({ sweepNo: 0, cellNo: 0, lease: '' }, []);

beforeAll(async () => {
  const { sweepNo } = await finishedSweep(
    database.db,
    'scores',
    [
      { plan: base, lists: good },
      {
        plan: kivi,
        lists: worse,
        over: {
          samples: worse.map((list, i) =>
            sampleRow(
              i,
              list,
              i === 0
                ? {
                    extra: {
                      kept_layers: [3, 5.5],
                      budgets: [
                        [2, 4],
                        [5, 6],
                      ],
                      dropped: 9,
                      first_drop: 0,
                    },
                  }
                : {},
            ),
          ),
        },
      },
      { plan: inert, lists: good, over: { summary: { ...summary, inert: true } } },
    ],
    { promptSets: [prompts] },
  );
  await aggregateSweep(database.db, sweepNo, undefined, { resamples: 100 });
});

test('answers are scored by the metric of their prompt; without references or a known metric there is no score', async () => {
  const rows = await query(
    database.db,
    `select prompt_key, metric, task_type, score, ref_index, scorer_version from kv.scores where cell_key = $1 order by prompt_key`,
    [kivi.key],
  );
  const fixed = { metric: 'string_all', task_type: 'retrieval', ref_index: null, scorer_version: 'kvsweep-score-2' };
  expect(rows).toEqual([
    { prompt_key: 'codes/0000', score: 0, ...fixed },
    { prompt_key: 'codes/0001', score: 0.5, ...fixed },
  ]);
});

test('a cell is compared with its baseline on the samples of both; an inert cell with nothing', async () => {
  const rows = await query(
    database.db,
    `select label, compressed, n, score, n_pairs, base_score, delta, n_worse, n_better, baseline_cell_key
       from kv.score_summary where dataset = 'codes' order by label`,
  );
  const none = { base_score: null, delta: null, n_worse: null, n_better: null, n_pairs: null, baseline_cell_key: null };
  expect(rows).toEqual([
    {
      label: 'kivi-2',
      compressed: true,
      n: 2,
      score: 0.25,
      n_pairs: 2,
      base_score: 1,
      delta: -0.75,
      n_worse: 2,
      n_better: 0,
      baseline_cell_key: base.key,
    },
    { label: 'kivi-8', compressed: false, n: 2, score: 1, ...none },
    { label: 'none', compressed: null, n: 2, score: 1, ...none },
  ]);
});

test('scores are computed once more without a trace of the first time', async () => {
  const all = 'select * from score order by cell_no, sample_idx';
  const before = await query(database.db, all);
  await query(database.db, 'delete from cell_stage');
  const [{ no } = { no: 0 }] = await query<{ no: number }>(
    database.db,
    `select sweep_no as no from sweep where id = 'scores'`,
  );
  await Promise.all([1, 2].map(() => aggregateSweep(database.db, no, undefined, { resamples: 100 })));
  expect(await query(database.db, all)).toEqual(before);
});

test('the witness: an inert cell is marked and in no view of comparisons', async () => {
  const marks = await query(
    database.db,
    `select label, compressed from kv.cells where sweep = 'scores' order by label`,
  );
  expect(marks).toEqual([
    { label: 'kivi-2', compressed: true },
    { label: 'kivi-8', compressed: false },
    { label: 'none', compressed: null },
  ]);
  for (const view of ['pairs', 'length_shift', 'length_shift_summary', 'e2e_latency', 'e2e_latency_summary']) {
    const rows = await query<{ n: number }>(database.db, `select count(*) as n from kv.${view} where cell_key = $1`, [
      inert.key,
    ]);
    expect([view, rows[0]!.n]).toEqual([view, 0]);
  }
});

test('an inert score cell keeps its perplexity and has no delta', async () => {
  const workload = { score: { top_k: 1 } };
  const scored = (sum: number) => ({
    samples: [
      sampleRow(0, [1, 2], { finish: 'length', stopId: null, textSha: null, extra: { logprob_sum: sum, n_match: 1 } }),
    ],
  });
  const none = cellPlan('inert ppl none', { prompts, workload });
  const idle = cellPlan('inert ppl', {
    prompts,
    workload,
    compressor: { kivi: {} },
    label: 'kivi',
    baselineKey: none.key,
  });
  await finishedSweep(
    database.db,
    'inert ppl',
    [
      { plan: none, lists: [[1, 2]], over: scored(-2) },
      { plan: idle, lists: [[1, 2]], over: { ...scored(-2), summary: { ...summary, inert: true } } },
    ],
    { promptSets: [prompts] },
  );
  const rows = await query(
    database.db,
    'select compressed, ppl, delta, delta_lo from kv.perplexity where cell_key = any($1) order by compressed nulls first',
    [[none.key, idle.key]],
  );
  expect(rows).toEqual([
    { compressed: null, ppl: Math.E, delta: null, delta_lo: null },
    { compressed: false, ppl: Math.E, delta: null, delta_lo: null },
  ]);
});

describe('what a compressor did to each layer', () => {
  test('budgets and kept tokens of a sample are columns; absent budgets are null', async () => {
    const rows = await query(
      database.db,
      `select budgets, kept_layers, dropped, first_drop from kv.samples where cell_key = $1 order by prompt_key limit 2`,
      [kivi.key],
    );
    expect(rows).toEqual([
      {
        budgets: [
          [2, 4],
          [5, 6],
        ],
        kept_layers: [3, 5.5],
        dropped: 9,
        first_drop: 0,
      },
      { budgets: null, kept_layers: [12, 12.5], dropped: null, first_drop: null },
    ]);
  });

  test("an engine's sample keeps every field of its kv: those without a column lie in extra", () => {
    const kv = {
      seen: 6,
      kept_mean: 4,
      kept_min: 3,
      kept_max: 5,
      kept_layers: [4, 4],
      bytes_end: 1,
      bytes_peak: 2,
      bytes_f16: 3,
      budgets: [3, 5],
      dropped: 4,
      first_drop: null,
    };
    const planned = { event: 'planned', n: 0, cell: 'c', effective: {} };
    const finished = { event: 'finished', n: 2, cell: 'c', inert: true };
    const scored = {
      event: 'scored',
      n: 1,
      cell: 'c',
      sample: 'codes/0000',
      replicate: 0,
      seed: 0,
      n_scored: 1,
      logprobs: [-1],
      argmax: [1],
      kv,
    };
    const record = { planned, finished, samples: [scored], kept: [], throughput: [], probes: [] };
    const rows = cellRows(record as never, [{ sampleIdx: 0, key: 'codes/0000' }], 'cpu-1');
    expect(rows.samples[0]!.extra).toMatchObject({ budgets: [3, 5], kept_layers: [4, 4], dropped: 4 });
    expect(rows.samples[0]!.extra).not.toHaveProperty('first_drop');
    expect(rows.summary.inert).toBe(true);
  });
});

test('the documented query on dropped tokens says which positions died, and where', async () => {
  // 2 layers x 1 head, 10 tokens: layer 0 keeps 0, 7 and 9, layer 1 keeps 8 and 9.
  const bitmap = Buffer.from([0b1000_0001, 0b0000_0010, 0b0000_0000, 0b0000_0011]);
  const traced = cellPlan('traced', { prompts, compressor: { drops: {} }, label: 'drops-3' });
  await finishedSweep(
    database.db,
    'traced',
    [
      {
        plan: traced,
        lists: [[1]],
        over: { kept: [{ sampleIdx: 0, rep: 0, seen: 10, layers: 2, kvHeads: 1, bitmap }] },
      },
    ],
    { promptSets: [prompts] },
  );
  const doc = readFileSync(new URL('../docs/queries.md', import.meta.url), 'utf8');
  const text = /## Which tokens died[\s\S]*?```sql\n([\s\S]*?)```/.exec(doc)![1]!;
  const rows = await query<{ position: number; dropped_by: number; stores: number; of_layers: number[] }>(
    database.db,
    text.replaceAll("'my-sweep'", "'traced'").replaceAll("'h2o-256'", "'drops-3'"),
  );
  expect(rows).toHaveLength(9);
  expect(rows.slice(0, 6).map((r) => r.position)).toEqual([1, 2, 3, 4, 5, 6]);
  expect(rows[0]).toMatchObject({ dropped_by: 2, stores: 2, of_layers: [0, 1] });
  expect(rows.slice(6)).toEqual([
    expect.objectContaining({ position: 0, dropped_by: 1, of_layers: [1] }),
    expect.objectContaining({ position: 7, dropped_by: 1, of_layers: [1] }),
    expect.objectContaining({ position: 8, dropped_by: 1, of_layers: [0] }),
  ]);
  expect(sha('traced')).toBe(traced.key);
});

test('every documented statement runs', async () => {
  const doc = readFileSync(new URL('../docs/queries.md', import.meta.url), 'utf8');
  const statements = [...doc.matchAll(/```sql\n([\s\S]*?)```/g)].map((m) => m[1]!.replaceAll("'my-sweep'", "'scores'"));
  expect(statements.length).toBeGreaterThanOrEqual(4);
  const counts = [];
  for (const text of statements) counts.push((await query(database.db, text)).length);
  // No trace in this sweep; one sample with budgets; one inert cell; three cells with scores. Then come negatives and
  // lengths, whose answers have tests of their own.
  expect(counts.slice(0, 4)).toEqual([0, 1, 1, 3]);
});
