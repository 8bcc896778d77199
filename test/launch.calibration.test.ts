/**
 * `calibration: auto` from the spec to the cell: looked up, made on an engine worker if absent, stored by its hash,
 * fetched by the worker that runs the cell. Real Postgres and Temporal, a scripted engine.
 */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';
import { query } from '../activities/database.ts';
import { FAKE_GPU_RUNNER, kvsweep } from './support/command-line.ts';
import { until } from './support/conditions.ts';
import { openStack, type TestStack, temporalTest as test } from './support/temporal.ts';

let stack: TestStack;
let env: Record<string, string>;

beforeAll(async () => {
  stack = await openStack('calibration');
  await stack.control();
  await stack.engines();
  env = {
    PATH: process.env.PATH!,
    HOME: stack.folder,
    KVSWEEP_HOME: join(stack.folder, 'state'),
    KVSWEEP_ENGINE: FAKE_GPU_RUNNER,
    DATABASE_URL: stack.database.url,
    TEMPORAL_ADDRESS: stack.temporal.connectionOptions!.address!,
    TEMPORAL_NAMESPACE: stack.temporal.namespace!,
  };
  writeFileSync(stack.file('p.jsonl'), '{"id": "a", "prompt": "one"}\n{"id": "b", "prompt": "three"}\n');
});
afterAll(async () => {
  await stack?.[Symbol.asyncDispose]();
});

function spec(name: string, compressors: string, more = ''): string {
  const file = stack.file(`${name}.yaml`);
  writeFileSync(
    file,
    `name: ${name}
models: [fake.gguf]
compressors: [${compressors}]
workloads:
  - generate: { dataset: { kind: jsonl, path: p.jsonl }, prompts: 2, max_new_tokens: 8 }
baseline_replicates: 0
backend: cpu
calibration: { dataset: { kind: jsonl, path: p.jsonl }, sequences: 2, tokens: 3 }
${more}`,
  );
  return file;
}

interface StoredCell {
  label: string;
  status: string;
  requested: { calibrated?: { calibration: string } };
  effective: { calibrated?: { calibration: string } };
  run: { artefacts?: string[] };
}

const cellsOf = async (sweep: string) =>
  await query<StoredCell>(
    stack.db,
    `select c.label, c.status, c.requested, c.effective, c.run from cell c join sweep s using (sweep_no)
      where s.id = $1 order by c.cell_no`,
    [sweep],
  );

async function finished(sweep: string): Promise<StoredCell[]> {
  await until(`sweep ${sweep} ends`, async () =>
    (await cellsOf(sweep)).every((cell) => cell.status === 'done' || cell.status === 'failed'),
  );
  return await cellsOf(sweep);
}

const artefacts = async () =>
  await query<{ sha: string; text: string }>(
    stack.db,
    `select encode(sha, 'hex') as sha, convert_from(bytes, 'UTF8') as text from artefact order by sha`,
  );

test('a plan says what is to be made and makes nothing', async () => {
  const { code, stdout } = await kvsweep(
    env,
    'plan',
    spec('plan', '{ calibrated: { bits: [2, 4], calibration: auto } }'),
  );
  expect(code).toBe(0);
  expect(stdout).toContain(
    'the artefact of {"calibrated":{"bits":4}} for fake is not made yet: launch makes it from 2 x 3 tokens of p',
  );
  expect(await artefacts()).toEqual([]);
});

test('a launch makes each artefact once, and the cells name it by its hash', async () => {
  const file = spec('auto', '{ calibrated: { bits: [2, 4], calibration: auto } }');
  expect(await kvsweep(env, 'launch', file)).toMatchObject({ code: 0 });
  const made = await artefacts();
  expect(made.map((a) => JSON.parse(a.text) as unknown)).toEqual(
    expect.arrayContaining([
      { compressor: { calibrated: { bits: 2 } }, sequences: 2, tokens: [3, 3] },
      { compressor: { calibrated: { bits: 4 } }, sequences: 2, tokens: [3, 3] },
    ]),
  );
  expect(made).toHaveLength(2);
  const cells = (await finished('auto')).filter((c) => c.label !== 'none');
  expect(cells.map((c) => [c.label, c.status])).toEqual([
    ['calibrated-2', 'done'],
    ['calibrated-4', 'done'],
  ]);
  for (const cell of cells) {
    const sha = cell.effective.calibrated!.calibration;
    expect(made.map((a) => a.sha)).toContain(sha);
    expect(cell.run.artefacts).toEqual([sha]);
    expect(cell.requested.calibrated!.calibration).toBe('auto');
  }
  expect(await query(stack.db, 'select count(*) as n from kv.calibrations')).toEqual([{ n: 2 }]);
});

