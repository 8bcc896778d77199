import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { COMMANDS } from '../cli/index.ts';
import { FAKE_GPU_RUNNER, kvsweep } from './support/command-line.ts';

let home: string;
let env: Record<string, string>;
const spec = (name: string, text: string) => {
  writeFileSync(join(home, name), text);
  return join(home, name);
};

beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), 'kvsweep-cli-'));
  writeFileSync(join(home, 'm.gguf'), 'a model');
  writeFileSync(join(home, 'p.jsonl'), '{"id": "a", "prompt": "one"}\n{"id": "b", "prompt": "two"}\n');
  env = { PATH: process.env.PATH!, HOME: home, KVSWEEP_HOME: join(home, 'state'), KVSWEEP_ENGINE: FAKE_GPU_RUNNER };
});
afterAll(() => rmSync(home, { recursive: true, force: true }));

const SPEC = `name: s
models: [m.gguf]
compressors: [{ halves: { bits: [4, 2] } }]
workloads:
  - generate: { dataset: { kind: jsonl, path: p.jsonl }, prompts: 2, max_new_tokens: 8 }
backend: cpu
`;

test('every command takes --json and explains itself', async () => {
  for (const command of COMMANDS) {
    const { code, stdout } = await kvsweep(env, command.name, '--help');
    expect(code).toBe(0);
    expect(stdout).toContain('--json');
    expect(stdout).toContain(command.about.slice(0, 20));
  }
});

test('wrong use ends with 2: no command of that name, a missing argument, an unknown option', async () => {
  for (const argv of [['lanch', 'x'], ['launch'], ['status', '--colour']]) {
    const { code, stderr, stdout } = await kvsweep(env, ...argv);
    expect([argv, code]).toEqual([argv, 2]);
    expect(stderr).toMatch(/error: /);
    expect(stdout).toBe('');
  }
});

test('a time to wait that is none is refused before anything is asked for', async () => {
  const { code, stderr } = await kvsweep(env, 'report', '--wait', 'soon');
  expect(code).toBe(2);
  expect(stderr).toContain('--wait soon is not a whole number');
});

test('a command that needs the stack names the remedy where none runs', async () => {
  const { code, stderr } = await kvsweep(env, 'status');
  expect(code).toBe(1);
  expect(stderr).toContain('kvsweep up');
});

test('a plan without a database shows every cell as new', async () => {
  const { code, stdout } = await kvsweep(env, 'plan', spec('s.yaml', SPEC), '--json');
  expect(code).toBe(0);
  const plan = JSON.parse(stdout) as {
    cells: { label: string; runs: boolean; reason: string }[];
    missing_queues: string[];
  };
  expect(plan.cells.map((c) => c.label)).toEqual(['none', 'none', 'halves-4', 'halves-2']);
  expect(plan.cells.every((c) => c.runs && c.reason === 'new')).toBe(true);
  expect(plan.missing_queues).toEqual(['kv.cpu.any']);
});

test('the same spec plans the same keys, and --id only renames the sweep', async () => {
  const file = spec('s.yaml', SPEC);
  const keys = async (...more: string[]) =>
    (
      JSON.parse((await kvsweep(env, 'plan', file, '--json', ...more)).stdout) as { cells: { key: string }[] }
    ).cells.map((c) => c.key);
  expect(await keys('--id', 'other')).toEqual(await keys());
});

test.each([
  ['an unknown compressor', SPEC.replace('halves:', 'halfs:'), "unknown compressor 'halfs'"],
  ['a parameter that the engine refuses', SPEC.replace('bits: [4, 2]', 'window: 9999'), 'window 9999 is above 4096'],
  ['a model that is nowhere', SPEC.replace('m.gguf', 'absent.gguf'), "model 'absent.gguf' was not found"],
  ['an unknown data set', SPEC.replace('{ kind: jsonl, path: p.jsonl }', 'sharegtp'), "unknown data set 'sharegtp'"],
  [
    'a backend that the engine lacks',
    SPEC.replace('backend: cpu', 'backend: cuda'),
    'has no such backend (it has cpu)',
  ],
  [
    'more tokens than the context',
    SPEC.replace('max_new_tokens: 8', 'max_new_tokens: 5000'),
    'the context of model m is 4096',
  ],
  [
    'a spelling mistake',
    SPEC.replace('prompts: 2', 'promts: 2'),
    "bad.yaml:5: workloads[0].generate: unknown field 'promts'",
  ],
])('%s ends with 2 and one sentence, without a stack trace', async (_name, text, says) => {
  const { code, stderr, stdout } = await kvsweep(env, 'plan', spec('bad.yaml', text));
  expect(code).toBe(2);
  expect(stderr).toContain(says);
  expect(stderr).not.toMatch(/^\s+at /m);
  expect(stdout).toBe('');
});

test('a spec that is not there is told by name', async () => {
  const { code, stderr } = await kvsweep(env, 'launch', join(home, 'none.yaml'));
  expect(code).toBe(2);
  expect(stderr).toContain('none.yaml cannot be read (ENOENT)');
});

test('an engine that is not built is told with the remedy', async () => {
  const { code, stderr } = await kvsweep({ ...env, KVSWEEP_ENGINE: join(home, 'absent') }, 'compressors');
  expect(code).toBe(1);
  expect(stderr).toContain('npm run bootstrap');
});

test('a bug shows one line, and its stack goes to the log', async () => {
  const broken = [
    {
      name: 'break',
      about: 'fails',
      run: async () => {
        throw new TypeError('x is not a function');
      },
    },
  ];
  const { main } = await import('../cli/main.ts');
  const { readConfig } = await import('../workers/config.ts');
  let stderr = '';
  const config = readConfig(env);
  const code = await main(
    broken,
    ['break'],
    { stdout: { write: () => true }, stderr: { write: (t) => (stderr += t) } },
    config,
  );
  expect(code).toBe(1);
  expect(stderr).toContain('kvsweep failed: x is not a function');
  expect(stderr).not.toMatch(/^\s+at /m);
  expect(readFileSync(join(config.paths.logs, 'cli-errors.log'), 'utf8')).toMatch(
    /TypeError: x is not a function\n\s+at /,
  );
});

test('compressors explains one by its parameters and refuses an unknown name', async () => {
  expect((await kvsweep(env, 'compressors', 'halves')).stdout).toMatch(/bits +int; default 2/);
  expect(await kvsweep(env, 'compressors', 'thirds')).toMatchObject({ code: 2, stdout: '' });
});

test('doctor names what is missing and what to do', async () => {
  const { code, stdout } = await kvsweep({ ...env, PATH: '/nonexistent' }, 'doctor', '--json');
  expect(code).toBe(1);
  const findings = JSON.parse(stdout) as { check: string; ok: boolean; remedy: string }[];
  const stack = findings.find((f) => f.check === 'local stack')!;
  expect(stack.ok).toBe(false);
  expect(stack.remedy).toContain('kvsweep up');
});

test('up without a Temporal CLI names the three places', async () => {
  const { code, stderr } = await kvsweep({ ...env, PATH: '/nonexistent' }, 'up');
  expect(code).toBe(1);
  for (const place of ['KVSWEEP_TEMPORAL_BIN', 'PATH', '.kvsweep/bin'])
    expect(stderr.replace(join(home, 'state', 'bin'), '.kvsweep/bin')).toContain(place);
});
