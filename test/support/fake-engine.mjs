#!/usr/bin/env node
// @ts-check
/**
 * Speaks protocol 1 and plays a script. The script of a cell stands in its compressor: {"fake": {...}}, so that a
 * test needs no other channel. Tokens depend on the compressor's `seedling`, the sample and its seed, as in a real
 * engine: the same cell gives the same token hashes on any try.
 *
 *   do        what to do instead of (or after) finishing: see ACTIONS; default `finish`
 *   times     only the first so many tries misbehave, counted in the file `mark`; without it every try
 *   ms        pause before each sample (cooperative: stdin's end and SIGTERM are seen)
 *   hold      a file: the cell waits until it exists
 *   started   a file to which a line is appended at each start
 *
 * `calibrate` writes an artefact that names its inputs; a cell whose compressor names a `calibration` must be given it.
 *
 * Options: --on-load ACTION   --ignore-term
 */
import { createHash } from 'node:crypto';
import { appendFileSync, existsSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { createInterface } from 'node:readline';

const argv = process.argv.slice(2);
const onLoad = argv.includes('--on-load') ? argv[argv.indexOf('--on-load') + 1] : 'finish';
if (argv.includes('--ignore-term')) process.on('SIGTERM', () => {});
else process.on('SIGTERM', () => process.exit(4));

let n = 0;
/** Synchronous, so that an exit right after it loses nothing. @param {object} event */
const emit = (event) => writeAll(`${JSON.stringify({ n: n++, ...event })}\n`);
/** @param {string | Buffer} data @param {number} [fd] */
function writeAll(data, fd = 1) {
  let rest = Buffer.from(data);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(fd, rest));
    } catch (error) {
      const code = /** @type {NodeJS.ErrnoException} */ (error).code;
      if (code === 'EPIPE') process.exit(4);
      if (code !== 'EAGAIN') throw error;
    }
  }
}
/** @param {number} ms */
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const forever = () => sleep(2 ** 31 - 1);

/** @type {Record<string, (cell: string) => unknown>} */
const ACTIONS = {
  garbage: () => writeAll('this is not JSON\n'),
  unknown: () => emit({ event: 'surprise' }),
  gap: () => {
    n++;
  },
  longline: () => {
    const chunk = Buffer.alloc(1 << 20, 'x');
    for (let i = 0; i < 100; i++) writeAll(chunk);
  },
  silence: forever,
  exit137: () => process.exit(137),
  exit3: () => process.exit(3),
  kill: () => process.kill(process.pid, 'SIGKILL'),
  stderr: () => {
    for (let i = 0; i < 20_000; i++) writeAll(`line ${i} of a very long log that nobody reads to its end\n`, 2);
    process.exit(101);
  },
  oom: (cell) => emit({ event: 'failed', cell, kind: 'out_of_memory', where: 'device', message: 'the cell needs 9 GB of pages, 1 GB is free; lower the batch', usable: true }),
  compressor: (cell) => emit({ event: 'failed', cell, kind: 'compressor', code: 'unknown_parameter', message: 'kivi has no parameter bots; use bits', usable: true }),
  device_lost: (cell) => {
    emit({ event: 'failed', cell, kind: 'device_lost', message: 'the driver reset the device', usable: false });
    process.exit(3);
  },
  host_worker: () => process.kill(process.ppid, 'SIGKILL'),
};

/** @typedef {{request: any, items: any[]}} Cell */
/** @type {Map<string, Cell>} */
const cells = new Map();

/** @param {any} fake */
function misbehaves(fake) {
  if (!fake.do || fake.do === 'finish') return false;
  if (fake.times === undefined) return true;
  const before = existsSync(fake.mark) ? readFileSync(fake.mark, 'utf8').length : 0;
  appendFileSync(fake.mark, 'x');
  return fake.late ? before >= fake.times : before < fake.times;
}

/** @param {Cell} cell */
async function run({ request, items }) {
  const id = request.cell;
  const fake = request.compressor.fake ?? {};
  if (fake.started) appendFileSync(fake.started, `${process.pid}\n`);
  const { workload } = request;
  const refusal = artefactRefusal(request);
  if (refusal) {
    emit({ event: 'failed', cell: id, kind: 'compressor', ...refusal, usable: true });
    return;
  }
  emit({ event: 'planned', cell: id, requested: request.compressor, effective: request.compressor, derived: {}, batch: request.batch, scheduler: request.scheduler, invariant: request.invariant, numerics: 'fake-1', stop_ids: [0], samples: items.length });
  while (fake.hold && !existsSync(fake.hold)) {
    emit({ event: 'progress', cell: id, phase: 'decode', done: 0, total: items.length, tokens: 0 });
    await sleep(20);
  }
  const bad = misbehaves(fake);
  const half = Math.floor(items.length / 2);
  const start = performance.now();
  for (const [i, item] of items.entries()) {
    if (bad && fake.do !== 'last_line_kill' && i === half) {
      await /** @type {any} */ (ACTIONS)[fake.do](id);
      if (['oom', 'compressor'].includes(fake.do)) return;
    }
    if (fake.ms) await sleep(fake.ms);
    sample(id, fake, item, workload, (performance.now() - start) / 1000);
  }
  if (bad && items.length === 0) {
    await /** @type {any} */ (ACTIONS)[fake.do](id);
    return;
  }
  if (workload.throughput) throughput(id, request);
  emit({ event: 'finished', cell: id, samples: items.length, tokens: items.length * 3, seconds: (performance.now() - start) / 1000, peak_bytes: 1, inert: false });
  if (bad && fake.do === 'last_line_kill') process.kill(process.pid, 'SIGKILL');
}