test('the next launch finds them: nothing is made, the cells are reused; so is one that names the hash', async () => {
  const before = await artefacts();
  const again = await kvsweep(env, 'launch', spec('again', '{ calibrated: { bits: 4, calibration: auto } }'));
  expect(again).toMatchObject({ code: 0 });
  expect(again.stderr).toContain('2 reused');
  expect(again.stderr).not.toContain('calibrating');
  const [, cell] = await cellsOf('again');
  const sha = cell!.effective.calibrated!.calibration;
  const named = await kvsweep(env, 'launch', spec('named', `{ calibrated: { bits: 4, calibration: ${sha} } }`));
  expect(named.stderr).toContain('2 reused');
  expect(await artefacts()).toEqual(before);
});

test('a worker without the file fetches it, and one with a damaged file fetches it anew', async () => {
  const folder = stack.file('artefacts');
  const names = readdirSync(folder);
  expect(names).toHaveLength(2);
  rmSync(join(folder, names[0]!));
  writeFileSync(join(folder, names[1]!), 'damaged');
  const file = spec('fetched', '{ calibrated: { bits: [2, 4], calibration: auto } }');
  expect(await kvsweep(env, 'launch', file, '--fresh')).toMatchObject({ code: 0 });
  expect((await finished('fetched')).map((c) => c.status)).toEqual(['done', 'done', 'done']);
  const stored = new Map((await artefacts()).map((a) => [a.sha, a.text]));
  for (const name of names) expect(readFileSync(join(folder, name), 'utf8')).toBe(stored.get(name));
});

test('other tokens are another artefact', async () => {
  const before = (await artefacts()).length;
  const file = spec('tokens', '{ calibrated: { bits: 4, calibration: auto } }');
  writeFileSync(file, readFileSync(file, 'utf8').replace('sequences: 2, tokens: 3', 'sequences: 1, tokens: 2'));
  expect(await kvsweep(env, 'launch', file)).toMatchObject({ code: 0 });
  expect(await artefacts()).toHaveLength(before + 1);
  await finished('tokens');
});

test('an artefact that nobody made is refused before anything runs', async () => {
  const file = spec('unknown', `{ calibrated: { calibration: ${'ab'.repeat(32)} } }`);
  const { code, stderr } = await kvsweep(env, 'launch', file);
  expect(code).toBe(2);
  expect(stderr).toContain('is stored; write auto, or make it with `kvsweep compressors calibrate calibrated`');
  expect(await cellsOf('unknown')).toEqual([]);
});

test('a refused parameter is told before an artefact is made; a failed calibration in the words of the engine', async () => {
  const before = await artefacts();
  const bad = spec('bad', '{ calibrated: { bits: 4, calibration: auto } }, { halves: { window: 9999 } }');
  expect(await kvsweep(env, 'launch', bad)).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('is above 4096'),
  });
  const failing = await kvsweep(env, 'launch', spec('failing', '{ calibrated: { bits: 3, calibration: auto } }'));
  expect(failing.code).toBe(1);
  expect(failing.stderr).toContain('the calibration failed: compressor: bits 3 has no codebook');
  expect(await cellsOf('failing')).toEqual([]);
  expect(await artefacts()).toEqual(before);
});

test('compressors calibrate makes one, prints its hash, and only looks it up the next time', async () => {
  const argv = [
    'compressors',
    'calibrate',
    'calibrated',
    '--model',
    stack.file('fake.gguf'),
    '--param',
    'bits=8',
    '--sequences',
    '1',
    '--tokens',
    '4',
  ];
  const dataset = ['--dataset', 'open_ended'];
  const first = await kvsweep(env, ...argv, ...dataset, '--out', stack.file('out.json'), '--json');
  expect(first).toMatchObject({ code: 0 });
  const { sha256, made } = JSON.parse(first.stdout) as { sha256: string; made: boolean };
  expect(made).toBe(true);
  expect(JSON.parse(readFileSync(stack.file('out.json'), 'utf8'))).toEqual({
    compressor: { calibrated: { bits: 8 } },
    sequences: 1,
    tokens: [4],
  });
  const second = await kvsweep(env, ...argv, ...dataset, '--json');
  expect(JSON.parse(second.stdout)).toMatchObject({ sha256, made: false });
  expect(await kvsweep(env, 'compressors', 'calibrate', 'halves')).toMatchObject({
    code: 2,
    stderr: 'halves needs no artefact; those that do: calibrated\n',
  });
});
