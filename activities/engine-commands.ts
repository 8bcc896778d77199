/**
 * The engine's short commands (`list`, `resolve`, `inspect`, `devices`): what planning asks before any model is
 * loaded. Cells run through `engine-process.ts`.
 */
import { ExecaError, execa } from 'execa';
import { z } from 'zod';
import type { JsonObject } from '../workflows/contracts.ts';

const jsonObject = z.record(z.string(), z.json());

const parameter = z.looseObject({
  name: z.string(),
  type: z.string(),
  default: z.json().optional(),
  choices: z.array(z.json()).optional(),
  range: z.array(z.number().nullable()).optional(),
  meaning: z.string().optional(),
  /** The condition under which the parameter acts; elsewhere it is left out of the effective configuration. */
  read_when: z.string().nullable().optional(),
});
export type CompressorParameter = z.infer<typeof parameter>;

const choice = z.looseObject({ choices: z.array(z.string()), default: z.string() });
const keysAndValues = <T extends z.ZodType>(item: T) => z.looseObject({ k: item, v: item });
const bitsByDim = z.record(z.string().regex(/^d\d+$/), keysAndValues(z.number()).extend({ mean: z.number() }));
export type BitsByDim = z.infer<typeof bitsByDim>;

/** A row of the engine's registry: all that TypeScript ever knows of a compressor. */
export const compressorRow = z.looseObject({
  name: z.string(),
  title: z.string().optional(),
  family: z.string().optional(),
  params: z.array(parameter),
  input_aliases: z.record(z.string(), z.union([z.string(), z.array(z.string())])).optional(),
  /** When a selection is due; null for what never drops an entry. */
  evict_at: choice.nullable().optional(),
  positions: choice.nullable().optional(),
  key_form: z.string().nullable().optional(),
  head_granularity: z.string().nullable().optional(),
  seeded: z.boolean().optional(),
  first_token_equals_baseline: z.string().nullable().optional(),
  /** Formulas of the bits of a sealed element; further fields explain their letters. */
  bits_per_element: keysAndValues(z.string()).catchall(z.string()).optional(),
  /** The same in numbers by head dim (`d64`, `d128`) at the defaults; or that by each choice of one parameter. */
  bits_examples: z.union([bitsByDim, z.record(z.string(), bitsByDim)]).optional(),
  compose_role: z.string().nullable().optional(),
  rules: z.array(z.string()).optional(),
  derived: z.array(z.string()).optional(),
  identity_setting: z.string().nullable().optional(),
  side_state: z.string().nullable().optional(),
  paper: z.string().nullable().optional(),
  source: z.string().nullable().optional(),
  remarks: z.string().nullable().optional(),
});
export type CompressorRow = z.infer<typeof compressorRow>;

const engineList = z.looseObject({
  protocol: z.int(),
  engine: z.string().optional(),
  build: z.string().optional(),
  /** Backend class -> numerics version; a backend that this build lacks has no entry. */
  numerics: z.record(z.string(), z.string()),
  compressors: z.array(compressorRow),
});
export type EngineList = z.infer<typeof engineList>;

const resolved = z.union([
  z.looseObject({ effective: jsonObject, derived: jsonObject.default({}), bits: z.json().optional() }),
  z.looseObject({
    error: z.union([z.string(), z.looseObject({ message: z.string(), code: z.string().optional() })]),
  }),
]);

export type Resolution = { effective: JsonObject; derived: JsonObject } | { error: string };

export interface ModelShape {
  layers: number;
  q_heads: number;
  kv_heads: number;
  head_dim: number;
}

export interface EngineCommands {
  path: string;
  list(): Promise<EngineList>;
  devices(): Promise<JsonObject>;
  inspect(modelPath: string): Promise<JsonObject>;
  /** One answer per compressor, in order. */
  resolve(compressors: JsonObject[], shape: ModelShape | null): Promise<Resolution[]>;
}

/** The engine could not be asked: not built, not runnable, or its answer is not protocol 1. */
export class EngineUnavailable extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'EngineUnavailable';
  }
}

/** Commands of the engine at `path`, run with the allow-listed environment only. */
export function engineCommands(path: string, env: Record<string, string>): EngineCommands {
  async function ask(args: string[], input?: string): Promise<string> {
    try {
      const run = await execa(path, args, {
        env,
        extendEnv: false,
        timeout: 120_000,
        maxBuffer: 64 << 20,
        ...(input === undefined ? { stdin: 'ignore' as const } : { input }),
      });
      return run.stdout;
    } catch (error) {
      if (!(error instanceof ExecaError)) throw error;
      if (error.code === 'ENOENT' || error.code === 'EACCES') {
        throw new EngineUnavailable(
          `the engine ${path} cannot be run (${error.code}); build it with \`npm run bootstrap\` or name it in KVSWEEP_ENGINE`,
          { cause: error },
        );
      }
      const said = String(error.stderr ?? '')
        .trim()
        .split('\n')
        .slice(-3)
        .join('\n');
      throw new EngineUnavailable(said || error.shortMessage, { cause: error });
    }
  }
  return {
    path,
    list: async () => parse(engineList, await ask(['list', '--json']), 'list'),
    devices: async () => parse(jsonObject, await ask(['devices', '--json']), 'devices') as JsonObject,
    inspect: async (modelPath) =>
      parse(jsonObject, await ask(['inspect', modelPath, '--json']), 'inspect') as JsonObject,
    async resolve(compressors, shape) {
      if (compressors.length === 0) return [];
      const requests = compressors.map((compressor) => JSON.stringify(shape ? { compressor, shape } : { compressor }));
      const lines = (await ask(['resolve', '--json'], `${requests.join('\n')}\n`))
        .split('\n')
        .filter((l) => l.trim() !== '');
      if (lines.length !== compressors.length) {
        throw new EngineUnavailable(`resolve answered ${lines.length} lines for ${compressors.length} compressors`);
      }
      return lines.map((line) => {
        const answer = parse(resolved, line, 'resolve');
        if (!('error' in answer)) return { effective: answer.effective, derived: answer.derived } as Resolution;
        return {
          error: typeof answer.error === 'string' ? answer.error : (answer.error as { message: string }).message,
        };
      });
    },
  };
}

function parse<T>(schema: z.ZodType<T>, text: string, command: string): T {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new EngineUnavailable(`the engine's answer to ${command} is not JSON; is KVSWEEP_ENGINE a gpu-runner?`, {
      cause,
    });
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  throw new EngineUnavailable(
    `the engine's answer to ${command} lacks what kvsweep needs: ${issue.path.join('.')}: ${issue.message}`,
  );
}
