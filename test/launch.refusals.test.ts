/**
 * Bad compressor parameters, as a user gets them told by the real engine: one sentence each, exit code 2, nothing
 * written. What this engine does not have yet is skipped by name.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MODELS } from '../activities/model-catalogue.ts';
import { readConfig } from '../workers/config.ts';
import { kvsweep } from './support/command-line.ts';

const config = readConfig();
const model = config.modelFolders.map((f) => join(f, MODELS[0]!.file)).find((path) => existsSync(path));
const ready = existsSync(config.enginePath) && model !== undefined;
const known = ready
  ? (
      JSON.parse(execFileSync(config.enginePath, ['list', '--json'], { encoding: 'utf8' })) as {
        compressors: { name: string }[];
      }
    ).compressors.map((c) => c.name)
  : [];

let home: string;
beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), 'kvsweep-refusals-'));
  writeFileSync(join(home, 'p.jsonl'), '{"id": "a", "prompt": "one"}\n');
});
afterAll(() => rmSync(home, { recursive: true, force: true }));

async function plan(compressor: string) {
  const file = join(home, 'spec.yaml');
  writeFileSync(
    file,
    `name: refused
models: [${JSON.stringify(model)}]
compressors: [${compressor}]
workloads:
  - generate: { dataset: { kind: jsonl, path: p.jsonl }, prompts: 1, max_new_tokens: 8 }
backend: cpu
`,
  );
  const env = {
    PATH: process.env.PATH!,
    HOME: home,
    KVSWEEP_HOME: join(home, 'state'),
    KVSWEEP_ENGINE: config.enginePath,
  };
  return await kvsweep(env, 'plan', file);
}

/** What is wrong, the compressor, the methods that it needs, what the sentence says. */
const REFUSED: [what: string, compressor: string, needs: string[], says: RegExp][] = [
  ['bits that are no choice', '{ kivi: { bits: 3 } }', ['kivi'], /kivi.*3.*2, 4, 8, 16/],
  ['a group that does not divide the window', '{ kivi: { group: 64, window: 96 } }', ['kivi'], /window.*96.*64/],
  ['a group that does not divide the head dim', '{ kivi: { group: 128, window: 128 } }', ['kivi'], /128.*64|64.*128/],
  ['a budget that the sinks fill', '{ streaming_llm: { sinks: 4, budget: 4 } }', ['streaming_llm'], /budget 4/],
  ['a name that is misspelt', '{ kivy: {} }', ['kivi'], /`kivy`.*did you mean `kivi`/],
  ['a parameter that is misspelt', '{ kivi: { windw: 64 } }', ['kivi'], /`windw`.*did you mean `window`/],
  ['a budget below the recent entries', '{ h2o: { budget: 64, recent: 64 } }', ['h2o'], /budget/],
  ['a budget below the observation window', '{ snapkv: { budget: 32, obs_window: 32 } }', ['snapkv'], /budget/],
  ['an even kernel', '{ snapkv: { kernel: 6 } }', ['snapkv'], /kernel/],
  ['a budget below window plus sinks', '{ random: { budget: 12, sinks: 4, recent: 8 } }', ['random'], /budget/],
  [
    'dropping after sealing a channel group',
    '{ compose: [{ h2o: { budget: 512 } }, { kivi: { bits: 4 } }] }',
    ['h2o', 'kivi', 'snapkv'],
    /kivi/,
  ],
  ['two quantisers', '{ compose: [{ kivi: { bits: 4 } }, { q4_0: {} }] }', ['kivi', 'q4_0'], /compose/],
];

describe.skipIf(!ready)('launch refuses before anything runs (real engine and model)', () => {
  for (const [what, compressor, needs, says] of REFUSED) {
    const missing = needs.filter((name) => !known.includes(name));
    const title = `${what}: ${compressor}${missing.length > 0 ? ` (this engine lacks ${missing.join(', ')})` : ''}`;
    test.skipIf(missing.length > 0)(title, async () => {
      const { code, stdout, stderr } = await plan(compressor);
      expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
      expect(stderr.trim().split('\n')).toHaveLength(1);
      expect(stderr).toMatch(says);
      expect(stderr).not.toMatch(/^\s+at /m);
    });
  }

  test('what was meant passes: the same spec with a proper parameter plans its cells', async () => {
    const { code, stdout } = await plan('{ kivi: { bits: 4 } }');
    expect(code).toBe(0);
    expect(stdout).toContain('kivi-4');
  });
});
