import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { fetchPinned, PINNED } from '../tools/pinned.mjs';
import { atLeast, missingRequirements } from '../tools/requirements.mjs';
import { countCargo, countVitest } from '../tools/test-counts.mjs';

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'kvsweep-bootstrap-'));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

const tools = (versions: Record<string, string | null>) => (program: string, args: string[]) =>
  versions[args[1] === 'pip' ? 'pip' : program] ?? null;
const ALL = { cargo: 'cargo 1.95.0 (abc)', python3: 'Python 3.11.7', pip: 'pip 23.2.1' };

test('a machine that has all needs nothing', () => {
  expect(missingRequirements(tools(ALL), '20.20.0')).toEqual([]);
});

test.each([
  [{ ...ALL, cargo: null }, '20.20.0', /Rust is missing: `cargo` 1\.89/],
  [{ ...ALL, cargo: 'cargo 1.88.0' }, '20.20.0', /Rust 1\.89 or newer is needed, this is "cargo 1\.88\.0"/],
  [{ ...ALL, python3: null }, '20.20.0', /Python 3\.8 or newer .*it is missing/],
  [{ ...ALL, pip: null }, '20.20.0', /pip is missing/],
  [ALL, '20.2.0', /Node\.js 20\.3 or newer is needed, this is 20\.2\.0/],
])('what is missing is told with the version that is needed (%#)', (versions, node, says) => {
  const problems = missingRequirements(tools(versions), node);
  expect(problems.length).toBe(1);
  expect(problems[0]).toMatch(says);
});

test('versions are compared as numbers', () => {
  expect([
    atLeast('cargo 1.100.0', [1, 89]),
    atLeast('Python 3.8.1', [3, 8]),
    atLeast('v2.0', [1, 89]),
    atLeast('nonsense', [1, 0]),
  ]).toEqual([true, true, true, false]);
});

test('every pinned package has one line with its sha256', () => {
  for (const item of PINNED) {
    const text = readFileSync(new URL(`../tools/pinned/${item.list}`, import.meta.url), 'utf8');
    expect(text).toMatch(/^[a-z0-9-]+==[0-9.]+( --hash=sha256:[0-9a-f]{64})+\n$/);
  }
});

function pinnedFile(content: string) {
  const sha256 = createHash('sha256').update(content).digest('hex');
  return {
    name: 'the thing',
    list: 'absent.txt',
    member: 'thing',
    place: 'bin/thing',
    sha256,
    mode: 0o755,
    help: 'put it there by hand',
  };
}

test('a file that is there is not fetched, and gets its mode back', async () => {
  mkdirSync(join(home, 'bin'));
  writeFileSync(join(home, 'bin/thing'), 'content', { mode: 0o644 });
  const options = { home, lists: home, env: {}, note: () => undefined, pinned: [pinnedFile('content')] as never };
  expect(await fetchPinned(options)).toEqual([]);
  expect(statSync(join(home, 'bin/thing')).mode & 0o777).toBe(0o755);
});

test('a file of other content is fetched anew; where that fails the remedy is told', async () => {
  mkdirSync(join(home, 'bin'));
  writeFileSync(join(home, 'bin/thing'), 'damaged');
  const options = { home, lists: home, env: {}, note: () => undefined, pinned: [pinnedFile('content')] as never };
  await expect(fetchPinned(options)).rejects.toThrow(/the thing could not be fetched: [\s\S]*put it there by hand/);
});

test('a Temporal CLI of the user is taken instead; a wrong KVSWEEP_TEMPORAL_BIN is an error', async () => {
  mkdirSync(join(home, 'path'));
  writeFileSync(join(home, 'path/temporal'), '');
  const [temporal] = PINNED;
  const options = { home, lists: home, note: () => undefined, pinned: [temporal] as never };
  expect(await fetchPinned({ ...options, env: { PATH: join(home, 'path') } })).toEqual([]);
  await expect(fetchPinned({ ...options, env: { KVSWEEP_TEMPORAL_BIN: join(home, 'nowhere') } })).rejects.toThrow(
    'does not exist; correct or unset it',
  );
});

test("the runners' own counts are summed", () => {
  const text =
    'running 3 tests\ntest result: ok. 3 passed; 0 failed; 1 ignored; x\n\ntest result: FAILED. 2 passed; 4 failed; 0 ignored\n';
  expect(countCargo(text)).toEqual({ passed: 5, failed: 4 });
  const file = (status: string, n: number) => ({ status, assertionResults: Array.from({ length: n }, () => ({})) });
  expect(
    countVitest({
      numPassedTests: 7,
      numFailedTests: 1,
      testResults: [file('passed', 7), file('failed', 1), file('failed', 0)],
    }),
  ).toEqual({ passed: 7, failed: 2 });
});
