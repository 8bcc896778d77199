/** Data sets on their way into a plan: sets that multiply, caps and stop ids of their own, what is told and refused. */
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { noEndOfTurn, turnEnds } from '../activities/complete-workload.ts';
import { portions } from '../activities/count-tokens.ts';
import { MODELS } from '../activities/model-catalogue.ts';
import { LONGBENCH_SETS } from '../datasets/longbench-sets.ts';
import { readConfig } from '../workers/config.ts';
import { FAKE_GPU_RUNNER, kvsweep } from './support/command-line.ts';
import { writeLongBench } from './support/longbench-folder.ts';

let home: string;
let env: Record<string, string>;
beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), 'kvsweep-plan-'));
  writeFileSync(join(home, 'm.gguf'), 'a model');
  writeLongBench(join(home, 'lb'));
  env = { PATH: process.env.PATH!, HOME: home, KVSWEEP_HOME: join(home, 'state'), KVSWEEP_ENGINE: FAKE_GPU_RUNNER };
});
afterAll(() => rmSync(home, { recursive: true, force: true }));

interface PlannedCell {
  dataset: string;
  nPlanned: number;
  label: string;
  noiseKind: string | null;
  axes: { dataset: unknown; max_new_tokens?: number };
  run: {
    workload: { generate: { max_new_tokens: number; min_new_tokens?: number; chat: boolean; stop_ids: number[] } };
  };
}

async function plan(generate: string) {
  const file = join(home, 'spec.yaml');
  const text = `name: s\nmodels: [m.gguf]\ncompressors: [none, { halves: { bits: 4 } }]\nworkloads:\n  - generate: ${generate}\nbackend: cpu\n`;
  writeFileSync(file, text);
  const { code, stdout, stderr } = await kvsweep(env, 'plan', file, '--json');
  if (code !== 0) return { code, stderr, cells: [], notes: [] as string[] };
  const planned = JSON.parse(stdout) as { cells: PlannedCell[]; notes: string[] };
  // Groups have an order of their own, which is not that of the spec.
  const cells = planned.cells
    .filter((cell) => cell.label === 'none' && cell.noiseKind === null)
    .sort((a, b) => (a.dataset < b.dataset ? -1 : Number(a.dataset > b.dataset)));
  return { code, stderr, cells, notes: planned.notes };
}

test('several sets are a workload each, with caps, chat and stop ids of the set', async () => {
  const { cells, notes } = await plan(
    '{ dataset: { kind: longbench, dir: lb, set: [qasper, trec, samsum] }, prompts: 2 }',
  );
  const shown = cells.map(({ dataset, nPlanned, run }) => {
    const { max_new_tokens, min_new_tokens, chat, stop_ids } = run.workload.generate;
    return [dataset, nPlanned, max_new_tokens, min_new_tokens, chat, stop_ids];
  });
  expect(shown).toEqual([
    ['longbench/qasper', 2, 128, undefined, true, []],
    // A character is a token of the test engine: the id of a line break is 10.
    ['longbench/samsum', 2, 128, 1, false, [10]],
    ['longbench/trec', 2, 64, undefined, false, []],
  ]);
  expect(notes.join('\n')).toContain('scores are not comparable with published ones');
});

test('all sets, and all their prompts, in one line', async () => {
  const { cells } = await plan('{ dataset: { kind: longbench, dir: lb, sets: all }, prompts: all }');
  expect(cells.map((c) => [c.dataset, c.nPlanned])).toEqual(
    LONGBENCH_SETS.map(({ name }) => [`longbench/${name}`, 3]).sort(),
  );
});

test('the data folder is where LongBench lies if no folder is named', async () => {
  mkdirSync(join(home, 'state', 'data'), { recursive: true });
  const spec = '{ dataset: { kind: longbench, set: lcc }, prompts: 1 }';
  expect((await plan(spec)).stderr).toMatch(/longbench does not exist; `kvsweep datasets longbench` says how/);
  cpSync(join(home, 'lb'), join(home, 'state', 'data', 'longbench'), { recursive: true });
  expect((await plan(spec)).cells).toHaveLength(1);
});

test('a cap of the workload gives way to those of the prompts, and that is told', async () => {
  const { cells, notes } = await plan(
    '{ dataset: { kind: longbench, dir: lb, set: lcc }, prompts: 2, max_new_tokens: 9 }',
  );
  expect(cells[0]!.run.workload.generate.max_new_tokens).toBe(64);
  expect(cells[0]!.axes.max_new_tokens).toBeUndefined();
  expect(notes.join()).toContain('max_new_tokens of the workload is not used');
});

test('the artifact cap depends on the context of the model', async () => {
  const { cells } = await plan('{ dataset: { kind: longbench, dir: lb, set: lcc, max_new: artifact }, prompts: 2 }');
  expect(cells[0]!.run.workload.generate.max_new_tokens).toBe(64);
});

test('the chat template can be taken off, or put on every set', async () => {
  const chatOf = async (spec: string) => (await plan(spec)).cells.map((c) => c.run.workload.generate.chat);
  const sets = 'kind: longbench, dir: lb, set: [qasper, lcc]';
  expect(await chatOf(`{ dataset: { ${sets} }, prompts: 1, chat: false }`)).toEqual([false, false]);
  expect(await chatOf(`{ dataset: { ${sets} }, prompts: 1 }`)).toEqual([false, true]);
  expect(await chatOf(`{ dataset: { ${sets}, chat: none }, prompts: 1 }`)).toEqual([false, false]);
  expect(await chatOf(`{ dataset: { ${sets}, chat: all }, prompts: 1 }`)).toEqual([true, true]);
});

