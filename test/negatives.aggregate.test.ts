/** Stored counts and sets beside the live view, with replicates, noise, inert cells, and through the reader's wall. */
import { beforeAll, describe, expect, test } from 'vitest';
import { aggregateNegatives, type NegativeCell } from '../activities/aggregate/negatives.ts';
import { query } from '../activities/database.ts';
import { readerUrl, runReadOnly } from '../activities/reader.ts';
import { isRobustNegative, replicateScores, thresholdsOf } from '../analysis/negatives.ts';
import { SplitMix64 } from '../analysis/random.ts';
import type { PromptSetPlan } from '../workflows/plan.ts';
import { useDatabase } from './support/database.ts';
import { documented } from './support/documented.ts';
import { cellPlan, promptSet } from './support/plans.ts';
import { commitInput } from './support/rows.ts';
import { finishedSweep } from './support/sweeps.ts';

const database = useDatabase();
const N = 150;
const prompts: PromptSetPlan = {
  ...promptSet(N, 'tasks'),
  prompts: promptSet(N, 'tasks').prompts.map((p, i) => ({ ...p, taskType: i % 3 === 0 ? 'qa' : 'code' })),
};
const base = cellPlan('neg none', { prompts });
const of = (name: string, over: Parameters<typeof cellPlan>[1] = {}) =>
  cellPlan(`neg ${name}`, { prompts, baselineKey: base.key, ...over });
const cells = [
  base,
  of('kivi', { compressor: { kivi: { bits: 4 } }, label: 'kivi-4' }),
  of('kivi-2', { compressor: { kivi: { bits: 2 } }, label: 'kivi-2' }),
  of('inert', { compressor: { kivi: { bits: 8 } }, label: 'kivi-8' }),
  of('noise 0', { noise: { kind: 'batch', no: 0 }, batch: 2 }),
  of('noise 1', { noise: { kind: 'batch', no: 1 }, batch: 4 }),
  of('rerun', { noise: { kind: 'rerun', no: 0 } }),
  of('twin', { compressor: { kivi: { bits: 4 } }, label: 'kivi-4', batch: 2 }),
];
const [NONE, KIVI, , INERT, NOISE0, NOISE1, RERUN, TWIN] = cells.keys();
const { summary } = commitInput({ sweepNo: 0, cellNo: 0, lease: '' }, []);
const random = SplitMix64.fromKey('scores of the aggregate test');
const draw = () => random.below(11) / 10;
const near = (b: number) => (random.below(4) === 0 ? draw() : b);
const baseScores = Array.from({ length: N }, () => (random.below(4) === 0 ? 0 : draw()));
const scores = cells.map((_, c) => (c === NONE ? baseScores : baseScores.map(near)));
// The replicate fails where its cell fails, mostly: some negatives survive it, some do not.
scores[TWIN!] = scores[KIVI!]!.map(near);
let sweepNo: number;
let stale: NegativeCell[];

beforeAll(async () => {
  const finished = await finishedSweep(
    database.db,
    'negatives',
    cells.map((plan, c) => ({
      plan,
      lists: Array.from({ length: 2 }, (_, i) => [c, i]),
      over: { summary: { ...summary, inert: c === INERT } },
    })),
    { promptSets: [prompts] },
  );
  sweepNo = finished.sweepNo;
  await query(database.db, 'update cell set replicate_of = $1 where cell_no = $2', [
    Buffer.from(cells[KIVI!]!.key, 'hex'),
    TWIN,
  ]);
  for (const [c, list] of scores.entries()) await setScores(c, list);
  stale = cells.map((plan, c) => ({
    sweepNo,
    cellNo: c,
    isBaseline: plan.isBaseline,
    noiseKind: plan.noiseKind,
    inert: c === INERT,
    baseline: plan.isBaseline ? null : { sweepNo, cellNo: NONE! },
  }));
  await aggregate(stale);
});

