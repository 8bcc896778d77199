import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { METRIC_NAMES } from '../analysis/metrics/index.ts';
import { expandDatasetRef, loadDataset } from '../datasets/index.ts';
import { stretchedCap } from '../datasets/longbench.ts';
import { LONGBENCH_GROUPS, LONGBENCH_SETS, lengthBucket } from '../datasets/longbench-sets.ts';
import { fillTemplate, LONGBENCH_TEMPLATES } from '../datasets/longbench-templates.ts';
import { record, writeLongBench } from './support/longbench-folder.ts';

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'kvsweep-longbench-'));
  writeLongBench(dir);
});
afterAll(() => rmSync(dir, { recursive: true }));

const load = (set: string, more: object = {}, options: object = {}) =>
  loadDataset({ kind: 'longbench', dir, set, ...more }, { seed: 1, ...options });

test('the 14 sets of the artifact have 3,350 records, and the whole has 21 sets with a template each', () => {
  expect(LONGBENCH_GROUPS.artifact).toHaveLength(14);
  const ours = LONGBENCH_SETS.filter((row) => row.artifact);
  expect(ours.reduce((sum, row) => sum + row.records, 0)).toBe(3350);
  expect(LONGBENCH_GROUPS.all).toHaveLength(21);
  for (const { name, metric } of LONGBENCH_SETS) {
    expect(METRIC_NAMES).toContain(metric);
    expect(LONGBENCH_TEMPLATES[name]).toContain('{context}');
  }
});

test.each([
  ['qasper', 'QA', 'qa_f1', undefined, 128],
  ['multifieldqa_en', 'QA', 'qa_f1', undefined, 64],
  ['gov_report', 'Summarisation', 'rouge_l', undefined, 512],
  ['triviaqa', 'Few-shot', 'qa_f1', 'first_line', 32],
  ['samsum', 'Few-shot', 'rouge_l', 'first_line', 128],
  ['trec', 'Few-shot', 'classification', 'first_line', 64],
  ['passage_count', 'Synthetic', 'count', undefined, 32],
  ['passage_retrieval_en', 'Synthetic', 'retrieval', undefined, 32],
  ['passage_retrieval_zh', 'Synthetic', 'retrieval', 'zh', 32],
  ['lcc', 'Code', 'code_sim', undefined, 64],
  ['dureader', 'QA', 'rouge_l_zh', undefined, 128],
])('prompts of %s carry its task type, metric, variant and cap', async (set, taskType, metric, variant, cap) => {
  const { dataset, prompts, meta } = await load(set);
  expect(dataset).toBe(`longbench/${set}`);
  expect(prompts.map((p) => p.key)).toEqual([0, 1, 2].map((i) => `longbench/${set}/${i}`));
  expect(prompts[2]).toMatchObject({
    taskType,
    metric,
    maxNewTokens: cap,
    meta: { _id: 'id2', bucket: '4-8k', length: 6000 },
  });
  expect(prompts[2]!.variant).toBe(variant);
  expect(prompts[2]!.references).toEqual(record(set, 2).answers);
  expect(meta).toMatchObject({
    kind: 'longbench',
    template: 'kvsweep-lb-1',
    template_sha: expect.stringMatching(/^[0-9a-f]{64}$/),
  });
});

test('labels stay with the prompt', async () => {
  expect((await load('trec')).prompts[0]!.meta!.all_classes).toEqual(['answer 0', 'answer 1', 'other']);
  expect((await load('qasper')).prompts[0]!.meta).not.toHaveProperty('all_classes');
});

test('the two places of a template are filled once and literally', async () => {
  const { prompts } = await load('hotpotqa');
  expect(prompts[1]!.prompt).toBe(
    'text 1 with {input} in it\n\nUsing only the text above, reply with the shortest phrase that answers the question.\nQuestion: what is 1?\nAnswer:',
  );
  expect(fillTemplate('{context}{input}{other}', '$& {input}', '{context}')).toBe('$& {input}{context}{other}');
});

test('buckets are those of LongBench-E, whose files are found by their own names', async () => {
  expect([0, 3999, 4000, 7999, 8000].map(lengthBucket)).toEqual(['0-4k', '0-4k', '4-8k', '4-8k', '8k+']);
  writeFileSync(join(dir, 'qasper_e.jsonl'), `${JSON.stringify(record('qasper', 1))}\n`);
  const { prompts, warnings } = await load('qasper_e', { template: templateFile({ qasper: '{context}|{input}' }) });
  expect(prompts[0]).toMatchObject({ key: 'longbench/qasper_e/0', metric: 'qa_f1' });
  expect(warnings.join()).not.toContain('records');
});

function templateFile(templates: unknown): string {
  const path = join(dir, 'prompts.json');
  writeFileSync(path, typeof templates === 'string' ? templates : JSON.stringify(templates));
  return `file:${path}`;
}

test('templates of a file are used, and their hash is kept', async () => {
  const template = templateFile({ qasper: 'Q {input} C {context}' });
  const { prompts, meta, warnings } = await load('qasper', { template });
  expect(prompts[0]!.prompt).toBe('Q what is 0? C text 0 with {input} in it');
  const sha = createHash('sha256').update('{"qasper":"Q {input} C {context}"}').digest('hex');
  expect(meta.template_sha).toBe(sha);
  expect(meta.template).toBe(`a file of unknown origin (sha256 ${sha.slice(0, 12)})`);
  expect(warnings.join()).toContain('scores are not comparable with published ones');
});

test('a set of another size than published is told', async () => {
  expect((await load('qasper')).warnings).toContain(
    `${join(dir, 'qasper.jsonl')} has 3 records, the set of LongBench has 200`,
  );
});

