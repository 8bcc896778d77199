import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { scoreAnswer } from '../analysis/metrics/index.ts';
import { loadDataset } from '../datasets/index.ts';

let path: string;
beforeAll(() => {
  path = join(mkdtempSync(join(tmpdir(), 'kvsweep-gsm8k-')), 'test.jsonl');
});
afterAll(() => rmSync(join(path, '..'), { recursive: true }));

const GOOD = { question: 'How many?', answer: 'Two and two.\n#### 1,004' };
const load = (lines: (object | string)[], more: object = {}) => {
  writeFileSync(path, lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n'));
  return loadDataset({ kind: 'gsm8k', path, ...more }, { seed: 1 });
};

test('a question is the prompt, the answer its reference, scored by the final number', async () => {
  const set = await load([GOOD, '', { ...GOOD, question: 'And now?' }]);
  expect(set.dataset).toBe('gsm8k');
  expect(set.prompts).toEqual([
    {
      key: 'gsm8k/0',
      prompt: 'How many?',
      references: ['Two and two.\n#### 1,004'],
      metric: 'number_final',
      taskType: 'mathematics',
      maxNewTokens: 512,
      meta: { line: 1 },
    },
    expect.objectContaining({ key: 'gsm8k/1', prompt: 'And now?', meta: { line: 3 } }),
  ]);
  const { references, metric } = set.prompts[0]!;
  expect(scoreAnswer('So it is 1004.', references!, metric!)[0]!.score).toBe(1);
});

test('a suffix stands under every question and in the provenance', async () => {
  const set = await load([GOOD], { suffix: 'End with #### and the number.' });
  expect(set.prompts[0]!.prompt).toBe('How many?\nEnd with #### and the number.');
  expect(set.meta).toMatchObject({ suffix: 'End with #### and the number.', records: 1 });
});

test.each([
  [{ ...GOOD, answer: 'two' }, 'the reference "two" ends with no number'],
  [{ answer: '#### 1' }, '"question" must be a string, it is missing'],
  [{ question: ' ', answer: '#### 1' }, '"question" must be a string with text'],
  [{ question: 'q', answer: 4 }, '"answer" must be a string'],
  ['nonsense', 'not valid JSON'],
])('a mistake names its line: %j', async (line, says) => {
  await expect(load([GOOD, line])).rejects.toThrow(says);
  await expect(load([GOOD, line])).rejects.toThrow('test.jsonl, line 2: ');
});