test('generated tasks multiply as well, and bring caps if the workload has none', async () => {
  const { cells } = await plan('{ dataset: { kind: gen, task: [vt, cwe], units: [20, 30] }, prompts: 2 }');
  expect(cells.map((c) => [c.dataset, c.run.workload.generate.max_new_tokens])).toEqual([
    ['cwe', 120],
    ['cwe', 120],
    ['vt', 30],
    ['vt', 30],
  ]);
});

test.each([
  ['{ dataset: { kind: jsonl, path: p.jsonl }, prompts: 1 }', 'prompt p/a has none of its own; write max_new_tokens'],
  [
    '{ dataset: { kind: longbench, dir: nowhere, set: lcc }, prompts: 1 }',
    'nowhere does not exist; `kvsweep datasets longbench`',
  ],
  ['{ dataset: gsm8k, prompts: 1 }', 'gsm8k-test.jsonl, which is missing; `kvsweep datasets gsm8k` says how'],
  [
    '{ dataset: { kind: longbench, dir: lb, set: lcc, template: "file:no.json" }, prompts: 1 }',
    'cannot read the template file',
  ],
  [
    '{ dataset: { kind: longbench, dir: lb, set: lcc, max_new: 5000 }, prompts: 1 }',
    'needs 5001 tokens, the context of model m is 4096',
  ],
])('%s is refused with a sentence', async (spec, says) => {
  writeFileSync(join(home, 'p.jsonl'), '{"id": "a", "prompt": "one"}\n');
  const { code, stderr } = await plan(spec);
  expect(code).toBe(2);
  expect(stderr).toContain(says);
  expect(stderr).not.toMatch(/\n\s+at /);
});

describe('the end of a turn', () => {
  const chatml = "{{'<|im_start|>' + message['role'] + message['content'] + '<|im_end|>'}}";

  test('is what the chat template writes behind a message', () => {
    expect(turnEnds(chatml)).toEqual(['<|im_end|>']);
    expect(turnEnds("{{ '[INST] ' + content + ' [/INST]' + eos_token }}")).toEqual([]);
  });

  test('must be among the ids that end an answer', () => {
    // Llama 3: 128001 ends a text, 128009 a turn.
    const prompt = [128000, 128006, 882, 128007, 271, 87, 128009, 128006, 78191, 128007, 271];
    expect(noEndOfTurn(['<|eot_id|>'], prompt, [128001, 128009])).toBeNull();
    expect(noEndOfTurn(['<|eot_id|>'], prompt, [128001])).toBe(
      'the chat template ends a turn with <|eot_id|>, which is not among the ids that end an answer (128001)',
    );
    expect(noEndOfTurn([], [1, 2], [2])).toBeNull();
    expect(noEndOfTurn([], [1, 2], [])).toContain('names no token that ends an answer');
  });
});

test('texts go to the tokenizer in lines of a bounded size, in order', () => {
  const texts = Array.from({ length: 9 }, (_, i) => `${i}`.repeat(500_000));
  const parts = portions(texts);
  expect(parts.flat()).toEqual(texts);
  expect(parts.map((p) => p.length)).toEqual([4, 4, 1]);
  expect(portions(['x'.repeat(3 << 20), 'y'])).toHaveLength(2);
  expect(portions([])).toEqual([]);
});

describe('with the real engine and model', () => {
  const config = readConfig();
  const model = config.modelFolders.map((f) => join(f, MODELS[0]!.file)).find((path) => existsSync(path));
  const ready = existsSync(config.enginePath) && model !== undefined;
  if (!ready) console.warn('skipped: ends of turns by the real engine (no engine or no model; `npm run bootstrap`)');

  async function planReal(modelEntry: string, generate: string) {
    const file = join(home, 'real.yaml');
    writeFileSync(
      file,
      `name: s\nmodels: [${modelEntry}]\ncompressors: [none]\nworkloads:\n  - generate: ${generate}\nbackend: cpu\n`,
    );
    return await kvsweep({ ...env, KVSWEEP_ENGINE: config.enginePath }, 'plan', file, '--json');
  }
  const samsum = '{ dataset: { kind: longbench, dir: lb, set: samsum }, prompts: 2 }';
  const asked = '{ dataset: { kind: jsonl, path: p.jsonl }, prompts: 1, max_new_tokens: 4';

  test.skipIf(!ready)('samsum stops at the id of a line break, but not at once', async () => {
    const { stdout } = await planReal(JSON.stringify(model), samsum);
    const { generate } = (JSON.parse(stdout) as { cells: PlannedCell[] }).cells[0]!.run.workload;
    // `gpu-runner` encodes "\n" as 198 with the vocabulary of this model.
    expect(generate).toMatchObject({ stop_ids: [198], min_new_tokens: 1, max_new_tokens: 128, chat: false });
  });

  test.skipIf(!ready)('a chat model whose turn nothing ends is refused, unless that is wanted', async () => {
    writeFileSync(join(home, 'p.jsonl'), '{"id": "a", "prompt": "one"}\n');
    const template = "{% for m in messages %}{{ m['role'] + m['content'] + '<|eot_id|>' }}{% endfor %}";
    const foreign = `{ path: ${JSON.stringify(model)}, chat_template: ${JSON.stringify(template)} }`;
    expect((await planReal(JSON.stringify(model), `${asked} }`)).code).toBe(0);
    const { code, stderr } = await planReal(foreign, `${asked} }`);
    expect(code).toBe(2);
    expect(stderr).toMatch(/ends a turn with <\|eot_id\|>, which is not among the ids .*\(0, 2\).*allow_no_eot: true/);
    expect((await planReal(foreign, `${asked}, allow_no_eot: true }`)).code).toBe(0);
    expect((await planReal(foreign, `${asked}, chat: false }`)).code).toBe(0);
  });
});