/** @param {any} request */
function artefactRefusal({ compressor, artefacts = {} }) {
  const sha = /** @type {any} */ (Object.values(compressor)[0])?.calibration;
  if (!sha) return null;
  if (!artefacts[sha]) return { code: 'calibration_missing', message: `no file for artefact ${sha} was given` };
  const found = createHash('sha256').update(readFileSync(artefacts[sha])).digest('hex');
  return found === sha ? null : { code: 'calibration_mismatch', message: `the file of artefact ${sha} has hash ${found}` };
}

/** @param {any} request */
function calibrate({ id, compressor, tokens, out }) {
  const fails = /** @type {any} */ (Object.values(compressor)[0])?.bits === 3;
  if (fails) {
    emit({ event: 'failed', id, kind: 'compressor', code: 'param_range', message: 'bits 3 has no codebook', usable: true });
    return;
  }
  writeFileSync(out, JSON.stringify({ compressor, sequences: tokens.length, tokens: tokens.map((/** @type {any} */ t) => t.length) }));
  const bytes = readFileSync(out);
  emit({ event: 'calibrated', id, sha256: createHash('sha256').update(bytes).digest('hex'), path: out, bytes: bytes.length });
}

/** @param {string} cell @param {any} fake @param {any} item @param {any} workload @param {number} t */
function sample(cell, fake, item, workload, t) {
  const digest = createHash('sha256').update(`${fake.seedling ?? ''}|${item.sample}|${item.replicate}|${item.seed}`).digest();
  const ids = [digest.readUInt16LE(0), digest.readUInt16LE(2), digest.readUInt16LE(4)];
  const bytes = Buffer.alloc(12);
  for (const [i, id] of ids.entries()) bytes.writeUInt32LE(id, 4 * i);
  const output_sha = createHash('sha256').update(bytes).digest('hex');
  const kv = { seen: 6, kept_mean: 6, kept_min: 6, kept_max: 6, kept_layers: [6], bytes_end: 60, bytes_peak: 60, bytes_f16: 120, bytes_ideal: 60, dropped: 0, sealed_k: 0, sealed_v: 0, selections: 0, first_drop: null, clamped: 0 };
  const common = { cell, sample: item.sample, replicate: item.replicate, seed: item.seed, n_prompt: 3, kv };
  if (workload.score) {
    emit({ event: 'scored', ...common, n_scored: 3, logprobs: [-1, -1, -1], argmax: ids, top_ids: [], top_logprobs: [] });
    return;
  }
  emit({ event: 'sample', ...common, n_prompt_raw: 3, truncated: false, prompt_sha: output_sha, n_out: 3, finish_reason: 'stop', stop_id: 0, stop_string: null, text: ids.join(' '), token_ids: ids, output_sha, t_submit: 0, t_admit: t, t_first: t, t_last: t });
}

/** @param {string} cell @param {any} request */
function throughput(cell, request) {
  const { repeats, prompt_tokens, new_tokens } = request.workload.throughput;
  for (let repeat = 0; repeat < repeats; repeat++) {
    for (const phase of ['prefill', 'decode']) {
      const tokens = request.batch * (phase === 'prefill' ? prompt_tokens : new_tokens);
      emit({ event: 'throughput', cell, repeat, phase, batch: request.batch, prompt_tokens, steps: new_tokens, tokens, seconds: 0.5, tokens_s: tokens * 2, bytes_step: 1000, bound_s: 0.25, of_bound: 0.5, us_step: { attention: 1, linear: 2, other: 3 }, peak_bytes: 1, clock_mhz: 1, kv: { bytes_end: 60, kept_mean: 6 } });
    }
  }
}

emit({ event: 'hello', protocol: 1, engine: 'fake', build: 'fake', numerics: { cpu: 'fake-1' }, pid: process.pid });
let work = Promise.resolve();
for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  if (request.op === 'load') {
    if (onLoad !== 'finish') await /** @type {any} */ (ACTIONS)[onLoad ?? ''](request.id);
    emit({ event: 'loaded', id: request.id, backend: 'cpu', device: { name: 'fake' }, model: { sha256: request.model.sha256 }, weights: { bytes: 1, dtype: 'f16' }, t_load: 0, measured: { copy_tb_s: 1 } });
  } else if (request.op === 'cell') cells.set(request.cell, { request, items: [] });
  else if (request.op === 'samples') cells.get(request.cell)?.items.push(...request.items);
  else if (request.op === 'start') {
    const cell = cells.get(request.cell);
    cells.delete(request.cell);
    if (cell) work = work.then(() => run(cell));
  } else if (request.op === 'calibrate') work = work.then(() => calibrate(request));
  else if (request.op === 'ping') emit({ event: 'pong', id: request.id, state: 'idle' });
  else if (request.op === 'shutdown') break;
}
// The end of stdin: the parent died or is done with this engine.
process.exit(4);
