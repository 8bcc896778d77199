import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadDataset } from '../datasets/index.ts';
import { loadJsonl } from '../datasets/jsonl.ts';
import { openEndedPrompt, openEndedPrompts } from '../datasets/open-ended.ts';
import { canonicalJson, promptSetSha } from '../datasets/prompt-set.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kvsweep-jsonl-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function load(...lines: (object | string)[]) {
  const path = join(folder, 'mine.jsonl');
  await writeFile(path, lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n'));
  return loadJsonl({ path, seed: 0 });
}

test('every field of a line reaches its prompt, in the order of the file', async () => {
  const set = await load(
    {
      id: 'x',
      prompt: 'why?',
      references: ['because'],
      metric: 'qa_f1',
      variant: 'first_line',
      max_new_tokens: 9,
      task_type: 'QA',
      all_classes: ['a'],
      meta: { from: 'me' },
    },
    '',
    {
      id: 7,
      messages: [
        { role: 'system', content: 's' },
        { role: 'user', content: 'u' },
      ],
      reference: 'r',
    },
  );
  expect(set.prompts).toEqual([
    {
      key: 'mine/x',
      prompt: 'why?',
      references: ['because'],
      metric: 'qa_f1',
      variant: 'first_line',
      taskType: 'QA',
      maxNewTokens: 9,
      meta: { from: 'me', all_classes: ['a'] },
    },
    {
      key: 'mine/7',
      messages: [
        { role: 'system', content: 's' },
        { role: 'user', content: 'u' },
      ],
      references: ['r'],
    },
  ]);
});

test.each([
  ['{"id": 1, "prompt": "p"', 'not valid JSON'],
  ['[1]', 'not a JSON object'],
  [{ id: 1 }, 'either "prompt" or "messages"'],
  [{ id: 1, prompt: 'p', messages: [{ role: 'user', content: 'c' }] }, 'either "prompt" or "messages"'],
  [{ prompt: 'p' }, '"id" must be'],
  [{ id: 1.5, prompt: 'p' }, '"id" must be'],
  [{ id: 1, prompt: 'p', metric: 'bleu' }, 'unknown metric "bleu"'],
  [
    { id: 1, prompt: 'p', metric: 'qa_f1', variant: 'last_line' },
    'metric qa_f1 has no variant "last_line"; known are first_line',
  ],
  [{ id: 1, prompt: 'p', metric: 'count', variant: 'zh' }, 'metric count has no variant "zh"; known are none'],
  [{ id: 1, prompt: 'p', variant: 'first_line' }, '"variant" needs a "metric"'],
  [
    { id: 1, prompt: 'p', metric: 'classification', reference: 'a' },
    'needs the labels to choose from in "all_classes"',
  ],
  [
    { id: 1, prompt: 'p', metric: 'classification', reference: 'a', all_classes: 'a' },
    '"all_classes" must be an array of strings',
  ],
  [
    { id: 1, prompt: 'p', metric: 'retrieval', reference: '7' },
    'the reference "7" names no paragraph (like Paragraph 7)',
  ],
  [
    { id: 1, prompt: 'p', metric: 'number_final', reference: 'seven' },
    'the reference "seven" ends with no number (like "#### 42")',
  ],
  [{ id: 1, prompt: 'p', metric: 7 }, '"metric" must be a string'],
  [{ id: 1, prompt: 'p', variant: 7 }, '"variant" must be a string'],
  [{ id: 1, prompt: 'p', task_type: 7 }, '"task_type" must be a string'],
  [{ id: 1, prompt: 'p', reference: 7 }, '"reference" must be a string'],
  [{ id: 1, prompt: 'p', references: [7] }, '"references" must be an array of strings'],
  [{ id: 1, prompt: '' }, '"prompt" must be a string with text'],
  [{ id: '', prompt: 'p' }, '"id" must be'],
  [{ id: 1, messages: [{ role: 'user', content: 7 }] }, 'the content of a message must be a string'],
  [{ id: 1, messages: 'hello' }, '"messages" must be'],
  [{ id: 1, prompt: 'p', max_new_tokens: 1.5 }, '"max_new_tokens" must be'],
  [{ id: 1, prompt: 'p', max_new_tokens: 0 }, '"max_new_tokens" must be'],
  [{ id: 1, prompt: 'p', temperature: 1 }, 'unknown field "temperature"'],
  [{ id: 1, prompt: 'p', references: 'r' }, '"references" must be'],
  [{ id: 1, prompt: 'p', references: ['r'], reference: 'r' }, 'not both'],
  [{ id: 1, prompt: 'p', meta: [] }, '"meta" must be'],
  [{ id: 1, messages: [] }, '"messages" must be'],
  [{ id: 1, messages: [{ role: 'tool', content: 'c' }] }, 'the role of a message'],
  [{ id: 1, messages: [null] }, 'the role of a message'],
  [{ id: '0', prompt: 'again' }, 'the id of line 1 is repeated'],
])('a mistake names its line: %j', async (line, message) => {
  await expect(load({ id: 0, prompt: 'fine' }, '', line)).rejects.toThrow(message);
  await expect(load({ id: 0, prompt: 'fine' }, '', line)).rejects.toThrow('mine.jsonl, line 3: ');
});

