/**
 * Perplexity of every compressor on one fixed text, as a Markdown table: `npm run perplexity`. No stack: one
 * `gpu-runner run` per call of the engine, settings from `tools/perplexity.yaml`, texts of the data set `fixed_text`.
 *
 * Options: --texts 12  --prompt 512  --new 128  --batch 4  --threads N  --only name,name  --model FILE  --json
 *          --settings FILE   another table of the form of perplexity.yaml
 *          --calibration 16x2048   sequences x tokens for what needs an artefact
 */
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { argv } from 'node:process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { execa } from 'execa';
import { parse } from 'yaml';
import { artefactParameters, calibrationTokens, DEFAULT_CALIBRATION } from '../activities/calibration-plan.ts';
import { encodeTexts } from '../activities/count-tokens.ts';
import { type CompressorRow, engineCommands } from '../activities/engine-commands.ts';
import { type EngineEvent, type EventOf, parseEvent } from '../activities/engine-protocol.ts';
import { type FoundModel, findModel, loadPromptSet, type PlanningDeps, tokenizerOf } from '../activities/planning.ts';
import { fixed, percent } from '../report/words.ts';
import { readConfig } from '../workers/config.ts';
import type { JsonObject } from '../workflows/contracts.ts';

const SETTINGS_FILE = fileURLToPath(new URL('perplexity.yaml', import.meta.url));

export interface Setting {
  group: string;
  compressor: JsonObject;
}

/** The table of what is measured. */
export async function readSettings(file = SETTINGS_FILE): Promise<Setting[]> {
  const groups = parse(await readFile(file, 'utf8')) as Record<string, JsonObject[]>;
  return Object.entries(groups).flatMap(([group, compressors]) =>
    compressors.map((compressor) => ({ group, compressor })),
  );
}

export interface Measured {
  group: string;
  compressor: JsonObject;
  ppl: number;
  nTokens: number;
  bitsPerSeen: number | null;
  seconds: number | null;
}

/** What the events of one cell say: pooled perplexity, and bits per element of every token seen. */
export function measuredOf(events: readonly EngineEvent[]): Omit<Measured, 'group' | 'compressor'> | string {
  const failed = events.find((e): e is EventOf<'failed'> => e.event === 'failed');
  if (failed) return failed.message;
  const scored = events.filter((e): e is EventOf<'scored'> => e.event === 'scored');
  const wrong = scored.find((e) => e.error);
  if (wrong) return `sample ${wrong.sample}: ${wrong.error!.message}`;
  if (scored.length === 0) return 'the engine scored nothing';
  const nTokens = total(scored.map((e) => e.n_scored));
  const logprob = total(scored.flatMap((e) => e.logprobs));
  const kv = scored.map((e) => (e.kv ?? {}) as { bytes_ideal?: number; bytes_f16?: number });
  const ideal = kv.every((k) => k.bytes_ideal !== undefined) ? total(kv.map((k) => k.bytes_ideal!)) : null;
  const finished = events.find((e): e is EventOf<'finished'> => e.event === 'finished');
  return {
    ppl: Math.exp(-logprob / nTokens),
    nTokens,
    // bytes_f16 holds the same elements in 16 bits.
    bitsPerSeen: ideal === null ? null : (16 * ideal) / total(kv.map((k) => k.bytes_f16 ?? 0)),
    seconds: finished?.seconds ?? null,
  };
}

/** The table of a README: one row per setting, worse than the baseline by so much. */
export function perplexityTable(rows: readonly Measured[]): string {
  const base = rows.find((row) => Object.keys(row.compressor)[0] === 'none');
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const dash = (value: number | null, text: (value: number) => string) => (value === null ? '–' : text(value));
  const body = rows.map((row) => {
    const [name, params] = Object.entries(row.compressor)[0]!;
    const settings = Object.entries(params as JsonObject).map(([k, v]) => `${k} ${v}`);
    return line([
      row.group,
      `\`${name}\`${settings.length > 0 ? ` ${settings.join(', ')}` : ''}`,
      fixed(row.ppl, 3),
      base ? `${fixed(row.ppl / base.ppl, 3)}×` : '–',
      dash(row.bitsPerSeen, (bits) => `${fixed(bits, 2)} (${percent(bits / 16)})`),
      dash(row.seconds, (s) => fixed(s, 1)),
    ]);
  });
  const head = ['group', 'compressor', 'perplexity', 'to none', 'bits per seen element (of 16)', 'seconds'];
  return [line(head), '|---|---|---:|---:|---:|---:|', ...body].join('\n');
}

