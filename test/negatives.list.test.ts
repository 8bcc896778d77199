/** `kvsweep negatives`: counts on top, both answers side by side, sets of methods, JSON, and the export as a data set. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { aggregateNegatives } from '../activities/aggregate/negatives.ts';
import { query } from '../activities/database.ts';
import { displayWidth, shorten, sideBySide, wrap } from '../cli/side-by-side.ts';
import { loadJsonl } from '../datasets/jsonl.ts';
import type { PromptSetPlan } from '../workflows/plan.ts';
import { kvsweep } from './support/command-line.ts';
import { useDatabase } from './support/database.ts';
import { cellPlan, promptSet } from './support/plans.ts';
import { output, sampleRow } from './support/rows.ts';
import { finishedSweep } from './support/sweeps.ts';

const database = useDatabase();
let dir: string;
const [plain, chat, classes, kept] = ['Which code?', 'And which colour?', 'Which kind?', 'Which number?'] as const;
const prompts: PromptSetPlan = {
  ...promptSet(4, 'quiz'),
  prompts: [
    { key: 'quiz/a', prompt: plain, references: ['42'], metric: 'contains', taskType: 'code', maxNewTokens: 9 },
    {
      key: 'quiz/b',
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: chat },
      ],
      references: ['red', 'scarlet'],
      metric: 'contains',
      taskType: 'talk',
    },
    {
      key: 'quiz/c',
      prompt: classes,
      references: ['A'],
      metric: 'classification',
      variant: 'first_line',
      meta: { all_classes: ['A', 'B'], source: 'kept' },
    },
    { key: 'quiz/d', prompt: kept, references: ['7'], metric: 'contains', taskType: 'code' },
  ],
};
const base = cellPlan('list none', { prompts });
const others = ['kivi-4', 'kivi-2'].map((label) =>
  cellPlan(`list ${label}`, {
    prompts,
    compressor: { kivi: { bits: Number(label.at(-1)) } },
    label,
    baselineKey: base.key,
  }),
);
const noise = cellPlan('list noise', { prompts, baselineKey: base.key, noise: { kind: 'batch', no: 0 }, batch: 2 });
const plans = [base, ...others, noise];
/** Scores of the four prompts by cell; the median of the baseline is 1. */
const scores = [
  [1, 1, 1, 1],
  [0, 0.5, 1, 1],
  [0.2, 1, 0, 1],
  [1, 0.5, 1, 1],
];
const texts = [
  ['It is 42.', 'Red, I think.', 'A', '7'],
  ['It is forty.', 'Blue.\u001b[31m', 'A', '7'],
  ['Nobody knows what the code may have been, for it was lost.', 'Scarlet.', 'B', '7'],
  ['It is 42.', 'Blue?', 'A', '7'],
];

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'kvsweep-negatives-'));
  const { sweepNo } = await finishedSweep(
    database.db,
    'quiz',
    plans.map((plan, c) => ({
      plan,
      over: {
        samples: texts[c]!.map((text, i) => sampleRow(i, [c, i], { textSha: output(Buffer.from(text)).sha })),
        outputs: [...texts[c]!.map((text) => output(Buffer.from(text)))],
      },
    })),
    { promptSets: [prompts] },
  );
  for (const [c, list] of scores.entries()) {
    await query(
      database.db,
      `insert into score (sweep_no, cell_no, sample_idx, rep, metric, variant, scorer_version, score)
       select $1, $2, p.idx, 0, p.metric, coalesce(p.variant, ''), 'test', ($3::float8[])[p.idx + 1]
         from prompt p where p.prompt_set = $4`,
      [sweepNo, c, list, Buffer.from(prompts.sha, 'hex')],
    );
  }
  await aggregateNegatives(
    database.db,
    plans.map((plan, cellNo) => ({
      sweepNo,
      cellNo,
      isBaseline: plan.isBaseline,
      noiseKind: plan.noiseKind,
      inert: false,
      baseline: plan.isBaseline ? null : { sweepNo, cellNo: 0 },
    })),
    async () => undefined,
  );
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const run = async (...argv: string[]) => await kvsweep({ DATABASE_URL: database.url }, 'negatives', 'quiz', ...argv);
const json = async (...argv: string[]) => JSON.parse((await run('--json', ...argv)).stdout);
const named = (list: { promptKey: string; answers: { label: string }[] }[]) =>
  list.map((n) => `${n.promptKey} ${n.answers.map((a) => a.label).join('+')}`);

