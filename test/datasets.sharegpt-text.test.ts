import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadDataset } from '../datasets/index.ts';
import { cutText, LEAST_CHARS, MOST_CHARS } from '../datasets/sharegpt-text.ts';

let folder: string;
const turn = (value: string) => ({ from: 'human', value });
/** Text of `n` characters that begins with its own mark. */
const long = (mark: string, n: number) => `${mark} ${'x'.repeat(n - mark.length - 1)}`;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'kvsweep-text-'));
  const records = [
    { id: 'a', conversations: [turn(long('zero', 5_000)), turn(long('more', 5_000))] },
    { id: 'b', conversations: [turn(long('one', 20_000))] },
    { id: 'c', conversations: [turn(long('two', LEAST_CHARS - 1))] },
    { id: 'd', conversations: [turn(long('three', LEAST_CHARS))] },
    { id: 'e', conversations: [turn(long('four', 9_000))] },
    { id: 'f', conversations: [] },
    { id: 'g', conversations: [turn(long('four', 9_000))] },
  ];
  writeFileSync(join(folder, 'sg.json'), JSON.stringify(records));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const load = async (part: string, seed: number, prompts?: number) =>
  await loadDataset(
    { kind: 'sharegpt_text', path: join(folder, 'sg.json'), part },
    { seed, ...(prompts ? { prompts } : {}) },
  );

test('the texts are those of the rule: file order, long enough, all turns, each once; even ones for evaluation', async () => {
  const set = await load('evaluation', 1);
  expect(set.prompts.map((p) => p.key)).toEqual(['fixed_text/#0', 'fixed_text/#4']);
  expect(set.prompts[0]!.prompt).toMatch(/^zero x+\n\nmore x+$/);
  expect(set.prompts[0]!.prompt).toHaveLength(10_002);
});

test('odd records are for calibration, cut at the most characters; no text is in both parts', async () => {
  const set = await load('calibration', 1);
  expect(set.prompts.map((p) => [p.key, p.prompt!.length])).toEqual([
    ['calibration_text/#1', MOST_CHARS],
    ['calibration_text/#3', LEAST_CHARS],
  ]);
});

test('the seed changes nothing, and fewer texts are the first ones', async () => {
  expect((await load('evaluation', 2)).sha).toBe((await load('evaluation', 1)).sha);
  expect((await load('evaluation', 9, 1)).prompts.map((p) => p.key)).toEqual(['fixed_text/#0']);
});

test('a cut never splits a character', () => {
  expect(cutText('ab😀c', 3)).toBe('ab');
  expect(cutText('ab😀c', 4)).toBe('ab😀');
  expect(cutText('abc', 3)).toBe('abc');
});

test('another part is refused with a sentence', async () => {
  await expect(load('test', 1)).rejects.toThrow('part "test" is not one of evaluation, calibration');
});