describe('max_new', () => {
  test.each([
    [512, 700, 8192, 768],
    [512, 600, 8192, 640],
    [512, 450, 8192, 512],
    [64, 5000, 8192, 2048],
    [128, 0, 8192, 128],
  ])('artifact: table %i, reference of %i words, context %i', (table, words, context, cap) => {
    expect(stretchedCap(table, 'w '.repeat(words), context)).toBe(cap);
  });

  test('a number or the stretched cap takes the place of the table', async () => {
    expect((await load('qasper', { max_new: 7 })).prompts.map((p) => p.maxNewTokens)).toEqual([7, 7, 7]);
    writeFileSync(
      join(dir, 'multi_news.jsonl'),
      `${JSON.stringify({ ...record('multi_news', 0), answers: ['w '.repeat(700)] })}\n`,
    );
    const stretched = await load('multi_news', { max_new: 'artifact' }, { context: 8192 });
    expect(stretched.prompts[0]!.maxNewTokens).toBe(768);
    await expect(load('qasper', { max_new: 'artifact' })).rejects.toThrow('needs the context length of a model');
  });
});

describe('mistakes', () => {
  test.each([
    [{ ...record('trec', 0), all_classes: null }, 'trec', 'needs the labels to choose from in "all_classes"'],
    [{ ...record('qasper', 0), context: 7 }, 'qasper', '"context" must be a string'],
    [{ ...record('qasper', 0), input: undefined }, 'qasper', '"input" must be a string, it is missing'],
    [{ ...record('qasper', 0), answers: 'x' }, 'qasper', '"answers" must be an array of strings'],
    [{ ...record('qasper', 0), answers: undefined }, 'qasper', '"answers" must be an array of strings, it is missing'],
    [{ ...record('qasper', 0), length: '7' }, 'qasper', '"length" must be a number of words'],
    [{ ...record('lcc', 0), context: ' ' }, 'lcc', 'without text'],
    [{ ...record('passage_retrieval_en', 0), answers: ['7'] }, 'passage_retrieval_en', 'names no paragraph'],
    ['{', 'qasper', 'not valid JSON'],
  ])('of a record name file and line: %#', async (bad, set, says) => {
    const path = join(dir, `${set}.jsonl`);
    const line = typeof bad === 'string' ? bad : JSON.stringify(bad);
    writeFileSync(path, `${JSON.stringify(record(set, 0))}\n\n${line}\n`);
    await expect(load(set, set === 'lcc' ? { template: templateFile({ lcc: '{context}' }) } : {})).rejects.toThrow(
      says,
    );
    await expect(load(set)).rejects.toThrow(`${path}, line 3: `);
    writeLongBench(dir);
  });

  test.each([
    [{ set: 'qaspr' }, 'unknown set "qaspr" of LongBench; known are narrativeqa, qasper'],
    [{ set: 'qasper', template: 'lb' }, 'template "lb" of a data set is neither kvsweep-lb-1 nor file:'],
    [{ set: 'qasper', max_new: 'all' }, 'max_new "all" of a data set is none of table, artifact, or a whole number'],
    [{ set: 'qasper', chat: true }, 'chat true of a data set is none of set, all, none'],
    [{}, 'needs "set" (one or several, as [qasper, trec]) or "sets" (all, artifact)'],
    [{ set: 'qasper', sets: 'all' }, 'has no field "sets"'],
    [{ set: 'qasper', path: 'x' }, 'has no field "path"'],
  ])('of a reference are told in one sentence: %o', async (more, says) => {
    await expect(loadDataset({ kind: 'longbench', dir, ...more } as never, { seed: 1 })).rejects.toThrow(says);
  });

  test('of a template file name the file', async () => {
    const template = templateFile({ trec: '{context}' });
    await expect(load('qasper', { template })).rejects.toThrow('has no template with {context} for qasper');
    await expect(load('qasper', { template: templateFile('{') })).rejects.toThrow('is not valid JSON');
    await expect(load('qasper', { template: 'file:/nowhere.json' })).rejects.toThrow(
      'cannot read the template file /nowhere.json',
    );
  });

  test('an absent file says how it is got', async () => {
    rmSync(join(dir, 'lcc.jsonl'));
    await expect(load('lcc')).rejects.toThrow('lcc.jsonl, which does not exist; `kvsweep datasets longbench` says how');
    writeLongBench(dir);
  });
});

test('without a folder there is nothing to load', async () => {
  await expect(loadDataset({ kind: 'longbench', set: 'qasper' }, { seed: 1 })).rejects.toThrow('needs "dir"');
});

test('lists in a reference multiply, and sets are named one by one or by group', () => {
  const sets = (ref: object) => expandDatasetRef({ kind: 'longbench', ...ref }).map((r) => r.set);
  expect(sets({ set: ['qasper', 'trec'] })).toEqual(['qasper', 'trec']);
  expect(sets({ sets: 'all' })).toEqual(LONGBENCH_GROUPS.all);
  expect(sets({ sets: ['artifact', 'vcsum'] })).toEqual([...LONGBENCH_GROUPS.artifact!, 'vcsum']);
  expect(sets({ sets: ['qasper'] })).toEqual(['qasper']);
  expect(expandDatasetRef({ kind: 'gen', task: ['vt', 'cwe'], length: [640, 1280] })).toEqual([
    { kind: 'gen', task: 'vt', length: 640 },
    { kind: 'gen', task: 'vt', length: 1280 },
    { kind: 'gen', task: 'cwe', length: 640 },
    { kind: 'gen', task: 'cwe', length: 1280 },
  ]);
});
