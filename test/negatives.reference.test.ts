/**
 * The published scores of the study, through the importer and the documented SQL, against every count that is known of them.
 * The files are third-party data: they lie beside the checkout and are never part of the project.
 */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { query } from '../activities/database.ts';
import { projectRoot } from '../workers/paths.ts';
import { kvsweep } from './support/command-line.ts';
import { useDatabase } from './support/database.ts';
import { documented } from './support/documented.ts';

const FOLDER = join(process.env.KVSWEEP_REFERENCE_DATA ?? resolve(projectRoot(), '../shared/data'), 'rethink-artifact');
const isThere = existsSync(join(FOLDER, 'scores'));
if (!isThere) console.log(`skipped: ${FOLDER}/scores is absent (KVSWEEP_REFERENCE_DATA names the folder above it)`);

const SWEEP = 'published';
const THETAS = [0.01, 0.02, 0.04, 0.08, 0.1, 0.16, 0.24, 0.32];
const EVERY = 'every compressor';

/** Rules x compressors: negatives at the eight thetas. */
const COUNTS: [rule: string, label: string, counts: string][] = [
  ['default', 'kivi-4', '208 190 165 124 102 73 48 28'],
  ['default', 'gear-8', '282 271 243 190 172 130 75 42'],
  ['default', EVERY, '117 105 86 57 42 22 7 4'],
  ['median', 'kivi-4', '400 382 357 316 294 265 240 220'],
  ['median', 'gear-8', '473 462 434 381 363 321 266 233'],
  ['median', EVERY, '308 296 277 248 233 213 198 195'],
  ['mean', 'kivi-4', '182 168 145 107 87 64 41 26'],
  ['mean', 'gear-8', '256 246 219 173 157 119 67 39'],
  ['mean', EVERY, '108 97 78 50 36 19 6 4'],
  ['artifact', 'kivi-4', '594 576 551 510 488 459 434 414'],
  ['artifact', 'gear-8', '665 654 626 573 555 513 458 425'],
  ['artifact', EVERY, '499 487 468 439 424 404 389 386'],
];
const MIRRORED: typeof COUNTS = [
  ['default', 'kivi-4', '234 213 181 120 107 74 42 35'],
  ['default', 'gear-8', '253 236 208 154 134 79 43 25'],
  ['default', EVERY, '99 86 66 41 35 24 13 12'],
  ['mean', 'kivi-4', '209 194 162 106 95 65 37 30'],
  ['mean', 'gear-8', '231 214 189 139 122 70 38 22'],
  ['mean', EVERY, '90 79 59 35 31 20 10 9'],
];

/** Per set: n, b = 0, median b, mean b, kivi-4, gear-8 (x100), then kivi-4, gear-8, both as median / default / mean at 10 %. */
const SETS = `
| 2wikimqa | 200 | 97 | 0.097619 | 36.42 | 36.39 | 36.50 | 4 / 4 / 1 | 5 / 5 / 3 | 0 / 0 / 0 |
| gov_report | 200 | 0 | 0.286355 | 29.00 | 28.62 | 27.19 | 24 / 24 / 23 | 44 / 44 / 44 | 15 / 15 / 15 |
| hotpotqa | 200 | 79 | 0.309524 | 44.99 | 44.96 | 44.97 | 2 / 2 / 2 | 0 / 0 / 0 | 0 / 0 / 0 |
| lcc | 500 | 20 | 0.57 | 59.37 | 59.44 | 58.86 | 9 / 9 / 9 | 6 / 6 / 5 | 0 / 0 / 0 |
| multi_news | 200 | 0 | 0.261137 | 26.48 | 26.83 | 25.77 | 19 / 19 / 18 | 30 / 30 / 28 | 11 / 11 / 10 |
| multifieldqa_en | 150 | 22 | 0.333333 | 39.72 | 39.78 | 38.79 | 6 / 6 / 3 | 8 / 8 / 7 | 1 / 1 / 0 |
| qmsum | 200 | 0 | 0.22904 | 23.28 | 23.24 | 22.87 | 15 / 15 / 13 | 40 / 40 / 38 | 9 / 9 / 8 |
| passage_count | 200 | 192 | 0 | 3.09 | 2.83 | 3.53 | 194 / 2 / 2 | 192 / 1 / 1 | 191 / 0 / 0 |
| passage_retrieval_en | 200 | 59 | 1 | 70.50 | 70.50 | 70.58 | 0 / 0 / 0 | 2 / 2 / 2 | 0 / 0 / 0 |
| qasper | 200 | 49 | 0.149088 | 26.85 | 27.04 | 25.99 | 7 / 7 / 4 | 12 / 12 / 7 | 4 / 4 / 2 |
| repobench-p | 500 | 40 | 0.51 | 55.06 | 55.75 | 55.00 | 9 / 9 / 7 | 11 / 11 / 9 | 2 / 2 / 1 |
| samsum | 200 | 0 | 0.391628 | 41.79 | 42.14 | 41.52 | 5 / 5 / 5 | 13 / 13 / 13 | 0 / 0 / 0 |
| trec | 200 | 52 | 1 | 74.00 | 74.00 | 74.50 | 0 / 0 / 0 | 0 / 0 / 0 | 0 / 0 / 0 |
| triviaqa | 200 | 78 | 0.5 | 46.48 | 46.48 | 46.48 | 0 / 0 / 0 | 0 / 0 / 0 | 0 / 0 / 0 |`;

