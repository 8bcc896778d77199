/** Generated tasks: every prompt of the design page by its hash, lengths by a tokenizer, and answers that are known. */
import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { GEN_TASKS, generate } from '../datasets/gen/tasks.ts';
import { loadDataset } from '../datasets/index.ts';

const task = (name: string) => GEN_TASKS.find((t) => t.name === name)!;

describe('seed 42, sample 0 is the prompt of the design page', () => {
  test.each([
    ['niah_single_1', 20, 1518, 'bbbb72c7f970b1d6', ['2731689']],
    ['niah_single_2', 20, 1414, 'bfe152193af7c9d0', ['1610810']],
    ['niah_single_3', 20, 1448, '391eed1ee6186374', ['25c4f60c-d58d-0b93-8daf-a13c2c897589']],
    ['niah_multikey_1', 20, 1552, 'bfe2529b15946099', ['4763773']],
    ['niah_multikey_2', 20, 998, 'f1dd73deecd59200', ['4149076']],
    ['niah_multikey_3', 20, 2267, 'ef547b0d2b03294d', ['e6030b8b-1807-0ccf-e0f2-a55ae45a0e88']],
    ['niah_multivalue', 20, 1567, '9e6ed53f7322e2f6', ['6751176', '6061044', '6601551', '8679098']],
    ['niah_multiquery', 20, 1604, '31946d6da1c5cd16', ['4132291', '8490579', '8771060', '6332892']],
    ['vt', 20, 1444, '3a6bfeebe10a80d3', ['HWYBQ', 'ADBYK', 'AGEZK', 'JLKIA', 'MKLXG']],
    [
      'cwe',
      20,
      4393,
      'ea02ab425113e09c',
      ['ravovi', 'topeku', 'mebupu', 'madara', 'robuki', 'pefazo', 'kepemi', 'rutara', 'niviza', 'sonozu'],
    ],
    ['fwe', 400, 2091, 'ba5b042d50cc2b71', ['kizemu', 'mopigu', 'zuzuni']],
    ['passkey', 20, 1349, '3e1eca6994df7fe3', ['9454981']],
  ])('%s', (name, units, chars, sha, references) => {
    const made = generate(task(name), 42, 0, units, 50);
    expect(made.references).toEqual(references);
    expect(made.prompt).toHaveLength(chars);
    expect(createHash('sha256').update(made.prompt).digest('hex').slice(0, 16)).toBe(sha);
  });

  test('a body of three sentences reads as on the page', () => {
    const [, body] = generate(task('niah_single_2'), 42, 0, 3, 50).prompt.split('\n\n');
    expect(body).toBe(
      'The brave farmer pushed the amber bucket beside the gate. The access code for nomitu is 1610810. The little heron watched the plain coat beside the courtyard. The clever tailor repaired the brisk compass beside the park.',
    );
  });
});

/** A tokenizer for tests: words, plus five for a chat template. */
const countTokens = async (prompts: readonly { prompt?: string }[]) =>
  prompts.map((p) => p.prompt!.split(/\s+/).length + 5);

test('a length in tokens is filled to the last unit that fits', async () => {
  const options = { prompts: 6, seed: 7, countTokens };
  const set = await loadDataset({ kind: 'gen', task: 'niah_single_2', length: 600, new_tokens: 32 }, options);
  expect(set.dataset).toBe('niah_single_2');
  const counts = await countTokens(set.prompts);
  for (const [i, prompt] of set.prompts.entries()) {
    expect(counts[i]).toBeLessThanOrEqual(568);
    // One sentence more has 11 words.
    expect(counts[i]! + 11).toBeGreaterThan(568);
    expect(prompt).toMatchObject({ metric: 'string_all', taskType: 'retrieval', maxNewTokens: 32 });
    expect(prompt.prompt).toContain(`is ${prompt.references![0]}.`);
    const units = prompt.meta!.units as number;
    expect(prompt.prompt).toBe(generate(task('niah_single_2'), 7, i, units, 50).prompt);
  }
  expect(new Set(set.prompts.map((p) => p.references![0])).size).toBe(6);
});

