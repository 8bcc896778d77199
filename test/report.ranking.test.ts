/** The ranking of a family of compressors: from made-up figures, and from stored rows. */
import { expect, test } from 'vitest';
import { aggregateSweep } from '../activities/aggregate/sweep.ts';
import { rankingLines } from '../report/answers.ts';
import { readReport } from '../report/data.ts';
import { renderReport } from '../report/html.ts';
import { limitsOf } from '../report/limits.ts';
import { renderMarkdown } from '../report/markdown.ts';
import type { MemoryEntry, PerplexityRow, ReportModel, ScoreEntry, ThroughputPoint } from '../report/model.ts';
import { ranking } from '../report/ranking.ts';
import { syntheticReport } from './fixtures/synthetic-report.ts';
import { useDatabase } from './support/database.ts';
import { cellPlan, promptSet } from './support/plans.ts';
import { commitInput, sampleRow } from './support/rows.ts';
import { finishedSweep } from './support/sweeps.ts';

const database = useDatabase();

interface Made {
  label: string;
  share: number;
  ppl?: number;
  score?: number;
  sSame?: number | null;
  inert?: boolean;
}

function family(rows: readonly Made[]): ReportModel {
  const model = syntheticReport(4);
  model.generations = [];
  const name = (r: Made) => ({
    model: 'm',
    label: r.label,
    batch: 1,
    isBaseline: r.label === 'none',
    inert: r.inert ?? false,
  });
  model.memory = rows.map(
    (r): MemoryEntry => ({
      ...name(r),
      bytesEnd: r.share * 1000,
      bytesF16: 1000,
      bytesIdeal: r.label === 'drops' ? null : r.share * 900,
    }),
  );
  model.perplexities = rows.flatMap((r): PerplexityRow[] =>
    r.ppl === undefined
      ? []
      : [
          {
            ...name(r),
            dataset: 'fixed_text',
            nTokens: 100,
            ppl: r.ppl,
            top1: 0.5,
            delta: r.label === 'none' ? null : { value: Math.log(r.ppl / 10), lo: -0.01, hi: 0.5 },
          },
        ],
  );
  model.scores = rows.flatMap((r): ScoreEntry[] =>
    r.score === undefined
      ? []
      : [
          {
            ...name(r),
            dataset: 'niah_single_2',
            metric: 'string_all',
            n: 8,
            score: r.score,
            delta: null,
            nWorse: null,
            nBetter: null,
          },
        ],
  );
  const point = (r: Made, batch: number): ThroughputPoint => ({
    ...name(r),
    batch,
    isMax: false,
    memory: null,
    phase: 'decode',
    tokS: 100 * (r.sSame ?? 1),
    tokSQ25: 1,
    tokSQ75: 1,
    repeats: 5,
    noisy: false,
    drift: null,
    sSame: r.label === 'none' ? null : (r.sSame ?? null),
    own: null,
    boundMs: null,
    ofBound: null,
    bytesEnd: null,
  });
  model.throughputs = [
    {
      model: 'm',
      backend: 'cpu',
      device: null,
      promptTokens: 512,
      newTokens: 32,
      points: rows.flatMap((r) => [point(r, 1), point(r, 8)]),
    },
  ];
  return model;
}

const FAMILY = family([
  { label: 'drops', share: 0.3, ppl: 14, score: 0.25, sSame: 1.5 },
  { label: 'none', share: 1, ppl: 10, score: 1 },
  { label: 'idle', share: 1, ppl: 10, score: 1, inert: true, sSame: null },
  { label: 'rounds', share: 0.28, ppl: 10.5, score: 0.875, sSame: 0.9 },
  { label: 'unscored', share: 0.29, sSame: 1.1 },
]);

test('rank is by perplexity; the baseline comes first, what did not act last, and neither has a rank', () => {
  const found = ranking(FAMILY)!;
  expect(found.by).toBe('perplexity');
  expect(found.rows.map((r) => [r.rank, r.label, r.ofF16, r.ppl, r.score, r.sSame])).toEqual([
    [null, 'none', 1, expect.closeTo(10), 1, null],
    [1, 'rounds', 0.28, expect.closeTo(10.5), 0.875, 0.9],
    [2, 'drops', 0.3, expect.closeTo(14), 0.25, 1.5],
    [null, 'unscored', 0.29, null, null, 1.1],
    [null, 'idle', null, expect.closeTo(10), 1, null],
  ]);
  expect(found.decodeAt).toEqual({ promptTokens: 512, batch: 8 });
});