test('an absent file is told in one sentence', async () => {
  await expect(loadJsonl({ path: join(folder, 'absent.jsonl'), seed: 0 })).rejects.toThrow('cannot read the data set');
});

test('the 1,000 open-ended prompts are those of the design page', () => {
  const prompts = openEndedPrompts(42);
  expect(prompts).toHaveLength(1000);
  expect(prompts[0]!.prompt).toBe('Write a short story about map making.');
  const sha = createHash('sha256')
    .update(prompts.map((p) => p.prompt).join('\n'))
    .digest('hex');
  expect(sha.slice(0, 16)).toBe('8ca4f521fa6fff80');
  expect(new Set(prompts.map((p) => p.key)).size).toBe(1000);
  expect(openEndedPrompt(999)).toBe('How would you measure success in space telescopes?');
});

test('a data set is found by its kind; a wrong reference says what is wrong', async () => {
  const set = await loadDataset({ kind: 'gen', task: 'open_ended' }, { seed: 42, prompts: 3 });
  expect(set.prompts.map((p) => p.prompt)).toEqual(
    openEndedPrompts(42)
      .slice(0, 3)
      .map((p) => p.prompt),
  );
  await expect(loadDataset({ kind: 'csv' }, { seed: 1 })).rejects.toThrow(
    'known are sharegpt, jsonl, longbench, gsm8k, sharegpt_text, gen',
  );
  await expect(loadDataset({ kind: 'sharegpt' }, { seed: 1 })).rejects.toThrow('needs "path"');
  await expect(loadDataset({ kind: 'gen', task: 'haiku' }, { seed: 1 })).rejects.toThrow('known are open_ended');
  await expect(loadDataset({ kind: 'jsonl', path: 'x', strict: true }, { seed: 1 })).rejects.toThrow(
    'no field "strict"',
  );
});

test('the hash of a prompt set is over sorted keys, and over all that is stored', () => {
  expect(canonicalJson({ b: [1, null, { d: 'ü', c: undefined }], a: true })).toBe('{"a":true,"b":[1,null,{"d":"ü"}]}');
  const prompt = { key: 'k', prompt: 'p' };
  expect(promptSetSha([prompt])).toBe(promptSetSha([{ prompt: 'p', key: 'k' }]));
  // sha256 of [{"key":"k","prompt":"p"}] by `printf '%s' ... | sha256sum`
  expect(promptSetSha([prompt])).toBe('b7f298901aba1472937f200936ae9fe84015f804f2fcf4f6ac825ae0567e3b17');
  expect(promptSetSha([prompt])).not.toBe(promptSetSha([{ ...prompt, maxNewTokens: 1 }]));
});
