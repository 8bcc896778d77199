/** What an aggregation does when something has changed, and what it leaves alone. */
import { beforeAll, expect, test } from 'vitest';
import { aggregateSweep } from '../activities/aggregate/sweep.ts';
import { query } from '../activities/database.ts';
import { type MergeableSummary, merge } from '../analysis/summaries.ts';
import type { PromptSetPlan } from '../workflows/plan.ts';
import { useDatabase } from './support/database.ts';
import { cellPlan, promptSet } from './support/plans.ts';
import { sampleRow } from './support/rows.ts';
import { finishedSweep } from './support/sweeps.ts';

const database = useDatabase();
/** Two task types and a prompt without one; answers hold their token ids as text, and 7 is the right one. */
const prompts: PromptSetPlan = {
  ...promptSet(5, 'typed'),
  prompts: promptSet(5, 'typed').prompts.map((prompt, i) => ({
    ...prompt,
    metric: 'contains',
    references: ['7'],
    ...(i < 4 ? { taskType: i < 2 ? 'QA' : 'Code' } : {}),
  })),
};
const base = cellPlan('base', { prompts });
const family = { prompts, baselineKey: base.key };
const kivi = cellPlan('kivi', { ...family, compressor: { kivi: { bits: 4 } }, label: 'kivi-4' });
const tova = cellPlan('tova', { ...family, compressor: { tova: {} }, label: 'tova' });
const noise = cellPlan('noise', { ...family, noise: { kind: 'batch', no: 0 } });
const other = cellPlan('other base', { prompts, batch: 2 });
const CELLS = [base, kivi, tova, noise, other];
const LISTS = [
  [[7], [7, 1], [7, 2], [7, 3], [7, 4]],
  [[7], [1], [7, 2, 2, 2], [3, 3], [4]],
  [[7], [7, 1], [7, 2], [7, 3], [7, 4, 4]],
  [[7], [7, 1], [7, 2], [3], [7, 4]],
  [[7], [7, 1], [7, 2], [7, 3], [7, 4]],
];
let sweepNo: number;

beforeAll(async () => {
  ({ sweepNo } = await finishedSweep(
    database.db,
    'incremental',
    CELLS.map((plan, i) => ({ plan, lists: LISTS[i]! })),
    { promptSets: [prompts] },
  ));
  await aggregateSweep(database.db, sweepNo, undefined, { resamples: 100 });
});

/** Everything that aggregation stores, without the time at which it was stored. */
const TABLES = [
  'score',
  'cell_stats',
  'estimate',
  'output_diff',
  'negative_threshold',
  'negative_summary',
  'negative_set',
];
async function stored(): Promise<Record<string, unknown[]>> {
  const found: Record<string, unknown[]> = {};
  for (const table of TABLES) {
    const rows = await query<{ row: object }>(
      database.db,
      `select to_jsonb(t) - 'computed_at' as row from ${table} t order by 1`,
    );
    found[table] = rows.map(({ row }) => row);
  }
  return found;
}

/** Runs the aggregation; says which cells each stage took. */
async function aggregate(): Promise<Record<string, number[]>> {
  const [clock] = await query<{ now: string }>(database.db, 'select clock_timestamp()::text as now');
  await aggregateSweep(database.db, sweepNo, undefined, { resamples: 100 });
  const rows = await query<{ stage: string; cells: number[] }>(
    database.db,
    `select stage, array_agg(cell_no order by cell_no) as cells from cell_stage
      where sweep_no = $1 and computed_at > $2::timestamptz group by stage`,
    [sweepNo, clock!.now],
  );
  return Object.fromEntries(rows.map(({ stage, cells }) => [stage, cells]));
}

const finish = async (cellNo: number) =>
  await query(database.db, 'update cell set finished_at = clock_timestamp() where sweep_no = $1 and cell_no = $2', [
    sweepNo,
    cellNo,
  ]);

test('what is up to date is left alone', async () => {
  expect(await aggregate()).toEqual({});
});

test('a changed cell is computed anew, and no other', async () => {
  await finish(1);
  expect(await aggregate()).toEqual({ scores: [1], lengths: [1], negatives: [1], intervals: [1], diagnostics: [1] });
});

test('a changed baseline makes its pairs stale, but not their scores, nor what has another baseline', async () => {
  await finish(0);
  const pairs = [0, 1, 2, 3];
  expect(await aggregate()).toEqual({
    scores: [0],
    lengths: pairs,
    negatives: pairs,
    intervals: pairs,
    diagnostics: pairs,
  });
});