test('without perplexity the rank is by the score', () => {
  const found = ranking({ ...FAMILY, perplexities: [] })!;
  expect(found.by).toBe('score');
  expect(found.rows.filter((r) => r.rank !== null).map((r) => r.label)).toEqual(['rounds', 'drops']);
});

test('nothing is ranked where fewer than two compressors were measured', () => {
  const bare = { ...syntheticReport(4), scores: [], memory: [] };
  expect(ranking(bare)).toBeNull();
  expect(
    ranking(
      family([
        { label: 'none', share: 1, ppl: 10 },
        { label: 'a', share: 0.5, ppl: 11 },
      ]),
    ),
  ).toBeNull();
});

test('the table stands in every form of the report', async () => {
  const page = await renderReport(FAMILY);
  expect(page).toContain('<h2 id="ranking">Ranking</h2>');
  expect(page).toContain('<a href="#ranking">');
  expect(page).toContain('They hold 28.0\u00a0% to 30.0\u00a0% of the f16 cache at the end.');
  const markdown = renderMarkdown(FAMILY);
  expect(markdown).toContain(
    '| 1. rounds | 28.0\u00a0% | 25.2\u00a0% | 10.50 | 0.049 (−0.010 to 0.500) | 88\u00a0% of 8 | – | 90.0 | 0.90× |',
  );
  const lines = rankingLines(FAMILY, 200);
  expect(lines[1]).toContain('In the order of perplexity');
  expect(lines).toHaveLength(8);
  expect(await renderReport({ ...syntheticReport(4), scores: [] })).not.toContain('id="ranking"');
});

test('stored rows give the ranking, and an inert cell is told with the reason', async () => {
  const prompts = {
    ...promptSet(2, 'codes'),
    prompts: promptSet(2, 'codes').prompts.map((p) => ({ ...p, metric: 'string_all', references: ['77'] })),
  };
  const { summary } = commitInput({ sweepNo: 0, cellNo: 0, lease: '' }, []);
  const score = { score: { top_k: 1 } };
  const cells = ['none', 'drops', 'rounds', 'idle'].map((method, i) => {
    const more = { prompts, compressor: { [method]: { at: 300 } }, label: method };
    const base = (kind: string) => (method === 'none' ? null : cellPlan(`rank ${kind} none`).key);
    return [
      { plan: cellPlan(`rank gen ${method}`, { ...more, baselineKey: base('gen') }), i },
      { plan: cellPlan(`rank ppl ${method}`, { ...more, workload: score, baselineKey: base('ppl') }), i },
    ];
  });
  const made = cells.flat().map(({ plan, i }) => {
    const generates = plan.workload === 'generate';
    // Needles found: both, one, both, both. Perplexity: e^1, e^2, e^1.5, e^1.
    const lists = generates
      ? [
          [77, 1],
          [i === 1 ? 5 : 77, 2],
        ]
      : [[1, 2]];
    const logprob = -2 * [1, 2, 1.5, 1][i]!;
    const samples = lists.map((list, at) =>
      sampleRow(at, list, {
        bytesEnd: [8192, 2048, 1024, 8192][i]!,
        ...(generates
          ? {}
          : { finish: 'length' as const, stopId: null, textSha: null, extra: { logprob_sum: logprob, n_match: 1 } }),
      }),
    );
    return { plan, lists, over: { samples, summary: { ...summary, inert: i === 3 } } };
  });
  const { sweepNo } = await finishedSweep(database.db, 'family', made, { promptSets: [prompts] });
  await aggregateSweep(database.db, sweepNo, undefined, { resamples: 100 });
  const model = await readReport(database.db, 'family');
  const found = ranking(model)!;
  expect(found.rows.map((r) => [r.rank, r.label, r.ofF16, r.ppl, r.score, r.nScored])).toEqual([
    [null, 'none', 1, expect.closeTo(Math.E), 1, 2],
    [1, 'rounds', 0.125, expect.closeTo(Math.exp(1.5)), 1, 2],
    [2, 'drops', 0.25, expect.closeTo(Math.exp(2)), 0.5, 2],
    [null, 'idle', null, expect.closeTo(Math.E), 1, 2],
  ]);
  expect(found.rows[2]!.delta!.value).toBeCloseTo(1, 12);
  const told = limitsOf(model).filter((line) => line.startsWith('idle'));
  expect(told).toHaveLength(2);
  expect(told[0]).toBe(
    'idle (generate, codes, batch 1) left the cache as it was and is kept out of comparisons: none of its 2 samples was long enough for it to act, the longest had 12 tokens. It ran as {"idle":{"at":300}}.',
  );
});