describe('the list', () => {
  test('has counts with mirrored, net and p on top, then prompt, reference and both answers side by side', async () => {
    const { code, stdout } = await run();
    expect(code).toBe(0);
    const lines = stdout.split('\n');
    expect(lines[0]).toBe('quiz: scores that fell by 10 % or more, rule default (median, and above 0)');
    expect(lines[2]!.split(/\s+/)).toEqual('compressor batch n eligible negatives mirrored net p robust'.split(' '));
    expect(lines[4]!.trim().split(/\s+/)).toEqual(['kivi-2', '1', '4', '4', '2', '0', '2', '0.5', '2']);
    expect(lines[5]!.trim().split(/\s+/)).toEqual(['kivi-4', '1', '4', '4', '2', '0', '2', '0.5', '1']);
    const first = stdout.slice(stdout.indexOf('1. quiz/a'));
    expect(first).toContain(
      '1. quiz/a, code, contains, batch 1\n   kivi-2: negative (robust: holds between all replicates)',
    );
    expect(first).toContain('prompt: Which code?\nreference: 42\n');
    expect(first).toMatch(
      /none: 1\.000 +\| kivi-2: 0\.200\n-+ \| -+\nIt is 42\. +\| Nobody knows what the code may have been, for it\n +\| was lost\./,
    );
  });

  test('a negative that another uncompressed run shares is called single-run, and why', async () => {
    const { stdout } = await run('--method', 'kivi-4');
    expect(stdout).toContain('quiz/b');
    expect(stdout).toContain('single-run negative (not robust: the uncompressed runs differ by as much)');
    expect(stdout).toContain('system: Be brief.');
    expect(stdout).toContain('reference: red / scarlet');
  });

  test('control characters of an answer do not reach the terminal', async () => {
    const { stdout } = await run('--method', 'kivi-4');
    expect(stdout).toContain('Blue.\ufffd[31m');
    expect(stdout).not.toContain('\u001b');
  });

  test('by method, task, metric, theta and limit', async () => {
    expect(named((await json()).negatives)).toEqual([
      'quiz/a kivi-2',
      'quiz/c kivi-2',
      'quiz/a kivi-4',
      'quiz/b kivi-4',
    ]);
    expect(named((await json('--method', 'kivi-4')).negatives)).toEqual(['quiz/a kivi-4', 'quiz/b kivi-4']);
    expect(named((await json('--task', 'talk')).negatives)).toEqual(['quiz/b kivi-4']);
    expect(named((await json('--metric', 'classification')).negatives)).toEqual(['quiz/c kivi-2']);
    expect(named((await json('--theta', '60')).negatives)).toEqual(['quiz/a kivi-2', 'quiz/c kivi-2', 'quiz/a kivi-4']);
    expect(named((await json('--limit', '1')).negatives)).toEqual(['quiz/a kivi-2']);
    expect((await json('--replicate', '1')).negatives).toEqual([]);
  });

  test('sets: --all is what every method loses, --any what one does, each sample once with all answers', async () => {
    const all = await json('--all');
    expect(named(all.negatives)).toEqual(['quiz/a kivi-2+kivi-4']);
    expect(all.counts).toMatchObject([
      { compressor: 'all of kivi-2, kivi-4', negatives: 1, mirrored: 0, net: 1, p: 1 },
    ]);
    const any = await json('--any');
    expect(named(any.negatives)).toEqual(['quiz/a kivi-2+kivi-4', 'quiz/b kivi-2+kivi-4', 'quiz/c kivi-2+kivi-4']);
    expect(any.negatives[1].answers).toMatchObject([
      { label: 'kivi-2', negative: false, text: 'Scarlet.' },
      { label: 'kivi-4', negative: true, robust: false, stable: false },
    ]);
    expect(any.counts).toMatchObject([{ compressor: 'any of kivi-2, kivi-4', negatives: 3 }]);
  });

  test('counts at a theta off the grid are those at the grid where nothing lies between', async () => {
    const counts = async (theta: string) => (await json('--theta', theta)).counts;
    const sorted = async (theta: string) =>
      (await counts(theta)).sort((a: { compressor: string }, b: { compressor: string }) =>
        a.compressor < b.compressor ? -1 : 1,
      );
    expect(await sorted('12.5')).toEqual(await sorted('10'));
  });

  test('without Temporal it shows what is stored, and says so', async () => {
    expect((await run()).stderr).toMatch(/^shown as last aggregated: TEMPORAL_ADDRESS is not set/);
  });

  test.each([
    [['--theta', '0'], '--theta 0 is not a percentage between 0 and 100\n'],
    [['--theta', 'ten'], '--theta ten is not a percentage between 0 and 100\n'],
    [['--rule', 'worst'], '--rule worst is not one of default, median, mean, artifact\n'],
    [['--all', '--any'], 'give --all or --any, not both\n'],
    [['--method', 'h2o'], '--method h2o is not one of kivi-2, kivi-4\n'],
    [['--limit', '0'], '--limit 0 is not a whole number of at least 1\n'],
  ])('wrong use is told in a sentence: %s', async (argv, message) => {
    const { code, stderr } = await run(...argv);
    expect(code).toBe(2);
    expect(stderr.endsWith(message)).toBe(true);
  });
});

