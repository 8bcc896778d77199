import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { METRIC_NAMES } from '../analysis/metrics/index.ts';
import { EXPLANATIONS, FIELD_MEANINGS } from '../datasets/explain.ts';
import { DATASETS } from '../datasets/index.ts';
import { FAKE_GPU_RUNNER, kvsweep } from './support/command-line.ts';
import { record, writeLongBench } from './support/longbench-folder.ts';

let home: string;
let env: Record<string, string>;
beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), 'kvsweep-datasets-'));
  env = { PATH: process.env.PATH!, HOME: home, KVSWEEP_DATA: join(home, 'data'), KVSWEEP_ENGINE: FAKE_GPU_RUNNER };
  mkdirSync(join(home, 'data'));
});
afterAll(() => rmSync(home, { recursive: true, force: true }));

const run = async (...argv: string[]) => {
  const { code, stdout, stderr } = await kvsweep(env, 'datasets', ...argv);
  return { code, stderr, stdout, json: () => JSON.parse(stdout) };
};

test('what is missing is told with how to get it', async () => {
  const { stdout } = await run();
  expect(stdout).toMatch(/sharegpt +sharegpt +false .*ShareGPT_V3.*`npm run bootstrap`/);
  expect(stdout).toMatch(/gsm8k +gsm8k +false .*gsm8k-test.jsonl +`kvsweep datasets gsm8k` says how/);
  expect(stdout).toContain('LongBench: 0 of 21 sets in');
  expect((await run('--json')).json()).toMatchObject({ longbench: { sets: [] } });
});

test('LongBench is told set by set, with what lies in its folder', async () => {
  expect((await run('longbench')).stdout).toContain('(missing)');
  const folder = join(home, 'data', 'longbench');
  writeLongBench(folder);
  rmSync(join(folder, 'lcc.jsonl'));
  writeFileSync(
    join(folder, 'trec.jsonl'),
    `${JSON.stringify(record('trec', 0))}\n${JSON.stringify(record('trec', 1))}`,
  );
  writeFileSync(join(folder, 'dataset2prompt.json'), '{}');
  const { stdout } = await run('longbench');
  expect(stdout).toMatch(/samsum +Few-shot +rouge_l +first_line +128 +no +"\\n" +yes +200 +3/);
  expect(stdout).toMatch(/lcc .*500 +missing/);
  expect(stdout).toContain('dataset2prompt.json (of unknown origin, sha256 44136fa355b3678a');
  const { sets, template } = (await run('longbench', '--json')).json();
  expect(sets).toHaveLength(21);
  expect(sets.find((s: { set: string }) => s.set === 'trec')).toMatchObject({
    here: 2,
    records: 200,
    metric: 'classification',
  });
  expect(template.origin).toBeNull();
  expect((await run()).stdout).toContain('LongBench: 20 of 21 sets in');
});

test('every kind and every field is explained', async () => {
  for (const { kind, needs, accepts } of DATASETS) {
    const { code, stdout } = await run(kind);
    expect(code).toBe(0);
    expect(stdout).toContain(EXPLANATIONS[kind]!.get);
    for (const field of [...needs, ...accepts]) {
      expect(stdout).toContain(FIELD_MEANINGS[field as keyof typeof FIELD_MEANINGS]);
    }
  }
  expect((await run('needle')).stdout).toContain('niah_single_2');
  expect((await run('gsm8k')).stdout).toContain('gsm8k-test.jsonl (missing)');
});

test('the metrics are those of the table', async () => {
  const { metrics } = (await run('metrics', '--json')).json();
  expect(metrics.map((m: { metric: string }) => m.metric)).toEqual(METRIC_NAMES);
});

test('a misspelt name is answered with the one that is near', async () => {
  const { code, stderr } = await run('longbech');
  expect(code).toBe(2);
  expect(stderr).toContain("there is no data set 'longbech' (did you mean longbench?); known are sharegpt, jsonl");
});
