/** The local stack as its user has it: the built command line, real Postgres, real Temporal, a scripted engine. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { findTemporalBinary, readConfig } from '../workers/config.ts';
import { isRunning } from '../workers/process-identity.ts';
import type { StackState } from '../workers/stack-state.ts';
import { FAKE_GPU_RUNNER, kvsweepProgram } from './support/command-line.ts';

const binary = findTemporalBinary(readConfig());

/** A checkout of its own, as far as the stack can tell. */
function checkout() {
  const home = mkdtempSync(join(tmpdir(), 'kvsweep-stack-'));
  writeFileSync(join(home, 'm.gguf'), 'a model');
  writeFileSync(join(home, 'p.jsonl'), '{"id": "a", "prompt": "one"}\n{"id": "b", "prompt": "two"}\n');
  writeFileSync(
    join(home, 's.yaml'),
    `name: s
models: [m.gguf]
compressors: [none, { halves: { bits: [4, 2] } }]
batch_sizes: [1, 2]
workloads:
  - generate: { dataset: { kind: jsonl, path: p.jsonl }, prompts: 2, max_new_tokens: 8 }
  - throughput: { prompt_tokens: 16, new_tokens: 4 }
backend: cpu
`,
  );
  const env = {
    PATH: process.env.PATH!,
    HOME: home,
    KVSWEEP_HOME: join(home, '.kvsweep'),
    KVSWEEP_ENGINE: FAKE_GPU_RUNNER,
    KVSWEEP_TEMPORAL_BIN: binary!,
  };
  const run = (...argv: string[]) => kvsweepProgram(env, ...argv);
  const stateFile = join(home, '.kvsweep/state/stack.json');
  const state = () => JSON.parse(readFileSync(stateFile, 'utf8')) as StackState;
  return { home, run, state, stateFile };
}

async function until(what: string, condition: () => boolean | Promise<boolean>, timeoutMs = 60_000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`waited ${timeoutMs / 1000} s in vain for ${what}`);
    await sleep(100);
  }
}

async function survivors(processes: StackState['processes']): Promise<string[]> {
  const alive = await Promise.all(
    Object.entries(processes).map(async ([name, p]) => ((await isRunning(p)) ? [name] : [])),
  );
  return alive.flat();
}

