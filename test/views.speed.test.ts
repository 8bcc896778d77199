import { describe, expect, test } from 'vitest';
import { query } from '../activities/database.ts';
import type { CellSummary, ThroughputRow } from '../activities/ledger.ts';
import type { JsonObject } from '../workflows/contracts.ts';
import { useDatabase } from './support/database.ts';
import { cellPlan, promptSet, sha } from './support/plans.ts';
import { sampleRow } from './support/rows.ts';
import { finishedSweep } from './support/sweeps.ts';

const database = useDatabase();

const SUMMARY: CellSummary = {
  tokens: 0,
  seconds: 1,
  inert: false,
  peak_bytes: null,
  batch: null,
  max_batch: null,
  numerics: 'cpu-1',
  stop_ids: [],
  page: null,
  memory: null,
};

describe('throughput', () => {
  const runs = (batch: number, seconds: number[], guard = false): ThroughputRow[] =>
    seconds.map((s, repeat) => ({
      phase: 'decode',
      repeat,
      guard,
      batch,
      promptTokens: 512,
      steps: 64,
      tokens: 64 * batch,
      seconds: s,
      bytesStep: null,
      boundS: 0.4,
      peakBytes: 1000,
      bytesEnd: 500,
      keptMean: 500,
      clockMhz: null,
      usStep: null,
    }));
  const workload = { throughput: { prompt_tokens: 512, new_tokens: 64, warmup: 1, repeats: 5, seed: 1 } };
  const cell = (label: string, compressor: JsonObject, batch: number) =>
    cellPlan(`tp ${label} ${batch}`, {
      compressor,
      label,
      batch,
      workload,
      prompts: null,
      baselineKey: label === 'none' ? null : sha(`tp none ${batch}`),
    });
  // Median 1.0 s in both orders; quartiles 0.998 and 1.005 (type 7 of five values: the second and the fourth).
  const flat = [1.0, 0.998, 1.005, 1.012, 0.989];

  test('rates come from quantiles of times, speed-ups from the same and from the own largest batch', async () => {
    await finishedSweep(database.db, 'speeds', [
      {
        plan: cell('none', { none: {} }, 1),
        over: { throughput: [...runs(1, flat), ...runs(1, [1.05, 1.05, 1.05], true)] },
      },
      {
        plan: cell('none', { none: {} }, 8),
        over: {
          throughput: runs(
            8,
            flat.map((s) => s * 4),
          ),
        },
      },
      {
        plan: cell('kivi-4', { kivi: { bits: 4 } }, 8),
        over: {
          throughput: runs(
            8,
            flat.map((s) => s * 5),
          ),
        },
      },
      {
        plan: cell('kivi-4', { kivi: { bits: 4 } }, 16),
        over: {
          throughput: runs(
            16,
            flat.map((s) => s * 6),
          ),
        },
      },
      {
        plan: cell('kivi-8', { kivi: { bits: 8 } }, 8),
        over: { throughput: runs(8, flat), summary: { ...SUMMARY, inert: true } },
      },
    ]);
    const rows = await query<Record<string, number | null>>(
      database.db,
      `select label, batch_size, tok_s, tok_s_q25, tok_s_q75, noisy, drift, of_bound, base_tok_s, s_same, max_batch, base_max_batch, s_max
         from kv.throughput where phase = 'decode' order by label, batch_size`,
    );
    const pick = (label: string, batch: number) =>
      rows.find((row) => row.label === (label as never) && row.batch_size === batch)!;
    expect(pick('none', 1)).toMatchObject({
      tok_s: 64,
      noisy: false,
      of_bound: 0.4,
      s_same: null,
      s_max: null,
      base_max_batch: 8,
    });
    expect(pick('none', 1).tok_s_q25).toBeCloseTo(64 / 1.005, 9);
    expect(pick('none', 1).tok_s_q75).toBeCloseTo(64 / 0.998, 9);
    expect(pick('none', 1).drift).toBeCloseTo(0.05, 9);
    // 8 x 64 tokens in 5 s against 4 s; at its largest batch 16 x 64 in 6 s.
    expect(pick('kivi-4', 8).s_same).toBeCloseTo(0.8, 9);
    expect(pick('kivi-4', 8)).toMatchObject({ max_batch: 16, base_max_batch: 8 });
    expect(pick('kivi-4', 8).s_max).toBeCloseTo((16 * 64) / 6 / ((8 * 64) / 4), 9);
    expect(pick('kivi-4', 16)).toMatchObject({ s_same: null, base_tok_s: null });
    expect(pick('kivi-8', 8)).toMatchObject({ s_same: null, s_max: null });
  });

  test('times that scatter by more than 5 % are marked noisy', async () => {
    await finishedSweep(database.db, 'noisy', [
      { plan: cell('none', { none: {} }, 2), over: { throughput: runs(2, [1, 1.04, 1.08, 1.12, 1.16]) } },
    ]);
    const [row] = await query(database.db, 'select noisy, times_ms from kv.throughput where batch_size = 2');
    expect(row).toEqual({ noisy: true, times_ms: [1000, 1040, 1080, 1120, 1160] });
  });
});

