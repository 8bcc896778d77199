/** Published score files: names of any method, errors that name the file and write nothing, idempotence. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { query } from '../activities/database.ts';
import { configurationOf, parseFileName } from '../activities/import/score-file.ts';
import { setWorkload } from '../migrations/000012/import.ts';
import { readReport } from '../report/data.ts';
import { renderReport } from '../report/html.ts';
import { kvsweep } from './support/command-line.ts';
import { useDatabase } from './support/database.ts';
import { cellPlan } from './support/plans.ts';
import { finishedSweep } from './support/sweeps.ts';

const database = useDatabase();
let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'kvsweep-import-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const file = (name: string, scores: readonly unknown[] | string) =>
  writeFileSync(
    join(dir, name),
    typeof scores === 'string' ? scores : JSON.stringify(scores.map((score, id) => ({ id, score }))),
  );
const run = async (id: string, ...more: string[]) =>
  await kvsweep({ DATABASE_URL: database.url }, 'import', 'rethink-artifact', dir, '--id', id, ...more);
const count = async (table: string) =>
  (await query<{ n: number }>(database.db, `select count(*) as n from ${table}`))[0]!.n;

describe('names of files', () => {
  test.each([
    ['hf_M_8192_b1_qasper_eval.json', 'none', 'none', {}],
    ['kivi_M_8192_b1_4bits_group32_residual128_lcc_eval.json', 'kivi', 'kivi-4', { bits: 4, group: 32, window: 128 }],
    ['gear_M_8192_b1_2bits_repobench-p_eval.json', 'gear_artifact', 'gear-2', { bits: 2 }],
    [
      'snapkv_M_8192_b1_c512_w32_k7_maxpool_passage_retrieval_en_eval.json',
      'snapkv',
      'snapkv_c512_w32_k7_maxpool',
      { capacity: 512, window: 32, kernel: 7, pooling: 'maxpool' },
    ],
    ['h2o_M_4096_b2_anything-else_2wikimqa_eval.json', 'h2o', 'h2o_anything-else', { name: 'anything-else' }],
    ['think_M_4096_b2_qmsum_eval.json', 'think', 'think', {}],
  ])('%s is %s, label %s', (name, compressor, label, parameters) => {
    expect(configurationOf(parseFileName(name)!)).toMatchObject({ compressor, label, parameters });
  });

  test('sets are matched at the end, whatever stands in the model and the parameters', () => {
    expect(parseFileName('snapkv_lcc_model_v1.5_32000_b16_c512_w32_k7_maxpool_multifieldqa_en_eval.json')).toEqual({
      file: 'snapkv_lcc_model_v1.5_32000_b16_c512_w32_k7_maxpool_multifieldqa_en_eval.json',
      alg: 'snapkv',
      model: 'lcc_model_v1.5',
      context: 32000,
      batch: 16,
      params: 'c512_w32_k7_maxpool',
      set: 'multifieldqa_en',
    });
  });

  test('other files of the folder are passed over', () => {
    expect(parseFileName('README.md')).toBeNull();
    expect(parseFileName('plot.py')).toBeNull();
  });
});

describe('an import', () => {
  test('of any method, model, context and batch becomes a sweep of done cells with its negatives', async () => {
    file('hf_Tiny-1B_4096_b2_qasper_eval.json', [1, 0.5, 0, 0.8]);
    file('snapkv_Tiny-1B_4096_b2_c512_w32_k7_maxpool_qasper_eval.json', [1, 0.4, 0, 0.9]);
    file('snapkv_Tiny-1B_4096_b2_c64_w32_k7_maxpool_qasper_eval.json', [0, 0, 0, 0]);
    file('hf_Tiny-1B_4096_b8_qasper_eval.json', [1, 1]);
    file('snapkv_Tiny-1B_4096_b8_c64_w32_k7_maxpool_qasper_eval.json', [1, 0]);
    const { code, stdout, stderr } = await run('tiny');
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toContain('5 files, 16 scores, none, snapkv_c512_w32_k7_maxpool, snapkv_c64_w32_k7_maxpool');
    expect(
      await query(
        database.db,
        `select status, kind, model, model_sha, compressor, effective, batch_size, n_planned, n_done, n_error, dataset
           from kv.cells where sweep = 'tiny' order by batch_size, label limit 2`,
      ),
    ).toEqual(
      ['none', 'snapkv'].map((compressor) => ({
        status: 'done',
        kind: 'import',
        model: 'Tiny-1B',
        model_sha: null,
        compressor,
        effective: null,
        batch_size: 2,
        n_planned: 4,
        n_done: 4,
        n_error: 0,
        dataset: 'longbench/qasper',
      })),
    );
    expect(
      await query(
        database.db,
        `select label, batch_size, n, eligible, negatives, threshold from kv.negatives_summary s
          where theta = 0.1 and rule = 'default' and task_type = 'QA' order by batch_size, label`,
      ),
    ).toEqual([
      // the median of 1, .5, 0, .8 is .65: 1 and .8 are eligible
      { label: 'snapkv_c512_w32_k7_maxpool', batch_size: 2, n: 4, eligible: 2, negatives: 0, threshold: 0.65 },
      { label: 'snapkv_c64_w32_k7_maxpool', batch_size: 2, n: 4, eligible: 2, negatives: 2, threshold: 0.65 },
      { label: 'snapkv_c64_w32_k7_maxpool', batch_size: 8, n: 2, eligible: 2, negatives: 1, threshold: 1 },
    ]);
    expect(
      await query(
        database.db,
        `select distinct scorer_version, metric, task_type from kv.scores where prompt_key like 'longbench/qasper/%'`,
      ),
    ).toEqual([{ scorer_version: 'rethink-artifact', metric: 'qa_f1', task_type: 'QA' }]);
  });

  test('two settings of one bit width keep their whole names', async () => {
    file('hf_M_8192_b1_trec_eval.json', [1]);
    file('kivi_M_8192_b1_4bits_group32_residual128_trec_eval.json', [1]);
    file('kivi_M_8192_b1_4bits_group64_residual128_trec_eval.json', [1]);
    file('kivi_M_8192_b1_2bits_group32_residual128_trec_eval.json', [1]);
    expect(JSON.parse((await run('widths', '--json')).stdout).labels).toEqual([
      'kivi-2',
      'kivi_4bits_group32_residual128',
      'kivi_4bits_group64_residual128',
      'none',
    ]);
  });

  test('again with the same files changes nothing; with other scores it takes their place', async () => {
    file('hf_M_8192_b1_lcc_eval.json', [1, 1, 1]);
    file('gear_M_8192_b1_8bits_lcc_eval.json', [1, 0.5, 1]);
    const counts = async () => [await count('cell'), await count('score'), await count('prompt'), await count('sweep')];
    expect(JSON.parse((await run('again', '--json')).stdout).changed).toBe(true);
    const before = await counts();
    expect(JSON.parse((await run('again', '--json')).stdout).changed).toBe(false);
    expect(await counts()).toEqual(before);
    file('gear_M_8192_b1_8bits_lcc_eval.json', [0, 0, 1]);
    expect(JSON.parse((await run('again', '--json')).stdout).changed).toBe(true);
    expect(await counts()).toEqual(before);
    expect(
      await query(
        database.db,
        `select n.negatives from kv.negatives_summary n join kv.cells c using (cell_key)
          where c.sweep = 'again' and theta = 0.1 and rule = 'mean' and task_type = ''`,
      ),
    ).toEqual([{ negatives: 2 }]);
  });

  test('twice at once is one import', async () => {
    file('hf_M_8192_b1_qmsum_eval.json', [1, 0.25]);
    file('gear_M_8192_b1_8bits_qmsum_eval.json', [0.5, 0.25]);
    const results = await Promise.all([run('at once', '--json'), run('at once', '--json')]);
    expect(results.map((r) => JSON.parse(r.stdout).changed).sort()).toEqual([false, true]);
    expect(await query(database.db, `select cell_no from kv.cells where sweep = 'at once'`)).toHaveLength(2);
  });

  test('a method without a baseline file is kept, compared with nothing, and said so', async () => {
    file('gear_M_8192_b1_8bits_samsum_eval.json', [0.5]);
    const { code, stderr } = await run('alone');
    expect(code).toBe(0);
    expect(stderr).toBe('without a baseline file, so compared with nothing: gear-8 on samsum\n');
  });

  test('its report is written and says what it holds', async () => {
    file('hf_Tiny-1B_4096_b2_triviaqa_eval.json', [1, 0.5]);
    file('gear_Tiny-1B_4096_b2_8bits_triviaqa_eval.json', [1, 0]);
    await run('reported');
    const model = await readReport(database.db, 'reported');
    expect(model.sweep.cells).toMatchObject({ planned: 2, done: 2, open: 0 });
    expect(await renderReport(model)).toContain('reported');
  });
});

describe('what cannot be imported is refused in one sentence, and nothing is written', () => {
  const good = 'hf_M_8192_b1_qasper_eval.json';
  const bad = 'kivi_M_8192_b1_4bits_group32_residual128_qasper_eval.json';
  test.each<[string, () => void, string]>([
    [
      'ids out of order',
      () => file(bad, '[{"id": 1, "score": 1}]'),
      `${bad}: record 0 has id 1; ids have to be 0, 1, 2, ... in order\n`,
    ],
    ['a score above 1', () => file(bad, [1.5, 0]), `${bad}: the score of id 0 is 1.5, not a number from 0 to 1\n`],
    [
      'a score that is no number',
      () => file(bad, [0, '0.5']),
      `${bad}: the score of id 1 is "0.5", not a number from 0 to 1\n`,
    ],
    ['a score below 0', () => file(bad, [-0.1, 0]), `${bad}: the score of id 0 is -0.1, not a number from 0 to 1\n`],
    ['a baseline of another length', () => file(bad, [0, 1, 1]), `${bad}: 3 scores, but its baseline ${good} has 2\n`],
    ['no JSON', () => file(bad, '[{"id": 0,'), `${bad}: not JSON (`],
    ['an object', () => file(bad, '{}'), `${bad}: expected a JSON array of {"id", "score"} with at least one record\n`],
    ['no record', () => file(bad, []), `${bad}: expected a JSON array of {"id", "score"} with at least one record\n`],
    [
      'an unknown set',
      () => file('kivi_M_8192_b1_4bits_wikitext_eval.json', [1]),
      'kivi_M_8192_b1_4bits_wikitext_eval.json: no LongBench set of the artifact stands before "_eval.json"; the sets are ',
    ],
    [
      'a name of another layout',
      () => file('kivi_qasper_eval.json', [1]),
      'kivi_qasper_eval.json: the name does not follow <alg>_<model>_<context>_b<batch>[_<params>]_<set>_eval.json\n',
    ],
  ])('%s', async (_, spoil, message) => {
    file(good, [1, 0.5]);
    spoil();
    const tables = ['sweep', 'cell', 'score', 'prompt', 'prompt_set', 'negative_summary'];
    const before = await Promise.all(tables.map(count));
    const { code, stderr, stdout } = await run('refused');
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr.startsWith(message)).toBe(true);
    expect(stderr.trimEnd()).not.toContain('\n');
    expect(await Promise.all(tables.map(count))).toEqual(before);
  });

  test('a folder that is absent or holds no scores', async () => {
    expect(await run('refused')).toMatchObject({
      code: 2,
      stderr: `${dir} holds no file that ends in _eval.json; give the folder of the scores\n`,
    });
    rmSync(dir, { recursive: true });
    expect(await run('refused')).toMatchObject({ code: 2, stderr: `${dir} is not a folder that can be read\n` });
  });

  test('the name of a sweep that is no import', async () => {
    await finishedSweep(database.db, 'measured', [{ plan: cellPlan('measured'), lists: [[1]] }]);
    file(good, [1, 0.5]);
    expect(await run('measured')).toMatchObject({
      code: 2,
      stderr: 'A sweep named "measured" exists and is no import; give another name with --id.\n',
    });
  });
});

test('on a Postgres that cannot change a generated column, a trigger fills it alike', async () => {
  await setWorkload(database.db as never, 160000);
  await finishedSweep(database.db, 'by trigger', [{ plan: cellPlan('by trigger'), lists: [[1]] }]);
  file('hf_M_8192_b1_hotpotqa_eval.json', [1, 0.5]);
  expect((await run('by trigger too')).code).toBe(0);
  expect(
    await query(database.db, `select distinct kind from kv.cells where sweep like 'by trigger%' order by kind`),
  ).toEqual([{ kind: 'generate' }, { kind: 'import' }]);
});
