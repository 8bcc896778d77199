import { describe, expect, test } from 'vitest';
import { aggregateSweep } from '../activities/aggregate/sweep.ts';
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
    const { sweepNo } = await finishedSweep(
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
    await aggregateSweep(database.db, sweepNo, undefined, { resamples: 20 });
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

/** Speeds by prompt length: seconds of prefill for the whole batch, milliseconds of a decode step. */
type Speed = [promptTokens: number, prefillS: number, tpotMs: number];

describe('modelled latency', () => {
  const prompts = promptSet(3, 'modelled');
  const NONE = { none: {} };
  const KIVI = { kivi: { bits: 3 } };
  const device = (name: string) => ({ provenance: { device: { name } } });

  /** A throughput cell that timed five equal runs of 64 steps. */
  function timedCell(
    compressor: JsonObject,
    batch: number,
    [T, prefillS, tpotMs]: Speed,
    memory: number | null = null,
  ) {
    const label = Object.keys(compressor)[0]!;
    const workload = { throughput: { prompt_tokens: T, new_tokens: 64, warmup: 1, repeats: 5, seed: 1 } };
    const name = (of: string) => `speed ${of} ${memory === null ? batch : 'max'} ${T}`;
    const plan = cellPlan(name(label), {
      compressor,
      label,
      batch,
      workload,
      prompts: null,
      baselineKey: label === 'none' ? null : sha(name('none')),
    });
    const run = memory === null ? plan.run : { ...plan.run, batch: 'max' as const, memory_limit: memory };
    const row = (phase: 'prefill' | 'decode', seconds: number, tokens: number): ThroughputRow[] =>
      [0, 1, 2, 3, 4].map((repeat) => ({
        ...{ phase, repeat, guard: false, batch, promptTokens: T, steps: phase === 'decode' ? 64 : 0, tokens, seconds },
        ...{
          bytesStep: null,
          boundS: null,
          peakBytes: null,
          bytesEnd: null,
          keptMean: null,
          clockMhz: null,
          usStep: null,
        },
      }));
    const throughput = [...row('prefill', prefillS, batch * T), ...row('decode', (64 * tpotMs) / 1000, batch * 64)];
    const summary = { ...SUMMARY, batch, max_batch: memory === null ? null : batch };
    return { plan: { ...plan, run }, over: { throughput, summary, ...device('modelled cpu') } };
  }

  const ids = (n: number) => Array.from({ length: n }, (_, i) => i);
  /** An answer that ended by an end id takes a step per token. */
  const answer = (idx: number, promptTokens: number, n: number) =>
    sampleRow(idx, ids(n), { promptTokens, prefillUs: 1000, decodeUs: 1000, promptSha: sha(`modelled ${idx}`) });
  const base = cellPlan('modelled base', { prompts });
  const comp = cellPlan('modelled comp', { prompts, compressor: KIVI, label: 'kivi', baselineKey: base.key });
  const lengths = [
    {
      plan: base,
      lists: [ids(100), ids(40), ids(10)],
      over: { samples: [answer(0, 200, 100), answer(1, 50, 40), answer(2, 1600, 10)], ...device('modelled cpu') },
    },
    {
      plan: comp,
      lists: [ids(150), ids(40), ids(20)],
      over: { samples: [answer(0, 200, 150), answer(1, 50, 40), answer(2, 1600, 20)], ...device('modelled cpu') },
    },
  ];
  const MODELLED = `select prompt_key, mod_batch_size, mod_service_ms, mod_base_service_ms, mod_time_ratio
                      from kv.e2e_latency where cell_key = $1 order by prompt_key`;

  test('without throughput cells nothing is modelled', async () => {
    await finishedSweep(database.db, 'lengths', lengths, { promptSets: [prompts] });
    const rows = await query<Record<string, unknown>>(database.db, MODELLED, [comp.key]);
    expect(rows.length).toBe(3);
    expect(rows[0]).toMatchObject({ mod_batch_size: null, mod_service_ms: null, mod_base_service_ms: null });
    expect(await query(database.db, 'select 1 from kv.e2e_latency_at_max')).toEqual([]);
  });

  test('prefill at the rate of one sequence plus steps at the step time, linear in ln of the prompt length', async () => {
    await finishedSweep(database.db, 'speeds by length', [
      timedCell(NONE, 1, [100, 0.1, 10]),
      timedCell(NONE, 1, [400, 0.5, 12]),
      timedCell(KIVI, 1, [100, 0.2, 5]),
      timedCell(KIVI, 1, [400, 1, 8]),
      // one method alone at a batch size: nothing to compare there
      timedCell(KIVI, 2, [100, 9, 9]),
    ]);
    const rows = await query<Record<string, number>>(database.db, MODELLED, [comp.key]);
    // 200 is half way from 100 to 400 in logarithms: rates 900 and 450 tokens/s, steps of 11 and 6.5 ms
    expect(rows[0]!.mod_base_service_ms).toBeCloseTo(200_000 / 900 + 100 * 11, 9);
    expect(rows[0]!.mod_service_ms).toBeCloseTo(200_000 / 450 + 150 * 6.5, 9);
    expect(rows[0]!.mod_time_ratio).toBeCloseTo((200_000 / 450 + 975) / (200_000 / 900 + 1100), 12);
    // outside the points the nearest one counts
    expect(rows[1]!.mod_service_ms).toBeCloseTo(50_000 / 500 + 40 * 5, 9);
    expect(rows[2]!.mod_service_ms).toBeCloseTo(1_600_000 / 400 + 20 * 8, 9);
    expect(rows[2]!.mod_base_service_ms).toBeCloseTo(1_600_000 / 800 + 10 * 12, 9);
    expect(rows.map((row) => row.mod_batch_size)).toEqual([1, 1, 1]);
    // measured columns know nothing of it: 1 + 1 ms
    const [measured] = await query(database.db, 'select service_ms from kv.e2e_latency where cell_key = $1 limit 1', [
      comp.key,
    ]);
    expect(measured).toEqual({ service_ms: 2 });
  });

  test('a question for measured times alone does not read throughput cells', async () => {
    const planOf = async (columns: string) =>
      (await query<{ 'QUERY PLAN': string }>(database.db, `explain select ${columns} from kv.e2e_latency`))
        .map((row) => row['QUERY PLAN'])
        .join('\n');
    expect(await planOf('service_ms, time_ratio, paradox')).not.toContain('throughput_run');
    expect(await planOf('mod_service_ms')).toContain('throughput_run');
  });

  test('speeds of another device model nothing', async () => {
    const prompts2 = promptSet(1, 'elsewhere');
    const base2 = cellPlan('elsewhere base', { prompts: prompts2 });
    const comp2 = cellPlan('elsewhere comp', {
      prompts: prompts2,
      compressor: KIVI,
      label: 'kivi',
      baselineKey: base2.key,
    });
    const over = { samples: [answer(0, 200, 100)], ...device('another cpu') };
    await finishedSweep(
      database.db,
      'elsewhere',
      [
        { plan: base2, lists: [ids(100)], over },
        { plan: comp2, lists: [ids(100)], over },
      ],
      { promptSets: [prompts2] },
    );
    const rows = await query(database.db, MODELLED, [comp2.key]);
    expect(rows).toMatchObject([{ mod_batch_size: null, mod_service_ms: null }]);
  });

  test('at own largest batches: what a request takes, and how many are finished per second', async () => {
    const memory = 2 ** 27;
    await finishedSweep(database.db, 'largest', [
      timedCell(NONE, 4, [100, 0.4, 16], memory),
      timedCell(KIVI, 8, [100, 1.6, 20], memory),
      // larger, but by decree and in other memory: no own maximum of this limit
      timedCell(KIVI, 16, [100, 99, 99]),
      timedCell(NONE, 16, [100, 99, 99]),
    ]);
    const rows = await query<Record<string, number | string | null>>(
      database.db,
      'select * from kv.e2e_latency_at_max where cell_key = $1 order by cache_memory',
      [comp.key],
    );
    expect(rows.map((row) => [row.cache_memory, row.own_batch_size, row.base_batch_size])).toEqual([
      [memory, 8, 4],
      // nearest to the mean prompt of 617 tokens are the cells of 400, which ran at batch size 1 only
      [null, 1, 1],
    ]);
    // Rates of one sequence 100 / 0.4 = 250 and 100 / 1.6 = 62.5 tokens/s at the one length of these batches.
    const prefill = [200, 50, 1600].map((tokens) => [(1000 * tokens) / 250, (1000 * tokens) / 62.5] as const);
    const decode = [
      [100 * 16, 150 * 20],
      [40 * 16, 40 * 20],
      [10 * 16, 20 * 20],
    ];
    const sum = (of: (readonly number[])[], i: number) => of.reduce((total, row) => total + row[i]!, 0);
    const [baseMs, compMs] = [0, 1].map((i) => sum(prefill, i) + sum(decode, i)) as [number, number];
    const row = rows[0]!;
    expect(row).toMatchObject({
      n: 3,
      prompt_tokens: 100,
      answers_batch_size: 1,
      device: 'modelled cpu',
      mod_share_slower: 1,
    });
    expect(row.y_answers_longer).toBeCloseTo(210 / 150, 12);
    expect(row.mod_x_tokens_faster).toBeCloseTo(16 / 20, 12);
    expect(row.mod_prefill_ratio).toBeCloseTo(4, 12);
    expect(row.mod_service_ratio).toBeCloseTo(compMs / baseMs, 12);
    expect(row.mod_base_decode_share).toBeCloseTo(sum(decode, 0) / baseMs, 12);
    expect(row.mod_requests_faster).toBeCloseTo(8 / compMs / (4 / baseMs), 12);
    // the identity of the decomposition holds for the modelled times too
    const [w, y, x, p] = [
      row.mod_base_decode_share,
      row.y_answers_longer,
      row.mod_x_tokens_faster,
      row.mod_prefill_ratio,
    ] as [number, number, number, number];
    expect((w * y) / x + (1 - w) * p).toBeCloseTo(row.mod_service_ratio as number, 12);
  });

  test('the speed-up of own maxima is that of the searched batches; at different batches there is no same-batch speed-up', async () => {
    const rows = await query<Record<string, number | boolean | null>>(
      database.db,
      `select label, batch_size, tok_s, base_tok_s, s_same, max_batch, base_max_batch, s_max, searched, cache_memory
         from kv.throughput where phase = 'decode' and prompt_tokens = 100 order by searched, label, batch_size`,
    );
    const searched = rows.filter((row) => row.searched);
    // 4 sequences a step of 16 ms against 8 a step of 20 ms
    expect(searched.map((row) => row.tok_s)).toEqual([400, 250]);
    expect(searched[0]).toMatchObject({
      ...{
        batch_size: 8,
        base_tok_s: null,
        s_same: null,
        max_batch: 8,
        base_max_batch: 4,
        s_max: 1.6,
        cache_memory: 2 ** 27,
      },
    });
    expect(rows.find((row) => !row.searched && row.label === ('kivi' as never) && row.batch_size === 1)).toMatchObject({
      ...{ s_same: 2, max_batch: 16, base_max_batch: 16, cache_memory: null },
    });
  });
});
