/** The tool behind the README's table of perplexities: what it makes of events, and that its settings are sound. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { EngineEvent } from '../activities/engine-protocol.ts';
import { measuredOf, perplexityTable, readSettings } from '../tools/perplexity.ts';
import { committedRows } from './support/registry.ts';

/** The methods that the design has a section for. */
const designed = () =>
  committedRows()
    .filter((row) => row.section > 0)
    .map((row) => row.name);

const scored = (logprobs: number[], kv: object) =>
  ({
    event: 'scored',
    n: 1,
    cell: 'c',
    sample: 's',
    replicate: 0,
    seed: 0,
    n_scored: logprobs.length,
    logprobs,
    argmax: [],
    kv,
  }) as unknown as EngineEvent;
const finished = { event: 'finished', n: 2, cell: 'c', seconds: 1.25 } as unknown as EngineEvent;

test('perplexity pools tokens, bits pool bytes', () => {
  const events = [
    scored([-1, -1, -1], { seen: 5, bytes_ideal: 100, bytes_f16: 400 }),
    scored([-3], { seen: 5, bytes_ideal: 20, bytes_f16: 80 }),
    finished,
  ];
  expect(measuredOf(events)).toEqual({
    ppl: expect.closeTo(Math.exp(1.5), 12),
    nTokens: 4,
    bitsPerSeen: 4,
    seconds: 1.25,
  });
});

test('a refusal, a failed sample and silence are told, not measured', () => {
  const failed = { event: 'failed', n: 0, cell: 'c', kind: 'compressor', message: 'bits is 3', usable: true };
  expect(measuredOf([failed as unknown as EngineEvent])).toBe('bits is 3');
  const broken = { ...(scored([], {}) as object), error: { kind: 'numeric', message: 'NaN in layer 2' } };
  expect(measuredOf([broken as unknown as EngineEvent, finished])).toBe('sample s: NaN in layer 2');
  expect(measuredOf([finished])).toBe('the engine scored nothing');
});

test('the table sets every row against none', () => {
  const row = { group: '4 bits', nTokens: 9, bitsPerSeen: 4.5, seconds: 2 };
  const text = perplexityTable([
    { ...row, group: 'baseline', compressor: { none: {} }, ppl: 10, bitsPerSeen: 16 },
    { ...row, compressor: { q: { bits: 4 } }, ppl: 12.5, seconds: null },
  ]);
  expect(text.split('\n').slice(2)).toEqual([
    '| baseline | `none` | 10.000 | 1.000× | 16.00 (100\u00a0%) | 2.0 |',
    '| 4 bits | `q` bits 4 | 12.500 | 1.250× | 4.50 (28\u00a0%) | – |',
  ]);
});

test('every method of the design is measured, and all have parameters that they take and budgets that are equal', async () => {
  const compressors = committedRows();
  const measured = (await readSettings()).map(
    ({ compressor }) => Object.entries(compressor)[0] as [string, Record<string, unknown>],
  );
  // Methods without a section in the design may join; a new one needs no line there.
  const names = measured.map(([name]) => name);
  expect(names).toEqual(expect.arrayContaining(designed()));
  for (const [name, params] of measured) {
    const row = compressors.find((c) => c.name === name)!;
    const known = [...row.params.map((p) => p.name), ...Object.keys(row.input_aliases ?? {})];
    expect([name, Object.keys(params).filter((p) => !known.includes(p))]).toEqual([name, []]);
    if (!row.evict_at) continue;
    const budget = params.budget ?? (params.sinks as number) + (params.recent as number);
    expect([name, budget]).toEqual([name, 256]);
    // One selection at the end of the prompt, where the method has that choice.
    const choices = row.params.some((p) => p.name === 'evict_at') ? row.evict_at.choices : [];
    expect([name, params.evict_at]).toEqual([name, choices.includes('prefill') ? 'prefill' : undefined]);
  }
});

test('sweeps/family.yaml holds every method of the design', () => {
  const text = readFileSync(new URL('../sweeps/family.yaml', import.meta.url), 'utf8');
  const listed = text.split('compressors:\n')[1]!.split('batch_sizes')[0]!;
  for (const name of designed()) expect([name, new RegExp(`\\b${name}\\b`).test(listed)]).toEqual([name, true]);
});
