import { expect, test } from 'vitest';
import { query } from '../activities/database.ts';
import { replaceEstimates } from '../activities/ledger.ts';
import { useDatabase } from './support/database.ts';
import { cellPlan, promptSet, sha } from './support/plans.ts';
import { output, sampleRow } from './support/rows.ts';
import { finishedSweep } from './support/sweeps.ts';

const database = useDatabase();
const prompts = promptSet(2);

test('a sample shows its text, its token ids and its times', async () => {
  await finishedSweep(database.db, 'samples', [{ plan: cellPlan('s', { prompts }), lists: [[791, 4320, 4_000], []] }], {
    promptSets: [prompts],
  });
  const rows = await query(
    database.db,
    `select prompt_key, replicate, finish, cap, text, token_ids, tokens_sha, queue_ms, decode_ms, steps, tpot_ms, kept_mean
       from kv.samples order by prompt_key`,
  );
  expect(rows).toEqual([
    {
      prompt_key: 'chat/0000',
      replicate: 0,
      finish: 'stop',
      cap: 64,
      text: 'text of 791 4320 4000',
      token_ids: [791, 4320, 4000],
      tokens_sha: sampleRow(0, [791, 4320, 4000]).outSha,
      queue_ms: 1,
      decode_ms: 3,
      steps: 3,
      tpot_ms: 1,
      kept_mean: 12.25,
    },
    expect.objectContaining({ prompt_key: 'chat/0001', text: 'text of ', token_ids: [], steps: 0, tpot_ms: null }),
  ]);
});

test('a cell shows what made it', async () => {
  const [row] = await query(
    database.db,
    `select sweep, kind, label, is_baseline, baseline_cell_key, max_new_tokens, sampling, stop_ids, numerics, device, engine, n_planned, n_done, n_error
       from kv.cells where cell_key = $1`,
    [sha('s')],
  );
  expect(row).toEqual({
    sweep: 'samples',
    kind: 'generate',
    label: 'none',
    is_baseline: true,
    baseline_cell_key: null,
    max_new_tokens: 64,
    sampling: { greedy: true },
    stop_ids: [2],
    numerics: 'cpu-1',
    device: 'test cpu',
    engine: '0.1.0',
    n_planned: 2,
    n_done: 2,
    n_error: 0,
  });
});

test('the bitmap of a sample opens into positions per layer and head', async () => {
  // 2 layers x 1 head, 10 tokens: two bytes each, bit p mod 8 of byte p / 8.
  const bitmap = Buffer.from([0b1000_0001, 0b0000_0010, 0b0000_0000, 0b0000_0001]);
  await finishedSweep(
    database.db,
    'kept',
    [
      {
        plan: cellPlan('k', { prompts }),
        lists: [[1]],
        over: { kept: [{ sampleIdx: 0, rep: 0, seen: 10, layers: 2, kvHeads: 1, bitmap }] },
      },
    ],
    { promptSets: [prompts] },
  );
  expect(await query(database.db, 'select layer, kv_head, seen, kept, positions from kv.kept order by layer')).toEqual([
    { layer: 0, kv_head: 0, seen: 10, kept: 3, positions: [0, 7, 9] },
    { layer: 1, kv_head: 0, seen: 10, kept: 1, positions: [8] },
  ]);
});

test('perplexity pools log-probabilities; delta is over the prompts that both scored', async () => {
  const score = { score: { top_k: 2 } };
  const base = cellPlan('ppl base', { prompts, workload: score });
  const kivi = cellPlan('ppl kivi', {
    prompts,
    workload: score,
    compressor: { kivi: { bits: 2 } },
    label: 'kivi-2',
    baselineKey: base.key,
  });
  const scored = (idx: number, sum: number, n: number, hits: number, over = {}) =>
    sampleRow(
      idx,
      Array.from({ length: n }, () => 1),
      { finish: 'length', stopId: null, textSha: null, extra: { logprob_sum: sum, n_match: hits }, ...over },
    );
  const failed = scored(1, 0, 0, 0, {
    finish: 'error',
    errorKind: 'numeric',
    newTokens: null,
    outSha: null,
    extra: null,
  });
  const { sweepNo } = await finishedSweep(
    database.db,
    'ppl',
    [
      { plan: base, over: { samples: [scored(0, -4, 4, 3), scored(1, -2, 4, 4)], outputs: [output(Buffer.alloc(0))] } },
      { plan: kivi, over: { samples: [scored(0, -6, 4, 2), failed] } },
    ],
    { promptSets: [prompts] },
  );
  await replaceEstimates(
    database.db,
    [{ sweepNo, cellNo: 1 }],
    [
      {
        sweepNo,
        cellNo: 1,
        statistic: 'log_ppl',
        value: 0.5,
        lo: 0.25,
        hi: 0.75,
        p: null,
        n: 1,
        nClusters: 1,
        b: 10,
        seed: 1,
        version: '1',
      },
    ],
  );
  const rows = await query<Record<string, number>>(database.db, 'select * from kv.perplexity order by ppl');
  expect(rows[0]).toMatchObject({ n_samples: 2, n_tokens: 8, top1: 7 / 8, baseline_cell_key: null, delta: null });
  expect(rows[0]!.ppl).toBeCloseTo(Math.exp(6 / 8), 12);
  expect(rows[1]).toMatchObject({ n_samples: 1, n_tokens: 4, top1: 0.5, delta: 0.5, delta_lo: 0.25, delta_hi: 0.75 });
  expect(rows[1]!.ppl).toBeCloseTo(Math.exp(1.5), 12);
  expect(rows[1]!.base_ppl).toBeCloseTo(Math.exp(6 / 8), 12);
});