function total(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}

interface Engine {
  path: string;
  environment: Record<string, string>;
  model: FoundModel;
  threads: number | null;
}

/** Runs request lines through `gpu-runner run`; events are handed on as they come. */
async function run(engine: Engine, requests: readonly object[], onEvent: (event: EngineEvent) => void): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'kvsweep-perplexity-'));
  try {
    const { ref } = engine.model;
    const threads = engine.threads === null ? {} : { threads: engine.threads };
    const load = { op: 'load', id: 'm', model: { path: ref.path, sha256: ref.sha256 }, backend: 'cpu', ...threads };
    const file = join(folder, 'requests.jsonl');
    await writeFile(file, [load, ...requests, { op: 'shutdown' }].map((r) => `${JSON.stringify(r)}\n`).join(''));
    const child = execa(engine.path, ['run', file], {
      env: engine.environment,
      extendEnv: false,
      reject: false,
      buffer: false,
      stdin: 'ignore',
    });
    for await (const text of child) if (String(text).trim() !== '') onEvent(parseEvent(String(text)));
    await child;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Artefacts of the settings that ask for one: made now, in `folder`. sha256 -> path, and the sha of each setting. */
async function calibrate(
  engine: Engine,
  settings: readonly JsonObject[],
  rows: readonly CompressorRow[],
  tokens: number[][],
  folder: string,
): Promise<{ paths: Record<string, string>; shas: Map<JsonObject, string> }> {
  const parameters = artefactParameters(rows);
  const paths: Record<string, string> = {};
  const shas = new Map<JsonObject, string>();
  const requests = settings.map((compressor, i) => {
    const [name, params] = Object.entries(compressor)[0]!;
    const own = Object.entries(params as JsonObject).filter(([p]) => !(parameters.get(name) ?? []).includes(p));
    return {
      op: 'calibrate',
      id: `k${i}`,
      compressor: { [name]: Object.fromEntries(own) },
      tokens,
      out: join(folder, `k${i}.json`),
    };
  });
  await run(engine, requests, (event) => {
    if (event.event === 'failed') console.error(`calibration: ${event.message}`);
    if (event.event !== 'calibrated') return;
    paths[event.sha256] = event.path;
    shas.set(settings[Number(event.id.slice(1))]!, event.sha256);
  });
  for (const [sha, path] of Object.entries(paths)) {
    const found = createHash('sha256')
      .update(await readFile(path))
      .digest('hex');
    if (found !== sha) throw new Error(`the engine names an artefact ${sha}, its file has ${found}`);
  }
  return { paths, shas };
}

async function main(): Promise<void> {
  const { values: o } = parseArgs({
    options: {
      texts: { type: 'string', default: '12' },
      prompt: { type: 'string', default: '512' },
      new: { type: 'string', default: '128' },
      batch: { type: 'string', default: '4' },
      threads: { type: 'string' },
      only: { type: 'string' },
      settings: { type: 'string', default: SETTINGS_FILE },
      calibration: { type: 'string', default: `${DEFAULT_CALIBRATION.sequences}x${DEFAULT_CALIBRATION.tokens}` },
      model: { type: 'string', default: 'smollm2-135m' },
      json: { type: 'boolean', default: false },
    },
  });
  const [texts, prompt, scored, batch] = [o.texts, o.prompt, o.new, o.batch].map(Number) as [
    number,
    number,
    number,
    number,
  ];
  const config = readConfig();
  const commands = engineCommands(config.enginePath, config.engineEnvironment);
  const deps: PlanningDeps = {
    engine: commands,
    engineEnvironment: config.engineEnvironment,
    modelFolders: config.modelFolders,
    dataFolder: config.dataFolder,
    specFolder: '.',
    hashCache: join(config.paths.state, 'model-hashes.json'),
  };
  const model = await findModel({ path: o.model }, deps);
  const engine: Engine = {
    path: config.enginePath,
    environment: config.engineEnvironment,
    model,
    threads: o.threads === undefined ? null : Number(o.threads),
  };
  const { compressors: rows } = await commands.list();
  const known = new Set(rows.map((row) => row.name));
  const only = o.only?.split(',');
  const nameOf = (compressor: JsonObject) => Object.keys(compressor)[0]!;
  const table = await readSettings(o.settings);
  const absent = table.map((s) => nameOf(s.compressor)).filter((name) => !known.has(name));
  if (absent.length > 0) console.error(`this engine lacks ${[...new Set(absent)].join(', ')}`);
  const settings = table.filter(({ compressor }) => {
    const name = nameOf(compressor);
    return known.has(name) && (!only || name === 'none' || only.includes(name));
  });

  const request = {
    dataset: 'fixed_text',
    prompts: texts,
    seed: 0,
    limits: { minPromptTokens: prompt + scored },
    chat: false,
  };
  const { plan } = await loadPromptSet(request, model, deps);
  const ids = await encodeTexts(
    tokenizerOf(model, deps),
    plan.prompts.map((p) => p.prompt!),
    false,
  );
  const items = plan.prompts.map((p, i) => ({
    sample: p.key,
    replicate: 0,
    seed: 0,
    tokens: ids[i]!.slice(0, prompt),
    continuation: ids[i]!.slice(prompt, prompt + scored),
  }));

  const folder = await mkdtemp(join(tmpdir(), 'kvsweep-artefacts-'));
  try {
    const asking = settings
      .map((s) => s.compressor)
      .filter((c) => Object.values(c[nameOf(c)] as JsonObject).includes('auto'));
    let artefacts: Awaited<ReturnType<typeof calibrate>> = { paths: {}, shas: new Map() };
    if (asking.length > 0) {
      const [sequences, length] = o.calibration.split('x').map(Number) as [number, number];
      const set = await calibrationTokens({ ...DEFAULT_CALIBRATION, sequences, tokens: length }, model, deps);
      const tokens = set.prompts.map((p) => p.tokens!);
      console.error(`calibrating ${asking.map(nameOf).join(', ')} on ${total(tokens.map((t) => t.length))} tokens`);
      artefacts = await calibrate(engine, asking, rows, tokens, folder);
    }
    const requests = settings.flatMap(({ compressor }, i) => {
      const sha = artefacts.shas.get(compressor);
      const config =
        sha === undefined
          ? compressor
          : (JSON.parse(JSON.stringify(compressor).replaceAll('"auto"', `"${sha}"`)) as JsonObject);
      const cell = `c${i}`;
      const given = sha === undefined ? {} : { artefacts: { [sha]: artefacts.paths[sha] } };
      return [
        { op: 'cell', cell, compressor: config, batch, workload: { score: { top_k: 0 } }, ...given },
        { op: 'samples', cell, items },
        { op: 'start', cell },
      ];
    });
    const events = new Map<string, EngineEvent[]>();
    await run(engine, requests, (event) => {
      const cell = 'cell' in event ? event.cell : null;
      if (!cell) return;
      events.set(cell, [...(events.get(cell) ?? []), event]);
      if (event.event === 'finished' || event.event === 'failed')
        console.error(
          `${cell.slice(1)}/${settings.length - 1} ${JSON.stringify(settings[Number(cell.slice(1))]!.compressor)}`,
        );
    });
    const measured: Measured[] = [];
    for (const [i, { group, compressor }] of settings.entries()) {
      const found = measuredOf(events.get(`c${i}`) ?? []);
      if (typeof found === 'string') console.error(`${JSON.stringify(compressor)}: ${found}`);
      else measured.push({ group, compressor, ...found });
    }
    const facts = `${model.ref.name}, ${plan.prompts.length} texts of ${plan.dataset} (sha256 ${plan.sha.slice(0, 12)}), ${prompt} tokens given, ${scored} scored each`;
    console.log(o.json ? JSON.stringify(measured, null, 2) : `${facts}\n\n${perplexityTable(measured)}`);
    if (measured.length < settings.length) process.exitCode = 1;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

if (argv[1] === fileURLToPath(import.meta.url)) await main();