async function setScores(cellNo: number, list: readonly number[]): Promise<void> {
  await query(database.db, 'delete from score where sweep_no = $1 and cell_no = $2', [sweepNo, cellNo]);
  await query(
    database.db,
    `insert into score (sweep_no, cell_no, sample_idx, rep, metric, scorer_version, score)
     select $1, $2, no - 1, 0, 'qa_f1', 'test', score from unnest($3::float8[]) with ordinality as u (score, no)`,
    [sweepNo, cellNo, list],
  );
}

const aggregate = async (of: readonly NegativeCell[]) =>
  await aggregateNegatives(database.db, of, async () => undefined);

/** Everything that the stage stores, without the times. */
async function stored(): Promise<unknown> {
  const tables = ['negative_threshold', 'negative_summary', 'negative_set'];
  return await Promise.all(
    tables.map(
      async (table) =>
        await query(
          database.db,
          `select to_jsonb(t) - 'computed_at' as row from ${table} t order by cell_no, to_jsonb(t) ->> 'task_type'`,
        ),
    ),
  );
}

describe('what is stored', () => {
  test('equals the live view: every count, by cell, task type, rule and theta', async () => {
    const live = (taskType: string) => `
      select cell_key, ${taskType} as task_type, rule, theta, count(*)::int as n,
             count(*) filter (where eligible)::int as eligible, count(*) filter (where negative)::int as negatives,
             count(*) filter (where mirrored)::int as mirrored,
             case when count(robust_negative) > 0 then (count(*) filter (where robust_negative))::int end as robust,
             case when count(stable) > 0 then (count(*) filter (where stable and eligible))::int end as stable,
             avg(base_score) filter (where negative) as mean_base, avg(score) filter (where negative) as mean_score,
             min(threshold) as threshold
        from kv.negatives
       group by 1, 2, 3, 4`;
    const [rows, summaries] = await Promise.all(
      [
        `select * from (${live(`''`)} union all ${live('task_type')}) t`,
        `select cell_key, task_type, rule, theta, n, eligible, negatives, mirrored, robust, stable, mean_base, mean_score,
                threshold
           from kv.negatives_summary`,
      ].map(
        async (text) =>
          await query<Record<string, unknown>>(database.db, `${text} order by cell_key, task_type, rule, theta`),
      ),
    );
    // two compressed cells, two noise cells and the rerun; all pairs, qa, code; 4 rules, 8 thetas
    expect(rows).toHaveLength(5 * 3 * 4 * 8);
    const rounded = (list: typeof rows) =>
      list!.map((row) => ({
        ...row,
        mean_base: row.mean_base === null ? null : Number((row.mean_base as number).toFixed(12)),
        mean_score: row.mean_score === null ? null : Number((row.mean_score as number).toFixed(12)),
      }));
    expect(rounded(summaries)).toEqual(rounded(rows));
  });

  test('the sparse sets hold what the live view calls negative, mirrored and robust, but for 0 against 0', async () => {
    const rows = await query<{ where: string; live: number; sets: number }>(
      database.db,
      `with live as (
         select cell_key, prompt_key, rule, max(theta) filter (where negative) as negative_to,
                max(theta) filter (where mirrored) as mirrored_to,
                case when count(robust_negative) > 0
                     then coalesce(array_agg(theta order by theta) filter (where robust_negative), '{}') end as robust_at
           from kv.negatives
          where rule <> 'artifact' and (base_score > 0 or score > 0)
          group by cell_key, prompt_key, rule
         having bool_or(negative) or bool_or(mirrored) or bool_or(robust_negative)
       ), sets as (
         select cell_key, prompt_key, rule, negative_to, mirrored_to, robust_at from kv.negative_sets
       )
       select 'live alone' as where, (select count(*) from (select * from live except select * from sets) t) as n
        union all
       select 'sets alone', (select count(*) from (select * from sets except select * from live) t)
        union all
       select 'sets', count(*) from sets`,
    );
    expect(rows).toEqual([
      { where: 'live alone', n: 0 },
      { where: 'sets alone', n: 0 },
      { where: 'sets', n: expect.any(Number) },
    ]);
    expect((rows[2] as unknown as { n: number }).n).toBeGreaterThan(100);
  });

  test('thresholds are those of the baseline alone; the robust ones are over the mean score of each record', async () => {
    const own = thresholdsOf(baseScores)!;
    const means = baseScores.map((b, i) => (b + scores[NOISE0!]![i]! + scores[NOISE1!]![i]!) / 3);
    const robust = thresholdsOf(means)!;
    expect(
      await query(
        database.db,
        'select n, median, mean, rep_cells, robust_median, robust_mean from negative_threshold where sweep_no = $1',
        [sweepNo],
      ),
    ).toEqual([
      {
        n: N,
        median: own.median,
        mean: own.mean,
        // the rerun changes nothing, so it is no replicate
        rep_cells: [NOISE0, NOISE1],
        robust_median: robust.median,
        robust_mean: robust.mean,
      },
    ]);
  });

  test('a robust negative holds against every uncompressed run and every replicate of the compressed cell', async () => {
    const means = baseScores.map((b, i) => (b + scores[NOISE0!]![i]! + scores[NOISE1!]![i]!) / 3);
    const threshold = thresholdsOf(means)!.median;
    const expected = baseScores.flatMap((b, i) => {
      const r = replicateScores(
        [b, scores[NOISE0!]![i]!, scores[NOISE1!]![i]!],
        [scores[KIVI!]![i]!, scores[TWIN!]![i]!],
      )!;
      return isRobustNegative(r, threshold, 0.1, 'default') ? [prompts.prompts[i]!.key] : [];
    });
    expect(expected.length).toBeGreaterThan(0);
    const rows = await query<{ prompt_key: string }>(
      database.db,
      `select prompt_key from kv.negative_rows(0.1, 'default') where label = 'kivi-4' and robust_negative order by prompt_key`,
    );
    expect(rows.map((row) => row.prompt_key)).toEqual(expected);
  });

  test('the noise count is that of the first noise cell; noise cells have none of their own', async () => {
    const rows = await query<{
      label: string;
      noise: string | null;
      negatives: number;
      noise_negatives: number | null;
    }>(
      database.db,
      `select n.label, c.noise_kind || c.cell_no as noise, n.negatives, n.noise_negatives, n.base_runs, n.runs
         from kv.negatives_summary n join kv.cells c using (cell_key)
        where task_type = '' and rule = 'default' and theta = 0.1 order by c.cell_no`,
    );
    const floor = rows.find((row) => row.noise === `batch${NOISE0}`)!.negatives;
    expect(rows.map((row) => row.noise_negatives)).toEqual([floor, floor, null, null, null]);
    expect(rows.slice(0, 2)).toEqual([
      expect.objectContaining({ label: 'kivi-4', base_runs: 3, runs: 2 }),
      expect.objectContaining({ label: 'kivi-2', base_runs: 3, runs: 1 }),
    ]);
  });

  test('inert cells and replicates of compressed cells are in no view', async () => {
    for (const view of ['negatives', 'negative_pairs', 'negatives_summary', 'negative_sets', 'pairs']) {
      const rows = await query(database.db, `select cell_key from kv.${view} where cell_key = any($1)`, [
        [cells[INERT!]!.key, cells[TWIN!]!.key],
      ]);
      expect([view, rows]).toEqual([view, []]);
    }
  });
});

