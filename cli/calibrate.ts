/** `kvsweep compressors calibrate`: makes the artefact of a method and prints its hash; the same again only looks it up. */
import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { artefactParameters, DEFAULT_CALIBRATION } from '../activities/calibration-plan.ts';
import { readArtefact } from '../activities/ledger.ts';
import { findModel, type PlanningDeps } from '../activities/planning.ts';
import { resolveModel } from '../activities/resolve-model.ts';
import type { Backend, Json } from '../workflows/contracts.ts';
import { engineQueue } from '../workflows/queues.ts';
import { artefactIndex, makeArtefacts } from './artefact-index.ts';
import { type Command, EXIT, type Options } from './command.ts';
import type { Context } from './context.ts';
import { unknownCompressor } from './nearest.ts';
import { oneOf, positiveInteger } from './options.ts';
import { engineKey, numericsOf } from './plan-sweep.ts';
import { UsageError } from './usage-error.ts';

export const calibrate: Command = {
  name: 'calibrate',
  args: ['<method>'],
  about: 'make the artefact that a method needs, on a worker, and print its sha256',
  options: [
    { flags: '--model <name>', about: 'a known name or a .gguf file', fallback: 'smollm2-135m' },
    { flags: '--param <name=value>', about: 'a parameter of the method; may be given often', many: true },
    { flags: '--dataset <name>', about: 'where the tokens come from', fallback: 'calibration_text' },
    { flags: '--sequences <n>', about: 'token sequences', fallback: String(DEFAULT_CALIBRATION.sequences) },
    { flags: '--tokens <n>', about: 'tokens of each', fallback: String(DEFAULT_CALIBRATION.tokens) },
    { flags: '--backend <name>', about: 'cpu or cuda', fallback: 'cpu' },
    { flags: '--out <file>', about: 'also write the artefact to a file' },
  ],
  async run(context, [method], options) {
    const { sha256, bytes, made } = await artefactOf(context, method!, options);
    if (typeof options.out === 'string') {
      await writeFile(options.out, (await readArtefact(await context.db(), sha256))!);
      context.note(`written to ${options.out}`);
    }
    context.result(
      { sha256, bytes, made },
      `${sha256}\n${made ? 'made now' : 'was there already'}; a spec names it as calibration: ${sha256.slice(0, 12)}…, or as calibration: auto`,
    );
    return EXIT.done;
  },
};

async function artefactOf(context: Context, method: string, options: Options) {
  const backend: Backend = oneOf(options.backend, ['cpu', 'cuda'], '--backend');
  const engine = await context.engine.list();
  const parameters = artefactParameters(engine.compressors);
  const names = parameters.get(method);
  if (!names) {
    const known = engine.compressors.map((row) => row.name);
    if (!known.includes(method)) throw new UsageError(unknownCompressor(method, known));
    throw new UsageError(`${method} needs no artefact; those that do: ${[...parameters.keys()].join(', ') || 'none'}`);
  }
  const { config } = context;
  const deps: PlanningDeps = {
    engine: context.engine,
    engineEnvironment: config.engineEnvironment,
    modelFolders: config.modelFolders,
    dataFolder: config.dataFolder,
    specFolder: resolve('.'),
    hashCache: join(config.paths.state, 'model-hashes.json'),
  };
  const db = await context.db();
  const model = await findModel({ path: String(options.model) }, deps);
  const compressor = { [method]: { ...paramsOf(options.param), [names[0]!]: 'auto' } };
  const { model: planned, missing } = await resolveModel(model, [compressor], {
    deps,
    engine,
    backend,
    artefacts: await artefactIndex(context),
    calibration: {
      dataset: String(options.dataset),
      sequences: positiveInteger(options.sequences, '--sequences'),
      tokens: positiveInteger(options.tokens, '--tokens'),
    },
    place: {
      backend,
      numerics: numericsOf(engine, backend),
      queue: engineQueue(backend),
      engineKey: engineKey({ model: model.ref, backend, threads: null }, engine),
    },
  });
  const [made] = await makeArtefacts(context, missing);
  if (made) return made;
  const sha256 = planned.compressors[0]!.artefacts![0]!;
  return { sha256, bytes: (await readArtefact(db, sha256))!.length, made: false };
}

/** `bits=4` as the engine takes it: JSON where it is JSON, else text. */
function paramsOf(given: Options[string]): Record<string, Json> {
  const pairs = Array.isArray(given) ? given : [];
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf('=');
      if (at < 1) throw new UsageError(`--param ${pair}: write name=value`);
      const text = pair.slice(at + 1);
      try {
        return [pair.slice(0, at), JSON.parse(text) as Json];
      } catch {
        return [pair.slice(0, at), text];
      }
    }),
  );
}
