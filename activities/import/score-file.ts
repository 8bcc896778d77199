/**
 * Names and contents of the artifact's score files:
 * `<alg>_<model>_<context>_b<batch>[_<params>]_<set>_eval.json`, an array of `{id, score}`.
 */
import { SCORED_SETS } from './longbench-sets.ts';

/** Score files that cannot be imported; the message names the file and is meant for the user. */
export class ImportError extends Error {
  override name = 'ImportError';
}

export interface ScoreFileName {
  file: string;
  alg: string;
  model: string;
  context: number;
  batch: number;
  /** The part between batch and set, as it stands; null = none. */
  params: string | null;
  set: string;
}

const ENDING = '_eval.json';
const LAYOUT = '<alg>_<model>_<context>_b<batch>[_<params>]_<set>_eval.json';

/** null: not a score file. @throws ImportError for a score file whose name does not fit */
export function parseFileName(file: string): ScoreFileName | null {
  if (!file.endsWith(ENDING)) return null;
  const name = file.slice(0, -ENDING.length);
  // Set names contain "_" and "-", and one may end another: the longest that fits.
  const set = Object.keys(SCORED_SETS)
    .filter((known) => name.endsWith(`_${known}`))
    .sort((a, b) => b.length - a.length)[0];
  if (set === undefined) {
    throw new ImportError(
      `${file}: no LongBench set of the artifact stands before "${ENDING}"; the sets are ${Object.keys(SCORED_SETS).join(', ')}`,
    );
  }
  const match = /^([^_]+)_(.+?)_(\d+)_b(\d+)(?:_(.+))?$/.exec(name.slice(0, -set.length - 1));
  if (!match) throw new ImportError(`${file}: the name does not follow ${LAYOUT}`);
  const [, alg, model, context, batch, params] = match;
  return {
    file,
    alg: alg!,
    model: model!,
    context: Number(context),
    batch: Number(batch),
    params: params ?? null,
    set,
  };
}

export interface Configuration {
  /** The method by our name; `none` = the baseline. */
  compressor: string;
  label: string;
  /** The same with every parameter: for two settings that would share a label. */
  longLabel: string;
  parameters: Record<string, number | string>;
}

/** What the prefix and the parameters of a name say. Only names are known: what the code really ran with is not. */
export function configurationOf({ alg, params }: Pick<ScoreFileName, 'alg' | 'params'>): Configuration {
  const whole = params === null ? alg : `${alg}_${params}`;
  if (alg === 'hf') return { compressor: 'none', label: 'none', longLabel: whole, parameters: {} };
  const kivi = /^(\d+)bits_group(\d+)_residual(\d+)$/.exec(params ?? '');
  if (alg === 'kivi' && kivi) {
    const [bits, group, window] = kivi.slice(1).map(Number) as [number, number, number];
    return { compressor: 'kivi', label: `kivi-${bits}`, longLabel: whole, parameters: { bits, group, window } };
  }
  const gear = /^(\d+)bits$/.exec(params ?? '');
  if (alg === 'gear' && gear) {
    const bits = Number(gear[1]);
    // the artifact's simulated mode, not the paper's GEAR
    return { compressor: 'gear_artifact', label: `gear-${bits}`, longLabel: whole, parameters: { bits } };
  }
  const eviction = /^c(\d+)_w(\d+)_k(\d+)_(\w+)$/.exec(params ?? '');
  const parameters = eviction
    ? {
        capacity: Number(eviction[1]),
        window: Number(eviction[2]),
        kernel: Number(eviction[3]),
        pooling: eviction[4]!,
      }
    : params === null
      ? {}
      : { name: params };
  return { compressor: alg, label: whole, longLabel: whole, parameters };
}

/** The scores of a file, by id. @throws ImportError that names the file */
export function parseScores(file: string, text: string): number[] {
  let rows: unknown;
  try {
    rows = JSON.parse(text);
  } catch (error) {
    throw new ImportError(`${file}: not JSON (${(error as Error).message})`, { cause: error });
  }
  if (!Array.isArray(rows) || rows.length === 0) {
    throw new ImportError(`${file}: expected a JSON array of {"id", "score"} with at least one record`);
  }
  return rows.map((row: { id?: unknown; score?: unknown } | null, at) => {
    const { id, score } = row ?? {};
    if (id !== at) {
      throw new ImportError(`${file}: record ${at} has id ${JSON.stringify(id)}; ids have to be 0, 1, 2, ... in order`);
    }
    if (typeof score !== 'number' || !(score >= 0 && score <= 1)) {
      throw new ImportError(`${file}: the score of id ${at} is ${JSON.stringify(score)}, not a number from 0 to 1`);
    }
    return score;
  });
}