describe('doing it again', () => {
  test('twice at once, or cell by cell, changes no row', async () => {
    const before = await stored();
    await Promise.all([aggregate(stale), aggregate(stale)]);
    expect(await stored()).toEqual(before);
    for (const cell of stale) await aggregate([cell]);
    expect(await stored()).toEqual(before);
  });

  test('changed scores of one cell change its rows alone, and back again', async () => {
    const before = await stored();
    await setScores(KIVI!, baseScores);
    await aggregate([stale[KIVI!]!]);
    const count = async () =>
      await query(
        database.db,
        `select negatives, mirrored from kv.negatives_summary where label = 'kivi-4' and rule = 'mean' and theta = 0.01
            and task_type = ''`,
      );
    expect(await count()).toEqual([{ negatives: 0, mirrored: 0 }]);
    await setScores(KIVI!, scores[KIVI!]!);
    await aggregate([stale[KIVI!]!]);
    expect(await stored()).toEqual(before);
  });

  test('a cell that lost its scores loses its rows', async () => {
    const before = await stored();
    await setScores(RERUN!, []);
    await aggregate([stale[RERUN!]!]);
    expect(await query(database.db, 'select from negative_summary where cell_no = $1', [RERUN])).toEqual([]);
    await setScores(RERUN!, scores[RERUN!]!);
    await aggregate([stale[RERUN!]!]);
    expect(await stored()).toEqual(before);
  });

  test('sampled replicates of one prompt are pairs of their own, and replicates of each other', async () => {
    await query(
      database.db,
      `insert into score (sweep_no, cell_no, sample_idx, rep, metric, scorer_version, score)
       select sweep_no, cell_no, sample_idx, 1, metric, 'test', score from score
        where sweep_no = $1 and cell_no in ($2, $3)`,
      [sweepNo, NONE, KIVI],
    );
    await aggregate(stale);
    const rows = await query(
      database.db,
      `select n, (select count(*)::int from kv.negatives v
                   where v.cell_key = s.cell_key and v.rule = s.rule and v.theta = s.theta and v.negative) = negatives as same,
              (select count(*)::int from kv.negatives v
                where v.cell_key = s.cell_key and v.rule = s.rule and v.theta = s.theta and v.robust_negative) = robust as robust
         from kv.negatives_summary s where label = 'kivi-4' and task_type = '' and rule = 'default' and theta = 0.1`,
    );
    expect(rows).toEqual([{ n: 2 * N, same: true, robust: true }]);
    await query(database.db, 'delete from score where rep = 1');
    await aggregate(stale);
  });
});