test('a changed noise cell makes stale what is held against it', async () => {
  await finish(3);
  expect(await aggregate()).toEqual({
    scores: [3],
    lengths: [3],
    negatives: [1, 2, 3],
    intervals: [1, 2, 3],
    diagnostics: [3],
  });
});

test('new rows change the numbers of their cell, in every stage', async () => {
  const before = await stored();
  const row = sampleRow(2, [1, 1]);
  await query(
    database.db,
    `update sample set new_tokens = 2, out_sha = decode($3, 'hex'), text_sha = (select text_sha from sample
                                 where sweep_no = $1 and cell_no = 1 and sample_idx = 1)
      where sweep_no = $1 and cell_no = $2 and sample_idx = 2`,
    [sweepNo, 2, row.outSha],
  );
  await query(
    database.db,
    `insert into output (sha, size, bytes) values (decode($1, 'hex'), 8, '\\x0100000001000000')`,
    [row.outSha],
  );
  await finish(2);
  await aggregate();
  const after = await stored();
  const of = (rows: unknown[], cellNo: number) => rows.filter((r) => (r as { cell_no: number }).cell_no === cellNo);
  for (const table of ['score', 'cell_stats', 'estimate', 'output_diff', 'negative_summary', 'negative_set']) {
    expect(of(after[table]!, 2), table).not.toEqual(of(before[table]!, 2));
    expect(of(after[table]!, 1), table).toEqual(of(before[table]!, 1));
  }
  const scores = of(after.score!, 2) as { sample_idx: number; score: number }[];
  expect(scores.find((s) => s.sample_idx === 2)!.score).toBe(0);
});

test('two at once from scratch store what one does', async () => {
  const before = await stored();
  await query(database.db, `truncate ${[...TABLES, 'cell_stage'].join(', ')}`);
  await Promise.all([1, 2].map(() => aggregateSweep(database.db, sweepNo, undefined, { resamples: 100 })));
  expect(await stored()).toEqual(before);
  expect(await aggregate()).toEqual({});
});

test('another version of a stage computes all of it again, and what it says is replaced', async () => {
  await query(database.db, "update cell_stage set version = 'old' where stage = 'diagnostics'");
  expect(await aggregate()).toEqual({ diagnostics: [0, 1, 2, 3, 4] });
});

test('a failure ends the stage; what was marked before it stays done', async () => {
  await query(database.db, "delete from cell_stage where stage in ('lengths', 'negatives')");
  let beats = 0;
  const failing = aggregateSweep(database.db, sweepNo, (stage) => {
    if (stage === 'negatives' && ++beats > 1) throw new Error('stopped');
  });
  await expect(failing).rejects.toThrow('stopped');
  const [left] = await query<{ stages: string[] }>(
    database.db,
    'select array_agg(distinct stage order by stage) as stages from cell_stage where sweep_no = $1',
    [sweepNo],
  );
  expect(left!.stages).toEqual(['diagnostics', 'intervals', 'lengths', 'scores']);
  expect(await aggregate()).toEqual({ negatives: [0, 1, 2, 3, 4] });
});

test('task types add up to the whole, but for prompts without one', async () => {
  const rows = await query<{ task_type: string; stats: MergeableSummary & { exact: object; own: { n: number } } }>(
    database.db,
    'select task_type, stats from cell_stats where sweep_no = $1 and cell_no = 1 order by task_type',
    [sweepNo],
  );
  expect(rows.map((row) => [row.task_type, row.stats.n, row.stats.own.n])).toEqual([
    ['', 5, 5],
    ['Code', 2, 2],
    ['QA', 2, 2],
  ]);
  const bare = ({ stats: { exact, own, ...sums } }: (typeof rows)[number]): MergeableSummary => sums;
  const whole = bare(rows[0]!);
  const types = merge(bare(rows[1]!), bare(rows[2]!));
  // the prompt without a type: 2 tokens against 1, so D = 0.5, the bin from 0.5 on
  expect(whole.sumBase - types.sumBase).toBe(2);
  expect(whole.sumComp - types.sumComp).toBe(1);
  expect(whole.histogram.map((n, i) => n - types.histogram[i]!).flatMap((n, i) => (n === 0 ? [] : [[i, n]]))).toEqual([
    [50, 1],
  ]);
});
