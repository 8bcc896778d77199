/** The table of failures: what the engine's kinds mean, and that every kind of the engine has its row. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { asGroupFailure, classOf, drainsWorker, EngineFault, FAILURE_KINDS, verdict } from '../activities/failures.ts';
import { readConfig } from '../workers/config.ts';

describe('kind -> class, as the protocol fixes it', () => {
  test.each([
    ['bad_request', 'SpecInvalid'],
    ['compressor', 'SpecInvalid'],
    ['unsupported', 'SpecInvalid'],
    ['model_file', 'SpecInvalid'],
    ['out_of_memory', 'OutOfMemory'],
    ['kernel_compile', 'EngineCrash'],
    ['library_missing', 'HostFault'],
    ['no_device', 'HostFault'],
    ['device_lost', 'HostFault'],
    ['internal', 'EngineCrash'],
    ['a kind of a later engine', 'EngineCrash'],
  ])('%s is %s', (kind, errorClass) => {
    expect(classOf(kind)).toBe(errorClass);
  });
});

describe('class -> what happens to the cell', () => {
  test.each([
    ['compressor', 1, 'fail'],
    ['out_of_memory', 1, 'fail'],
    ['exit', 1, 'again'],
    ['exit', 2, 'again'],
    ['exit', 3, 'fail'],
    ['stall', 3, 'fail'],
    ['device_lost', 1, 'stop'],
    ['device_lost', 3, 'stop'],
  ] as const)('%s at try %i: %s', (kind, tries, end) => {
    expect(verdict(new EngineFault(kind, 'x'), tries)).toBe(end);
  });
});

describe('class -> whether Temporal may run the group again', () => {
  test.each([
    ['compressor', true],
    ['out_of_memory', true],
    ['device_lost', false],
    ['model_missing', false],
    ['exit', false],
  ] as const)('%s at load: non-retryable %s', (kind, nonRetryable) => {
    const failure = asGroupFailure(new EngineFault(kind, 'x'.repeat(2_000)));
    expect(failure.nonRetryable).toBe(nonRetryable);
    expect(failure.type).toBe(classOf(kind));
    expect(failure.message.length).toBeLessThanOrEqual(500);
  });
});

test('a broken device drains its worker, a missing model does not', () => {
  expect(drainsWorker(new EngineFault('device_lost', 'x'))).toBe(true);
  expect(drainsWorker(new EngineFault('model_missing', 'x'))).toBe(false);
  expect(drainsWorker(new EngineFault('out_of_memory', 'x'))).toBe(false);
});

test('an engine is used on only if it says so and its class does not demand a fresh one', () => {
  expect(new EngineFault('compressor', 'x', { usable: true }).usable).toBe(true);
  expect(new EngineFault('compressor', 'x', { usable: false }).usable).toBe(false);
  expect(new EngineFault('out_of_memory', 'x', { usable: true }).usable).toBe(false);
});

const { enginePath } = readConfig();
test.skipIf(!existsSync(enginePath))(
  'every error kind that the engine lists has a row (needs the built engine)',
  () => {
    const list = JSON.parse(execFileSync(enginePath, ['list', '--json'], { encoding: 'utf8' })) as {
      error_kinds: (string | { kind: string })[];
    };
    const kinds = list.error_kinds.map((row) => (typeof row === 'string' ? row : row.kind));
    expect(kinds.length).toBeGreaterThan(5);
    expect(kinds.filter((kind) => !(kind in FAILURE_KINDS))).toEqual([]);
  },
);