test('the reader may use all of it, and the function too', async () => {
  const url = await readerUrl(database.url);
  for (const text of [
    'select count(*) from kv.negatives where theta = 0.1',
    `select count(*) from kv.negative_rows(0.123, 'mean')`,
    'select count(*) from kv.negative_pairs',
    'select count(*) from kv.negatives_summary',
    'select count(*) from kv.negative_sets',
  ]) {
    const { rows } = await runReadOnly(url, text);
    expect([text, Number(rows[0]![0])]).toEqual([text, expect.any(Number)]);
    expect(Number(rows[0]![0])).toBeGreaterThan(0);
  }
  expect((await runReadOnly(url, `select 1 from kv.negative_rows(0.1, 'no such rule')`)).rows).toEqual([]);
});

test('negative under every 4-bit compressor: one row per answer, both texts', async () => {
  const rows = await query<{ prompt_key: string; base_text: string | null; label: string; text: string | null }>(
    database.db,
    documented('Negative under every 4-bit compressor, with both outputs', 'negatives'),
  );
  const negatives = await query<{ prompt_key: string }>(
    database.db,
    `select prompt_key from kv.negatives where label = 'kivi-4' and theta = 0.1 and rule = 'default' and negative
      order by prompt_key`,
  );
  expect(rows.map((row) => row.prompt_key)).toEqual(negatives.map((row) => row.prompt_key));
  expect(new Set(rows.map((row) => row.label))).toEqual(new Set(['kivi-4']));
  // two samples have answers in this sweep: those of prompts 0 and 1
  for (const row of rows.filter((r) => /000[01]$/.test(r.prompt_key))) {
    expect(row.base_text).toMatch(/^text of 0 /);
    expect(row.text).toMatch(/^text of 1 /);
  }
});

test('stored sets and the function name the same samples', async () => {
  const text = documented('Which samples a set of compressors loses', 'negatives', 1);
  const rows = await query<{ prompt_key: string; lost_by: string[] }>(database.db, text);
  const both = await query<{ prompt_key: string }>(
    database.db,
    documented('Which samples a set of compressors loses', 'negatives')
      .replace("'gear-8'", "'kivi-2'")
      .replace("'mean'", "'default'"),
  );
  expect(rows.filter((row) => row.lost_by.length === 2).map((row) => row.prompt_key)).toEqual(
    both.map((row) => row.prompt_key),
  );
});
