#!/usr/bin/env node
// @ts-check
/**
 * The whole command line of an engine for tests of the command line: `list`, `devices`, `inspect`, `resolve`, and
 * `serve` by the scripted engine, `run` for its `encode` alone (a character is a token). `window` of `halves` has a range,
 * so that refusals can be tested; `calibrated` needs an artefact.
 */
import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { createInterface } from 'node:readline';

const [command, ...rest] = process.argv.slice(2);

/** @type {Record<string, Record<string, any>>} */
const DEFAULTS = { none: {}, halves: { bits: 2, window: 64 }, drops: { budget: 128 }, calibrated: { bits: 4, calibration: null } };

/** @param {any} compressor */
function resolveOne(compressor) {
  const [name, params] = /** @type {[string, any]} */ (Object.entries(compressor)[0]);
  const known = DEFAULTS[name];
  if (!known) return { error: { code: 'unknown_compressor', message: `unknown compressor '${name}'; known are ${Object.keys(DEFAULTS).join(', ')}` } };
  const extra = Object.keys(params).find((p) => !(p in known));
  if (extra) return { error: { code: 'unknown_param', message: `${name} has no parameter '${extra}'` } };
  const effective = { ...known, ...params };
  if (effective.window > 4096) return { error: { code: 'param_range', message: `window ${effective.window} is above 4096` } };
  if ('calibration' in known && !/^[0-9a-f]{64}$/.test(effective.calibration ?? '')) return { error: { code: 'calibration_missing', message: `${name} needs a calibration: the sha256 of an artefact` } };
  return { effective: { [name]: effective }, derived: name === 'drops' ? { budget: effective.budget } : {}, bits: {} };
}

const print = (/** @type {unknown} */ value) => console.log(JSON.stringify(value));

if (command === 'serve') {
  process.argv.splice(2, 1);
  await import('./fake-engine.mjs');
} else if (command === 'list') {
  const compressors = Object.entries(DEFAULTS).map(([name, params]) => ({
    name,
    title: `test compressor ${name}`,
    family: 'test',
    params: Object.entries(params).map(([p, value]) => ({ name: p, type: p === 'calibration' ? 'sha256' : 'int', default: value, meaning: 'a number' })),
  }));
  print({ protocol: 1, engine: '0.0.0', build: 'fake', numerics: { cpu: 'fake-1' }, compressors });
} else if (command === 'devices') {
  print({ cpu: { name: 'Fake CPU', cores: 2, features: [] }, gpus: [] });
} else if (command === 'inspect') {
  const path = /** @type {string} */ (rest[0]);
  const sha256 = createHash('sha256').update(readFileSync(path)).digest('hex');
  const metadata = { 'fake.block_count': 2, 'fake.attention.head_count': 4, 'fake.attention.head_count_kv': 2, 'fake.embedding_length': 256, 'fake.context_length': 4096 };
  print({ path, sha256, file_bytes: statSync(path).size, architecture: 'fake', metadata, weights: { parameters: 1000, cpu_bytes: 1_000_000, cuda_bytes: 2000 }, chat_template: null });
} else if (command === 'resolve') {
  for await (const line of createInterface({ input: process.stdin })) if (line) print(resolveOne(JSON.parse(line).compressor));
} else if (command === 'run') {
  for (const line of readFileSync(/** @type {string} */ (rest[0]), 'utf8').split('\n').filter(Boolean)) {
    const request = JSON.parse(line);
    if (request.op === 'encode') print({ event: 'encoded', id: request.id, ids: request.texts.map((/** @type {string} */ t) => [...t].map((c) => c.codePointAt(0))) });
  }
} else {
  console.error(`unknown command ${command}`);
  process.exit(2);
}