describe('latency', () => {
  const prompts = promptSet(2);
  const base = cellPlan('lat base', { prompts });
  const kivi = cellPlan('lat kivi', {
    prompts,
    compressor: { kivi: { bits: 4 } },
    label: 'kivi-4',
    baselineKey: base.key,
  });
  const ids = (n: number) => Array.from({ length: n }, (_, i) => i);
  const timed = (idx: number, n: number, prefillMs: number, decodeMs: number, over = {}) =>
    sampleRow(idx, ids(n), {
      stopId: 2,
      queueUs: 5000,
      prefillUs: prefillMs * 1000,
      decodeUs: decodeMs * 1000,
      ...over,
    });

  test('the decomposition of the design: tokens 1.33x faster, answers 1.5x longer, requests 1.12x slower', async () => {
    // Sums P 2 -> 2.2 s, Dt 8 -> 9 s, S 800 -> 1200 steps; one step per token with an end id.
    await finishedSweep(
      database.db,
      'latency',
      [
        {
          plan: base,
          lists: [ids(400), ids(400)],
          over: { samples: [timed(0, 400, 1000, 4000), timed(1, 400, 1000, 4000)] },
        },
        {
          plan: kivi,
          lists: [ids(900), ids(300)],
          over: { samples: [timed(0, 900, 1100, 6750), timed(1, 300, 1100, 2250)] },
        },
      ],
      { promptSets: [prompts] },
    );
    const [row] = await query<Record<string, number>>(
      database.db,
      `select * from kv.e2e_latency_summary where label = 'kivi-4'`,
    );
    const {
      x_tokens_faster: x,
      y_answers_longer: y,
      service_ratio: ratio,
      base_decode_share: w,
      prefill_ratio: p,
    } = row as Record<string, number>;
    expect(x).toBeCloseTo(1.3333333, 6);
    expect(y).toBeCloseTo(1.5, 9);
    expect(w).toBeCloseTo(0.8, 9);
    expect(ratio).toBeCloseTo(1.12, 9);
    expect((w! * y!) / x! + (1 - w!) * p!).toBeCloseTo(ratio!, 12);
    expect(row).toMatchObject({ n: 2, share_slower: 0.5, share_paradox: 0.5 });
    const [first] = await query(
      database.db,
      `select e2e_ms, service_ms, base_service_ms, tpot_ms, base_tpot_ms, paradox from kv.e2e_latency where prompt_key = 'chat/0000'`,
    );
    expect(first).toEqual({
      e2e_ms: 7855,
      service_ms: 7850,
      base_service_ms: 5000,
      tpot_ms: 7.5,
      base_tpot_ms: 10,
      paradox: true,
    });
  });

  test('times of two devices are not compared', async () => {
    const other = cellPlan('lat other', {
      prompts,
      compressor: { kivi: { bits: 2 } },
      label: 'kivi-2',
      baselineKey: base.key,
    });
    await finishedSweep(database.db, 'devices', [
      {
        plan: other,
        lists: [ids(5), ids(5)],
        over: { samples: [timed(0, 5, 1, 1), timed(1, 5, 1, 1)], provenance: { device: { name: 'another cpu' } } },
      },
    ]);
    const rows = await query(
      database.db,
      `select service_ms, base_service_ms, time_ratio, paradox, l_base from kv.e2e_latency where label = 'kivi-2' limit 1`,
    );
    expect(rows).toEqual([{ service_ms: 2, base_service_ms: null, time_ratio: null, paradox: null, l_base: 400 }]);
    expect(await query(database.db, `select 1 from kv.e2e_latency_summary where label = 'kivi-2'`)).toEqual([]);
  });

  test.each([
    // tokens, end id, decode steps: an end id costs one step more, a stop string none.
    [63, 2, 63],
    [63, null, 62],
    [1, null, 0],
    [0, 2, 0],
    [0, null, -1],
  ])('an answer of %s tokens with stop id %s took %s steps', async (n, stopId, steps) => {
    expect(await query(database.db, 'select decode_steps($1, $2) as steps', [n, stopId])).toEqual([{ steps }]);
  });
});
