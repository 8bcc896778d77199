/** The specs in `sweeps/` are valid, and those of the study span the grids of the design page. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { MODELS } from '../activities/model-catalogue.ts';
import { parseSpec } from '../cli/spec.ts';
import { workloadPoints } from '../cli/spec-workloads.ts';
import { LONGBENCH_GROUPS } from '../datasets/longbench-sets.ts';
import { readConfig } from '../workers/config.ts';
import { kvsweep } from './support/command-line.ts';
import { writeLongBench } from './support/longbench-folder.ts';

const FOLDER = fileURLToPath(new URL('../sweeps/', import.meta.url));
const textOf = (file: string) => readFileSync(join(FOLDER, file), 'utf8');
const config = readConfig();
const model = config.modelFolders.map((f) => join(f, MODELS[0]!.file)).find((path) => existsSync(path));
const ready = existsSync(config.enginePath) && model !== undefined;
if (!ready) console.warn('skipped: plans of the study by the real engine (no engine or no model; `npm run bootstrap`)');

let home: string;
beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), 'kvsweep-study-'));
  writeLongBench(join(home, 'data', 'longbench'), 4);
});
afterAll(() => rmSync(home, { recursive: true, force: true }));

test.each(readdirSync(FOLDER).filter((file) => file.endsWith('.yaml')))(
  '%s is a valid spec of its own name',
  (file) => {
    const spec = parseSpec(textOf(file), file);
    expect(`${spec.name}.yaml`).toBe(file);
    expect(workloadPoints(spec).length).toBeGreaterThan(0);
  },
);

test('the throughput grid is the normal and the long one, and the largest batches', () => {
  const points = workloadPoints(parseSpec(textOf('study-throughput.yaml'), 's')).flatMap(({ workload }) => {
    if (!('throughput' in workload.engine)) throw new Error('not a throughput workload');
    const { prompt_tokens: tokens, new_tokens: made, repeats, warmup } = workload.engine.throughput;
    expect([made, repeats, warmup]).toEqual([64, 5, 1]);
    return workload.batches!.map((batch) => `${batch}x${tokens}`);
  });
  const row = (tokens: number) => [1, 2, 4, 8, 16].map((batch) => `${batch}x${tokens}`);
  const column = (...tokens: number[]) => tokens.map((t) => `1x${t}`);
  expect(new Set(points)).toEqual(
    new Set([
      ...column(256, 512, 1024, 2048, 3072, 4000),
      ...row(1024),
      ...column(4096, 8192, 10240),
      ...row(6144),
      'maxx1024',
      'maxx4000',
    ]),
  );
});

/** A spec of the study with the test model, planned by the real engine. */
async function planned(file: string, change: (text: string) => string = (text) => text) {
  const text = textOf(file).replace(/^models: .*$/m, `models: [${JSON.stringify(model)}]`);
  const path = join(home, file);
  writeFileSync(path, change(text));
  const env = {
    PATH: process.env.PATH!,
    HOME: home,
    KVSWEEP_HOME: join(home, 'state'),
    KVSWEEP_DATA: join(home, 'data'),
  };
  const { code, stdout, stderr } = await kvsweep({ ...env, KVSWEEP_ENGINE: config.enginePath }, 'plan', path, '--json');
  expect([code, stderr]).toEqual([0, '']);
  return JSON.parse(stdout) as {
    cells: { dataset: string; label: string; noiseKind: string | null; nPlanned: number }[];
  };
}

test.skipIf(!ready)('the negatives are 14 sets by 17 ways to hold the cache and two noise runs', async () => {
  const { cells } = await planned('study-negatives.yaml');
  const sets = [...new Set(cells.map((c) => c.dataset))].sort();
  expect(sets).toEqual(LONGBENCH_GROUPS.artifact!.map((name) => `longbench/${name}`).sort());
  expect(new Set(cells.map((c) => c.label)).size).toBe(17);
  expect(cells).toHaveLength(14 * (17 + 2));
  expect(new Set(cells.map((c) => c.nPlanned))).toEqual(new Set([4]));
});

test.skipIf(!ready)('the length study is 1,000 prompts by 11 ways to hold the cache and two noise runs', async () => {
  const { cells } = await planned('study-length.yaml', (text) =>
    text.replace('dataset: sharegpt', 'dataset: open_ended'),
  );
  expect(cells.map((c) => c.nPlanned)).toEqual(Array.from({ length: 11 + 2 }, () => 1000));
});

test.skipIf(!ready)('every compressor of the throughput study is known to the engine', async () => {
  // The test model has a context of 2,048: one point that fits it stands for the grid.
  const small = 'workloads:\n  - throughput: { prompt_tokens: 256 }\n';
  const { cells } = await planned('study-throughput.yaml', (text) =>
    text.replace(/workloads:\n[\s\S]*(?=limits:)/, small),
  );
  expect(cells).toHaveLength(7);
});
