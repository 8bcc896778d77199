import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { SplitMix64 } from '../analysis/random.ts';
import { arrayElements } from '../datasets/json-array.ts';
import { DatasetError } from '../datasets/prompt-set.ts';
import { firstHumanTurn, indexShareGpt, loadShareGpt } from '../datasets/sharegpt.ts';

const record = (id: unknown, value: string, from = 'human') => ({ id, conversations: [{ from, value }] });
/** Three records whose strings hold all that may confuse a scanner. */
const TRICKY = [
  record('a', 'say "hi" ]}, [{ and \\ end with a backslash \\'),
  record('b', 'smile \u{1f600}'),
  record('c', 'nested {"id": [1, 2, {"x": "\\""}]}'),
];
const TRICKY_TEXT = `[${JSON.stringify(TRICKY[0])}, ${JSON.stringify(TRICKY[1]).replace('\u{1f600}', '\\uD83D\\uDE00')} ,
${JSON.stringify(TRICKY[2])}\n]`;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kvsweep-sharegpt-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function file(content: string, name = 'data.json'): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
}

async function elementsOf(chunks: Buffer[]): Promise<string[]> {
  const out: string[] = [];
  for await (const element of arrayElements(chunks)) out.push(element.bytes.toString());
  return out;
}

test('a file cut at every byte gives 0 to 3 whole records and never an exception', async () => {
  const bytes = Buffer.from(TRICKY_TEXT);
  const ends = TRICKY.map((r, i) => {
    const text = i === 1 ? JSON.stringify(r).replace('\u{1f600}', '\\uD83D\\uDE00') : JSON.stringify(r);
    return bytes.indexOf(text) + Buffer.byteLength(text);
  });
  for (let cut = 0; cut <= bytes.length; cut++) {
    const index = await indexShareGpt([bytes.subarray(0, cut)]);
    expect(index.records).toBe(ends.filter((end) => end <= cut).length);
    expect(index.kept).toHaveLength(index.records);
    expect(index.droppedTail).toBe(cut === bytes.length ? 0 : 1);
    expect(index.droppedBad).toBe(0);
  }
});

test('where chunks end makes no difference', async () => {
  const bytes = Buffer.from(TRICKY_TEXT);
  const whole = await elementsOf([bytes]);
  expect(whole).toHaveLength(3);
  for (const size of [1, 2, 3, 7, 64]) {
    const chunks: Buffer[] = [];
    for (let i = 0; i < bytes.length; i += size) chunks.push(bytes.subarray(i, i + size));
    expect(await elementsOf(chunks)).toEqual(whole);
  }
});

test('escapes of the file arrive as text', async () => {
  const set = await loadShareGpt({ path: await file(TRICKY_TEXT), seed: 1 });
  const byKey = Object.fromEntries(set.prompts.map((p) => [p.key, p.prompt]));
  expect(byKey).toEqual({
    'sharegpt/a': TRICKY[0]!.conversations[0]!.value,
    'sharegpt/b': 'smile \u{1f600}',
    'sharegpt/c': TRICKY[2]!.conversations[0]!.value,
  });
  expect(set.meta).toMatchObject({ records: 3, dropped_tail: 0, dropped_tail_bytes: 0, dropped_bad: 0 });
  expect(set.warnings).toEqual([]);
});

test('the first human or user turn is the prompt, later ones are not', () => {
  const turns = (...list: [string, unknown][]) => ({ conversations: list.map(([from, value]) => ({ from, value })) });
  expect(firstHumanTurn(turns(['gpt', 'hello'], ['user', 'first'], ['human', 'second']))).toBe('first');
  expect(firstHumanTurn(turns(['human', ' \n\t'], ['human', 'later']))).toBeNull();
  expect(firstHumanTurn(turns(['human', 7]))).toBeNull();
  expect(firstHumanTurn(turns(['system', 'x']))).toBeNull();
  expect(firstHumanTurn({ conversations: [null, 'x'] })).toBeNull();
  expect(firstHumanTurn({})).toBeNull();
});

test('records without a human turn, repeated texts and unreadable ones are counted apart', async () => {
  const content = `[${[
    JSON.stringify(record('a', 'one')),
    JSON.stringify(record('b', 'one')),
    JSON.stringify(record('a', 'two')),
    JSON.stringify(record(undefined, 'three')),
    JSON.stringify(record('#9', 'four')),
    JSON.stringify(record(12, 'five')),
    JSON.stringify(record('c', 'x', 'gpt')),
    '{"id": oops}',
    '[1, 2]',
    '17',
    '"a ] string"',
  ].join(',')}]`;
  const path = await file(content);
  const set = await loadShareGpt({ path, seed: 0 });
  expect(set.prompts.map((p) => p.key).sort()).toEqual([
    'sharegpt/#2',
    'sharegpt/#3',
    'sharegpt/#4',
    'sharegpt/12',
    'sharegpt/a',
  ]);
  expect(set.meta).toMatchObject({ records: 11, dropped_bad: 4, dropped_no_human: 1, dropped_duplicate: 1 });
  expect(set.warnings).toHaveLength(1);
  await expect(loadShareGpt({ path, seed: 0, strict: true })).rejects.toThrow('4 records are not valid JSON objects');
});