const TASKS = `
| QA | 375 | 23 22 21 20 19 15 14 8 | 42 40 34 28 25 20 14 11 | 7 7 7 5 5 4 1 1 |
| Summarisation | 300 | 143 129 106 76 58 36 17 9 | 177 171 156 125 114 82 41 16 | 103 92 75 49 35 16 4 2 |
| Few-shot | 360 | 10 9 9 6 5 5 3 1 | 28 27 24 16 13 9 3 3 | 4 4 2 1 0 0 0 0 |
| Synthetic | 149 | 2 2 2 2 2 2 2 2 | 3 3 3 3 3 3 3 3 | 0 0 0 0 0 0 0 0 |
| Code | 507 | 30 28 27 20 18 15 12 8 | 32 30 26 18 17 16 14 9 | 3 2 2 2 2 2 2 1 |`;

/** Ids of {kivi-4 and gear-8, theta 10 %, mean}. */
const IDS: Record<string, string> = {
  gov_report: '1 13 14 17 26 34 41 50 70 78 85 96 106 128 166',
  multi_news: '9 12 54 55 57 58 89 153 161 171',
  qmsum: '4 5 10 66 81 120 130 155',
  qasper: '42 99',
  'repobench-p': '194',
};

const tableOf = (text: string) =>
  text
    .trim()
    .split('\n')
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((field) => field.trim()),
    );