describe('the export', () => {
  test('is a data set that loads: prompts, metrics, references, classes and limits as they were, the finding in meta', async () => {
    const out = join(dir, 'below', 'negatives.jsonl');
    const { code, stdout } = await run('--out', out, '--method', 'kivi-2');
    expect([code, stdout]).toEqual([0, `2 prompts written to ${out}\n`]);
    const set = await loadJsonl({ path: out, seed: 1 });
    const finding = { base_score: 1, compressor: 'kivi-2', theta: 0.1, rule: 'default', robust: true };
    expect(set.prompts).toEqual([
      {
        key: 'negatives/quiz/a',
        prompt: plain,
        references: ['42'],
        metric: 'contains',
        taskType: 'code',
        maxNewTokens: 9,
        meta: { ...finding, score: 0.2 },
      },
      {
        key: 'negatives/quiz/c',
        prompt: classes,
        references: ['A'],
        metric: 'classification',
        variant: 'first_line',
        maxNewTokens: 64,
        meta: { ...finding, score: 0, source: 'kept', all_classes: ['A', 'B'] },
      },
    ]);
  });

  test('of several methods has each prompt once, with what each of them made of it; conversations stay conversations', async () => {
    const out = join(dir, 'several.jsonl');
    await run('--out', out);
    const set = await loadJsonl({ path: out, seed: 1 });
    expect(set.prompts.map((p) => p.key)).toEqual(['several/quiz/a', 'several/quiz/b', 'several/quiz/c']);
    expect(set.prompts[0]!.meta).toMatchObject({
      compressor: ['kivi-2', 'kivi-4'],
      score: { 'kivi-2': 0.2, 'kivi-4': 0 },
      robust: { 'kivi-2': true, 'kivi-4': true },
    });
    expect(set.prompts[1]!.messages).toEqual(prompts.prompts[1]!.messages);
  });

  test('takes --all and --limit', async () => {
    const out = join(dir, 'all.jsonl');
    await run('--out', out, '--all');
    expect(readFileSync(out, 'utf8').trim().split('\n')).toHaveLength(1);
    await run('--out', out, '--limit', '2');
    expect(readFileSync(out, 'utf8').trim().split('\n')).toHaveLength(2);
  });
});

describe('texts side by side', () => {
  test('lines break at spaces, long words anywhere, and no line is wider than asked', () => {
    expect(wrap('one two three', 8)).toEqual(['one two', 'three']);
    expect(wrap('abcdefghij k', 4)).toEqual(['abcd', 'efgh', 'ij k']);
    expect(wrap('a\n\nb', 10)).toEqual(['a', '', 'b']);
    for (const width of [10, 17, 30]) {
      for (const line of wrap(
        'The quick 敏捷的棕色狐狸 jumps over a verylongwordindeedwithoutbreaks 🦊🦊🦊 lazily',
        width,
      )) {
        expect(displayWidth(line)).toBeLessThanOrEqual(width);
      }
    }
  });

  test('columns line up under wide characters', () => {
    const text = sideBySide(
      [
        { head: 'a', text: '狐狸' },
        { head: 'b', text: 'fox' },
      ],
      23,
    );
    expect(text.split('\n')).toEqual(['a          | b', '---------- | ----------', '狐狸       | fox']);
  });

  test('a long text loses its middle, in whole characters', () => {
    expect(shorten('🦊'.repeat(10), 4)).toBe('🦊🦊 [... 6 characters ...] 🦊🦊');
    expect(shorten('short', 10)).toBe('short');
  });
});
