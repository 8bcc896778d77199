/** What `kvsweep compressors` and docs/compressors.md say, against the committed rows and against the real engine. */
import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { compressorRow, engineCommands } from '../activities/engine-commands.ts';
import { explainCompressor, meanBits, parametersInShort } from '../cli/compressor-text.ts';
import { nearest } from '../cli/nearest.ts';
import { compressorDocs, DOCS_FILE } from '../tools/compressor-docs.ts';
import { readConfig } from '../workers/config.ts';
import { committedRows } from './support/registry.ts';

const rows = committedRows().map((row) => compressorRow.parse(row));
const row = (name: string) => rows.find((r) => r.name === name)!;
const config = readConfig();
const engine = existsSync(config.enginePath) ? engineCommands(config.enginePath, config.engineEnvironment) : null;

test('every row of the registry is understood, with parameters in short and bits at both head dims', () => {
  // 21 of the design, and what was added since.
  expect(rows.length).toBeGreaterThan(21);
  for (const r of rows) {
    expect([r.name, meanBits(r, 64), meanBits(r, 128)]).toEqual([r.name, expect.any(Number), expect.any(Number)]);
    expect(parametersInShort(r).split(' ').filter(Boolean)).toHaveLength(r.params.length);
  }
  expect(parametersInShort(row('h2o'))).toBe('budget=1024 recent=null evict_at=step normalise=none');
});

test('one row is explained with ranges, defaults, meaning, rules, identity and paper', () => {
  const text = explainCompressor(row('h2o'));
  for (const says of [
    'h2o: H2O heavy hitters (evict)',
    'paper: arXiv 2306.14048',
    'int; 2 to 1048576; default 1024. entries kept per (layer, kv head)',
    'int; 1 to 1048575; default null. last entries always kept',
    'evicts at: step (default) or prefill',
    'rule: budget > recent',
    'derived: heavy = budget - recent',
    'equals the baseline: budget >= tokens seen',
    'beside the elements: 4 bytes (f32 score) per entry',
  ])
    expect(text).toContain(says);
});

test('what a parameter needs to be read is said, and an artefact may be auto', () => {
  expect(explainCompressor(row('gear'))).toMatch(/group .*\. Read when backbone == kivi\./);
  const kvquant = explainCompressor(row('kvquant'));
  expect(kvquant).toMatch(/calibration +sha256; required/);
  expect(kvquant).toContain('or auto: found or made at launch');
});

test('a misspelt name finds the one that was meant, a strange one finds none', () => {
  const names = rows.map((r) => r.name);
  const pairs = [
    ['strem_llm', 'streaming_llm'],
    ['h20', 'h2o'],
    ['SnapKV', 'snapkv'],
    ['pyramid_kv', 'pyramidkv'],
    ['kvqaunt', 'kvquant'],
  ];
  for (const [typed, meant] of pairs) expect([typed, nearest(typed!, names)]).toEqual([typed, meant]);
  expect(nearest('zip', names)).toBeNull();
});

test.skipIf(engine === null)('docs/compressors.md is what the engine says now (`npm run docs` writes it)', async () => {
  const { compressors } = await engine!.list();
  expect(readFileSync(DOCS_FILE, 'utf8')).toBe(compressorDocs(compressors));
});