test('equal requests give equal sets, another seed gives another', async () => {
  const sha = async (seed: number) =>
    (await loadDataset({ kind: 'gen', task: 'vt', units: 12 }, { prompts: 3, seed })).sha;
  expect(await sha(1)).toBe(await sha(1));
  expect(await sha(2)).not.toBe(await sha(1));
});

test('pass keys of a set lie at ten depths, from 5 to 95 percent', async () => {
  const set = await loadDataset({ kind: 'gen', task: 'passkey', units: 100 }, { prompts: 10, seed: 1 });
  const before = set.prompts.map(
    (p) => p.prompt!.split('\n\n')[1]!.split('The pass key is')[0]!.split('. ').length - 1,
  );
  expect(set.prompts.map((p) => p.meta!.depth_percent)).toEqual([5, 15, 25, 35, 45, 55, 65, 75, 85, 95]);
  expect(before).toEqual([5, 15, 25, 35, 45, 55, 65, 75, 85, 95]);
});

test('a pass key gives both its metrics; one of 64 digits takes a longer answer', async () => {
  const ref = { kind: 'gen', task: 'passkey', units: 20 };
  const [short] = (await loadDataset(ref, { prompts: 1, seed: 42 })).prompts;
  expect(short).toMatchObject({ metric: 'passkey', maxNewTokens: 32 });
  expect(short!.references![0]).toMatch(/^[1-9][0-9]{6}$/);
  const set = await loadDataset({ ...ref, digits: 64 }, { prompts: 1, seed: 42 });
  const [long] = set.prompts;
  expect(long).toMatchObject({ metric: 'passkey', maxNewTokens: 128 });
  expect(long!.references![0]).toMatch(/^[1-9][0-9]{63}$/);
  expect(long!.prompt).toContain(`The pass key is ${long!.references![0]}.`);
  expect(long!.key).not.toBe(short!.key);
  // The draws of the short key are the first of the long one's.
  expect(long!.references![0]!.slice(0, 7)).toBe(short!.references![0]);
});

test('an answer prefix ends the prompt, and counts for its length', async () => {
  const ref = { kind: 'gen', task: 'niah_single_2', length: 600, new_tokens: 32 };
  const options = { prompts: 2, seed: 7, countTokens };
  const [bare] = (await loadDataset(ref, options)).prompts;
  const set = await loadDataset({ ...ref, answer_prefix: true }, options);
  expect(set.meta.answer_prefix).toBe('The answer is');
  for (const prompt of set.prompts)
    expect(prompt.prompt!.endsWith('Answer with the code alone.\n\nThe answer is')).toBe(true);
  for (const count of await countTokens(set.prompts)) expect(count).toBeLessThanOrEqual(568);
  expect(bare!.prompt!.endsWith('Answer with the code alone.')).toBe(true);
});

test.each([
  [{ task: 'vt', units: 9, digits: 7 }, 'only generator passkey takes "digits", not vt'],
  [{ task: 'passkey', units: 9, digits: 8 }, 'digits 8 of a pass key is neither 7 nor 64'],
  [{ task: 'open_ended', answer_prefix: true }, 'takes no length, units, new_tokens, depth or answer_prefix'],
  [{ task: 'vt', units: 9, answer_prefix: 'yes' }, 'answer_prefix "yes" of a data set is neither true nor false'],
  [{ task: 'niah_single_2' }, 'needs "length" (tokens of prompt and answer) or "units"'],
  [{ task: 'niah_singel_2', length: 600 }, 'unknown generator "niah_singel_2"; known are open_ended, niah_single_1'],
  [{ task: 'niah_single_2', length: 150 }, 'length 150 is too small'],
  [{ task: 'vt', length: 600, depth: 5 }, 'only passkey takes "depth"'],
  [{ task: 'vt', length: 6.5 }, 'length 6.5 of a data set is not a whole number'],
  [{ task: 'fwe', units: 50 }, 'at least 100 units'],
])('%o is refused with a sentence', async (ref, says) => {
  await expect(loadDataset({ kind: 'gen', ...ref } as never, { prompts: 1, seed: 1, countTokens })).rejects.toThrow(
    says,
  );
});
