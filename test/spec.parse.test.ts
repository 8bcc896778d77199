import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { durationMs, failureLimit } from '../cli/plan-sweep.ts';
import { parseSpec, SpecError } from '../cli/spec.ts';

const GOOD = `name: s
models: [smollm2-135m]
compressors:
  - none
  - kivi: { bits: [2, 4], group: 32 }
batch_sizes: [1, max]
workloads:
  - generate:
      dataset: sharegpt
      prompts: 4
      max_new_tokens: 16
      sampling: { temperature: 0.8, top_k: 20, replicates: 3 }
  - throughput: { prompt_tokens: [512, 2048] }
`;

function issuesOf(text: string) {
  try {
    parseSpec(text, 's.yaml');
  } catch (error) {
    if (error instanceof SpecError) return error;
    throw error;
  }
  throw new Error('the spec was accepted');
}

test('a spec gets its defaults written out', () => {
  const spec = parseSpec(GOOD, 's.yaml');
  expect(spec).toMatchObject({
    baseline_replicates: 1,
    compressor_replicates: 0,
    backend: 'auto',
    limits: { max_failures: '10%', cell_timeout: '2h' },
  });
  expect(spec.workloads[0]!.generate).toMatchObject({
    chat: true,
    truncate: 'middle',
    invariant: true,
    invariant_rows: 64,
    scheduler: 'continuous',
    seed: 42,
  });
  expect(spec.workloads[1]!.throughput).toMatchObject({
    new_tokens: 64,
    warmup: 1,
    repeats: 5,
    scheduler: 'static',
    invariant: false,
  });
});

test('JSON is accepted as well', () => {
  const json = JSON.stringify({
    name: 'j',
    models: ['m'],
    compressors: ['none'],
    workloads: [{ throughput: { prompt_tokens: 8 } }],
  });
  expect(parseSpec(json, 'j.json').batch_sizes).toEqual([1]);
});

test('every sweep of the project is a valid spec', () => {
  expect(
    parseSpec(readFileSync(new URL('../sweeps/quickstart.yaml', import.meta.url), 'utf8'), 'quickstart.yaml').name,
  ).toBe('quickstart');
});

test.each([
  ['an unknown field of a workload', GOOD.replace('prompts: 4', 'promts: 4'), 10, "unknown field 'promts'"],
  ['a value below its range', GOOD.replace('max_new_tokens: 16', 'max_new_tokens: 0'), 11, 'max_new_tokens'],
  ['a nested value', GOOD.replace('temperature: 0.8', 'temperature: -1'), 12, 'temperature'],
  [
    'too few repeats',
    GOOD.replace('prompt_tokens: [512, 2048]', 'prompt_tokens: 8, repeats: 2'),
    13,
    'at least 5 repeats',
  ],
  ['a batch size that is no number', GOOD.replace('[1, max]', '[1, many]'), 6, 'batch_sizes[1]'],
  ['two names in one compressor entry', GOOD.replace('- none', '- { none: {}, kivi: {} }'), 4, 'one name'],
  ['an unknown field at the top', `${GOOD}backnd: cpu\n`, 14, "unknown field 'backnd'"],
  [
    'a misspelt set of LongBench',
    GOOD.replace('dataset: sharegpt', 'dataset: { kind: longbench, set: [trec, qaspr] }'),
    9,
    'unknown set "qaspr" of LongBench; known are narrativeqa, qasper',
  ],
  [
    'an unknown kind of data set',
    GOOD.replace('dataset: sharegpt', 'dataset: { kind: csv, path: x }'),
    9,
    'unknown data set kind "csv"; known are sharegpt',
  ],
  [
    'a wrong field of a data set',
    GOOD.replace('dataset: sharegpt', 'dataset:\n        kind: gen\n        task: vt\n        units: 0'),
    10,
    'units 0 of a data set is not a whole number from 1',
  ],
  [
    'a data set that is a list',
    GOOD.replace('dataset: sharegpt', 'dataset: [a, b]'),
    9,
    'a data set is a name, or {kind',
  ],
  [
    'a limit of a rule that is not chosen',
    GOOD.replace('max_new_tokens: 16', 'max_new_tokens: 16\n      truncate_at: 3500'),
    12,
    '3500: is a limit of truncate: middle_retok alone',
  ],
  ['too many replicates of compressed cells', `${GOOD}compressor_replicates: 11\n`, 14, '10'],
  ['a name with a slash', GOOD.replace('name: s', 'name: a/b'), 1, 'letters, digits'],
])('%s is refused with its line', (_name, text, line, says) => {
  const error = issuesOf(text);
  expect(error.message).toContain(says);
  expect(error.issues.map((i) => i.line)).toContain(line);
  expect(error.message).toContain(`s.yaml:${line}:`);
});

test('a missing data set is told by name, and the rest of the workload too', () => {
  const error = issuesOf(GOOD.replace('      dataset: sharegpt\n', '').replace('prompts: 4', 'prompts: some'));
  expect(error.message).toMatch(/generate\.dataset: is missing \(a data set is a name/);
  expect(error.message).toMatch(/generate\.prompts: "some"/);
});

test('all prompts of a data set, and caps of their own, need no number', () => {
  const text = GOOD.replace('prompts: 4', 'prompts: all').replace('      max_new_tokens: 16\n', '');
  const { generate } = parseSpec(text, 's.yaml').workloads[0]!;
  expect(generate).toMatchObject({ prompts: 'all', allow_no_eot: false });
  expect(generate!.max_new_tokens).toBeUndefined();
});

test('a missing field is told by name, at its map', () => {
  const error = issuesOf(GOOD.replace('      prompts: 4\n', ''));
  expect(error.message).toMatch(/s\.yaml:9: workloads\[0\]\.generate\.prompts: is missing/);
});

test('all mistakes are told at once', () => {
  const text = GOOD.replace('prompts: 4', 'prompts: none').replace('[1, max]', '[0]');
  expect(issuesOf(text).issues.length).toBe(2);
});

test('broken YAML and a doubled key name their line', () => {
  expect(issuesOf('name: [a\nmodels: x\n').issues[0]!.line).toBeGreaterThanOrEqual(1);
  const doubled = issuesOf('name: a\nname: b\n');
  expect(doubled.issues[0]!.line).toBe(2);
  expect(doubled.message).toMatch(/unique/i);
});

test('an empty file says what a spec needs', () => {
  expect(issuesOf('').message).toContain('a spec needs name, models, compressors and workloads');
});

test('durations and failure limits are read in their units', () => {
  expect([durationMs('90s'), durationMs('2h'), durationMs('1.5m'), durationMs('250 ms')]).toEqual([
    90_000, 7_200_000, 90_000, 250,
  ]);
  expect([failureLimit('10%'), failureLimit(3), failureLimit('100%')]).toEqual([{ percent: 10 }, { count: 3 }, null]);
});