describe.skipIf(!isThere)('the published scores (shared/data/rethink-artifact)', () => {
  const database = useDatabase();
  const ask = async <Row>(heading: string, n = 0) => await query<Row>(database.db, documented(heading, SWEEP, n));

  beforeAll(async () => {
    const { code, stderr } = await kvsweep(
      { DATABASE_URL: database.url, PATH: process.env.PATH },
      'import',
      'rethink-artifact',
      FOLDER,
      '--id',
      SWEEP,
    );
    expect([code, stderr]).toEqual([0, '']);
  });

  type Count = { rule: string; label: string; theta: number; negatives: number; mirrored: number };
  const line = (rows: Count[], rule: string, label: string, column: 'negatives' | 'mirrored') =>
    THETAS.map((theta) => rows.find((r) => r.rule === rule && r.label === label && r.theta === theta)?.[column]).join(
      ' ',
    );

  test('one statement gives all counts of negatives and mirrored ones, by rule, compressor and theta', async () => {
    const rows = await ask<Count>('Negative samples: the table of counts');
    expect(rows).toHaveLength(4 * 3 * 8);
    for (const [rule, label, counts] of COUNTS) {
      expect([rule, label, line(rows, rule, label, 'negatives')]).toEqual([rule, label, counts]);
    }
    for (const [rule, label, counts] of MIRRORED) {
      expect([rule, label, line(rows, rule, label, 'mirrored')]).toEqual([rule, label, counts]);
    }
  });

  test('what aggregation stored says the same, and who is eligible', async () => {
    const stored = await ask<Count & { dataset: string; eligible: number }>('Negative samples: the table of counts', 1);
    expect(stored).toHaveLength(14 * 2 * 4 * 8);
    const summed = stored.reduce((sums, row) => {
      const key = [row.rule, row.label, row.theta].join();
      const sum = sums.get(key) ?? { ...row, negatives: 0, mirrored: 0, eligible: 0 };
      sum.negatives += row.negatives;
      sum.mirrored += row.mirrored;
      sum.eligible += row.eligible;
      return sums.set(key, sum);
    }, new Map<string, Count & { eligible: number }>());
    const rows = [...summed.values()];
    for (const [rule, label, counts] of COUNTS.filter(([, label]) => label !== EVERY)) {
      expect([rule, label, line(rows, rule, label, 'negatives')]).toEqual([rule, label, counts]);
    }
    for (const [rule, label, counts] of MIRRORED.filter(([, label]) => label !== EVERY)) {
      expect([rule, label, line(rows, rule, label, 'mirrored')]).toEqual([rule, label, counts]);
    }
    const eligible = (rule: string) => new Set(rows.filter((r) => r.rule === rule).map((r) => r.eligible));
    expect(eligible('default')).toEqual(new Set([1691]));
    expect(eligible('median')).toEqual(new Set([1883]));
    expect(eligible('mean')).toEqual(new Set([1552]));
  });

  test('scores that are identical, worse and better', async () => {
    expect(await ask('Scores that stayed, fell and rose')).toEqual([
      expect.objectContaining({ label: EVERY, n: 3350, same: 2193 }),
      { label: 'gear-8', n: 3350, same: 2347, worse: 533, better: 470 },
      { label: 'kivi-4', n: 3350, same: 2479, worse: 427, better: 444 },
    ]);
  });

  test('the table by data set: baseline zeros, medians, means, and counts under three rules', async () => {
    type Row = {
      dataset: string;
      label: string;
      rule: string;
      n: number;
      base_zero: number;
      threshold: number;
      base_score: number;
      score: number;
      negatives: number;
      of_every_compressor: number;
    };
    const rows = await ask<Row>('Negative samples by data set');
    expect(rows).toHaveLength(14 * 2 * 3);
    const found = tableOf(SETS).map(([set]) => {
      const of = (label: string, rule: string) =>
        rows.find((r) => r.dataset === `longbench/${set}` && r.label === label && r.rule === rule)!;
      const one = of('kivi-4', 'median');
      const percent = (value: number) => (100 * value).toFixed(2);
      const three = (label: string, column: 'negatives' | 'of_every_compressor') =>
        ['median', 'default', 'mean'].map((rule) => of(label, rule)[column]).join(' / ');
      return [
        set,
        String(one.n),
        String(one.base_zero),
        String(Number(one.threshold.toPrecision(one.threshold < 0.1 ? 5 : 6))),
        percent(one.base_score),
        percent(one.score),
        percent(of('gear-8', 'median').score),
        three('kivi-4', 'negatives'),
        three('gear-8', 'negatives'),
        three('kivi-4', 'of_every_compressor'),
      ];
    });
    expect(found).toEqual(tableOf(SETS));
  });

  test('the table by task type', async () => {
    type Row = { task_type: string; label: string; theta: number; eligible: number; negatives: number; rate: number };
    const rows = await ask<Row>('Negative samples by task type');
    expect(rows).toHaveLength(5 * 3 * 8);
    const found = tableOf(TASKS).map(([task]) => {
      const of = (label: string) =>
        THETAS.map((theta) => rows.find((r) => r.task_type === task && r.label === label && r.theta === theta)!);
      const counts = (label: string) => of(label).map((r) => r.negatives);
      expect(of('gear-8')[4]!.rate).toBe(of('gear-8')[4]!.negatives / of('gear-8')[4]!.eligible);
      return [
        task,
        [...new Set([...of('kivi-4'), ...of('gear-8'), ...of(EVERY)].map((r) => r.eligible))].join(),
        counts('kivi-4').join(' '),
        counts('gear-8').join(' '),
        counts(EVERY).join(' '),
      ];
    });
    expect(found).toEqual(tableOf(TASKS));
  });

  test('the 36 records of the set {kivi-4, gear-8} at 10 % under mean, by id', async () => {
    const rows = await ask<{ dataset: string; prompt_key: string }>('Which samples a set of compressors loses');
    expect(rows).toHaveLength(36);
    const idsOf = (set: string) =>
      rows
        .filter((row) => row.dataset === `longbench/${set}`)
        .map((row) => Number(row.prompt_key.slice(row.dataset.length + 1)))
        .sort((a, b) => a - b)
        .join(' ');
    expect(Object.fromEntries(Object.keys(IDS).map((set) => [set, idsOf(set)]))).toEqual(IDS);
  });

  test('record 146 of lcc lies on the line and counts', async () => {
    const rows = await query(
      database.db,
      `select label, base_score, score, negative from kv.negatives
        where prompt_key = 'longbench/lcc/146' and label = 'kivi-4' and theta = 0.1 and rule = 'default'`,
    );
    expect(rows).toEqual([{ label: 'kivi-4', base_score: 1, score: 0.9, negative: true }]);
  });

  test('importing the same files again changes no row', async () => {
    const dump = async () =>
      await query(
        database.db,
        `select (select jsonb_agg(to_jsonb(c) order by cell_no) from cell c) as cells,
                (select jsonb_agg(to_jsonb(s) order by cell_no, sample_idx) from score s) as scores,
                (select jsonb_agg(to_jsonb(t) - 'computed_at' order by cell_no, task_type) from negative_summary t) as counts,
                (select jsonb_agg(to_jsonb(t) order by cell_no) from negative_set t) as sets,
                (select count(*) from sweep) as sweeps, (select count(*) from prompt) as prompts`,
      );
    const before = await dump();
    const { stdout } = await kvsweep(
      { DATABASE_URL: database.url },
      ...['import', 'rethink-artifact', join(FOLDER, 'scores'), '--id', SWEEP, '--json'],
    );
    expect(JSON.parse(stdout)).toMatchObject({ changed: false, files: 42, scores: 10_050 });
    expect(await dump()).toEqual(before);
  });
});