describe.skipIf(binary === null || inject('temporalAddress') === null)('a local stack', { timeout: 240_000 }, () => {
  const own = checkout();
  const other = checkout();

  beforeAll(async () => {
    const up = await own.run('up', '--detach');
    expect(up.stderr).toContain('the local stack is up');
    expect(up.code).toBe(0);
  }, 120_000);
  afterAll(async () => {
    for (const { run, home } of [own, other]) {
      await run('down');
      rmSync(home, { recursive: true, force: true });
    }
  }, 120_000);

  test('a second up attaches instead of starting another', async () => {
    const before = own.state().pids;
    const again = await own.run('up', '--detach');
    expect(again).toMatchObject({ code: 0 });
    expect(again.stderr).toContain('runs already');
    expect(own.state().pids).toEqual(before);
  });

  test('a sweep runs to its end, and the same launch again runs nothing', async () => {
    const first = await own.run('launch', join(own.home, 's.yaml'), '--watch', '--json');
    expect(first.stderr).toContain('14/14 cells');
    expect(first.code).toBe(0);
    const plan = JSON.parse((await own.run('plan', join(own.home, 's.yaml'), '--json')).stdout) as { run: number };
    expect(plan.run).toBe(0);
    const again = await own.run('launch', join(own.home, 's.yaml'), '--watch', '--json');
    expect(again.stderr).toContain('attached to the launched sweep');
    expect(again.code).toBe(0);
    const status = JSON.parse((await own.run('status', 's', '--json')).stdout) as {
      counts: { done: number };
      cells: { tries: number }[];
    };
    expect(status.counts.done).toBe(14);
    expect(status.cells.every((c) => c.tries === 1)).toBe(true);
  });

  test('another sweep over the same grid reuses every cell', async () => {
    const reused = await own.run('launch', join(own.home, 's.yaml'), '--id', 'twin', '--watch', '--json');
    expect(reused.stderr).toContain('14 reused from finished sweeps');
    expect(reused.code).toBe(0);
  });

  test('a spec that lost a value is refused with what changed', async () => {
    const changed = readFileSync(join(own.home, 's.yaml'), 'utf8').replace('[4, 2]', '[4]');
    writeFileSync(join(own.home, 'changed.yaml'), changed);
    const refused = await own.run('launch', join(own.home, 'changed.yaml'));
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain('compressors no longer has halves-2');
  });

  test('pause and resume leave their mark in the history of the sweep', async () => {
    expect((await own.run('resume', 's', '--reason', 'to look')).code).toBe(0);
    const { events } = JSON.parse((await own.run('status', 's', '--json')).stdout) as {
      events: { action: string; reason: string }[];
    };
    expect(events.map((e) => e.reason)).toContain('to look');
  });

  test('query reads the views and cannot write; --param and formats work', async () => {
    const sql = 'select status, count(*) as n from kv.cells where sweep = $1 group by status';
    const csv = await own.run('query', sql, '--param', 's', '--format', 'csv');
    expect(csv).toMatchObject({ code: 0, stdout: 'status,n\ndone,14\n' });
    expect((await own.run('query', sql, '--param', 's', '--format', 'jsonl')).stdout).toBe(
      '{"status":"done","n":14}\n',
    );
    const write = await own.run('query', 'delete from cell');
    expect(write.code).toBe(2);
    expect(write.stdout).toBe('');
    expect((await own.run('schema', 'cells')).stdout).toContain('baseline_cell_key');
  });

  test('nodes and doctor see the workers', async () => {
    expect((await own.run('nodes')).stdout).toContain('kv.cpu.any');
    const doctor = JSON.parse((await own.run('doctor', '--json')).stdout) as { check: string; ok: boolean }[];
    for (const check of ['engine', 'local stack', 'Postgres', 'Temporal server', 'workers']) {
      expect(doctor.find((f) => f.check === check)).toMatchObject({ ok: true });
    }
  });

  test('a second checkout has ports and rows of its own', async () => {
    expect(await other.run('up', '--detach')).toMatchObject({ code: 0 });
    const ports = [...Object.values(own.state().ports), ...Object.values(other.state().ports)];
    expect(new Set(ports).size).toBe(8);
    expect((await other.run('status', '--json')).stdout.trim()).toBe('[]');
    const { processes } = other.state();
    expect(await other.run('down')).toMatchObject({ code: 0 });
    expect(await survivors(processes)).toEqual([]);
    expect(existsSync(other.stateFile)).toBe(false);
  });

  test.each(['engine', 'control', 'temporal', 'postgres'])('a killed %s comes back', async (name) => {
    const before = own.state().processes[name]!;
    process.kill(before.pid, 'SIGKILL');
    await until(`${name} to come back`, () => {
      const now = own.state();
      return now.processes[name] !== undefined && now.processes[name].pid !== before.pid && now.restarts[name] === 1;
    });
    const after = await own.run(
      'launch',
      join(own.home, 's.yaml'),
      '--id',
      `after-${name}`,
      '--fresh',
      '--watch',
      '--json',
    );
    expect(after.stderr).toContain('14/14 cells');
    expect(after.code).toBe(0);
  });

  test('kill -9 of the supervisor leaves no process, and the next up has the rows again', async () => {
    const { processes } = own.state();
    process.kill(processes.supervisor!.pid, 'SIGKILL');
    await until('the children to end', async () => (await survivors(processes)).length === 0, 30_000);
    expect((await own.run('status')).code).toBe(1);
    expect(await own.run('up', '--detach')).toMatchObject({ code: 0 });
    expect((await own.run('status')).stdout).toContain('twin');
  });

  test('down leaves no process and no state file; a second down says so', async () => {
    const { processes } = own.state();
    expect(await own.run('down')).toMatchObject({ code: 0 });
    expect(await survivors(processes)).toEqual([]);
    expect(existsSync(own.stateFile)).toBe(false);
    expect((await own.run('down')).stdout).toContain('no local stack runs here');
  });
});