test('a truncated file warns, and is an error when strict', async () => {
  const path = await file(TRICKY_TEXT.slice(0, -10));
  const set = await loadShareGpt({ path, seed: 0 });
  expect(set.prompts).toHaveLength(2);
  expect(set.warnings[0]).toContain('cut off: 2 whole records');
  await expect(loadShareGpt({ path, seed: 0, strict: true })).rejects.toThrow('cut off');
});

test('what is no array of records is refused in one sentence', async () => {
  const load = async (content: string) => loadShareGpt({ path: await file(content), seed: 0 });
  await expect(load('{"id": 1}')).rejects.toThrow('does not begin with "["');
  await expect(load('')).rejects.toThrow('has no prompt that fits');
  await expect(load('[]')).rejects.toThrow(DatasetError);
  await expect(loadShareGpt({ path: join(folder, 'absent.json'), seed: 0 })).rejects.toThrow(
    'cannot read the data set',
  );
});

const many = JSON.stringify(Array.from({ length: 50 }, (_, i) => record(`r${i}`, `question ${'x'.repeat(i)}`)));

test('the order is the shuffle of the design page over the kept records', async () => {
  const path = await file(many);
  const sha = createHash('sha256').update(many).digest('hex');
  const ids = Array.from({ length: 50 }, (_, i) => `sharegpt/r${i}`);
  SplitMix64.fromKey(`kvsweep-data-1|${sha}|42`).shuffle(ids);
  const set = await loadShareGpt({ path, seed: 42, prompts: 7 });
  expect(set.prompts.map((p) => p.key)).toEqual(ids.slice(0, 7));
  const other = await loadShareGpt({ path, seed: 43, prompts: 7 });
  expect(other.sha).not.toBe(set.sha);
});

test('a limit in tokens passes over prompts without changing the order of the others', async () => {
  const path = await file(many);
  const all = await loadShareGpt({ path, seed: 42 });
  const asked: number[] = [];
  const few = await loadShareGpt({
    path,
    seed: 42,
    prompts: 5,
    minPromptTokens: 12,
    maxPromptTokens: 30,
    countTokens: async (prompts) => {
      asked.push(prompts.length);
      return prompts.map((p) => p.prompt!.length);
    },
  });
  const fits = all.prompts.filter((p) => p.prompt!.length >= 12 && p.prompt!.length <= 30);
  expect(few.prompts).toEqual(fits.slice(0, 5));
  expect(few.meta.limits).toEqual({ minPromptTokens: 12, maxPromptTokens: 30 });
  expect(asked.length).toBeLessThan(4);
  const last = all.prompts.findIndex((p) => p.key === few.prompts.at(-1)!.key);
  const passed = all.prompts.slice(0, last + 1).filter((p) => p.prompt!.length > 30).length;
  expect(few.meta.dropped_long).toBe(passed);
});

test('a limit in tokens without a tokenizer is refused', async () => {
  await expect(loadShareGpt({ path: await file(many), seed: 1, maxPromptTokens: 9 })).rejects.toThrow(
    'needs the tokenizer',
  );
});

test('fewer prompts than asked for is told', async () => {
  const set = await loadShareGpt({ path: await file(many), seed: 1, prompts: 80 });
  expect(set.prompts).toHaveLength(50);
  expect(set.warnings).toEqual(['data set sharegpt has 50 prompts that fit, 80 were asked for']);
});

const REAL = new URL('../.kvsweep/data/ShareGPT_V3_unfiltered_cleaned_split.json', import.meta.url).pathname;
const present = existsSync(REAL);
if (!present) console.log('skipped: the real ShareGPT copy is absent; `npm run demo` fetches it');

test.skipIf(!present)(
  'the public copy gives 17,671 whole records and a cut tail',
  async () => {
    const before = process.memoryUsage().rss;
    const set = await loadShareGpt({ path: REAL, seed: 42, prompts: 12 });
    expect(set.meta).toMatchObject({ records: 17_671, dropped_tail: 1, dropped_bad: 0 });
    expect(set.prompts).toHaveLength(12);
    expect(set.warnings[0]).toContain('17671 whole records');
    // the file is 120 MiB: reading it whole would show
    expect(process.memoryUsage().rss - before).toBeLessThan(200 * 1024 * 1024);
  },
  60_000,
);
