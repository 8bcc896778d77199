/**
 * The configuration of a process, read once. The only reader of the environment: everything else takes values as
 * arguments, so that a test or a second stack can differ without touching `process.env`.
 */
import { existsSync } from 'node:fs';
import { availableParallelism, hostname, userInfo } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { type Paths, pathsOf, projectRoot } from './paths.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

export interface Config {
  paths: Paths;
  /** Null = not configured: the local stack's. */
  databaseUrl: string | null;
  /** Set if any of TEMPORAL_ADDRESS, TEMPORAL_PROFILE or TEMPORAL_CONFIG_FILE is: then the profile rules apply. */
  temporalFromEnvironment: boolean;
  temporalEnvironment: Record<string, string>;
  enginePath: string;
  /** Folders where a worker looks for a model file by name, after the path of the spec. */
  modelFolders: string[];
  dataFolder: string;
  /** Candidates of the Temporal CLI in order; the first that exists is used. */
  temporalBinaries: { from: 'KVSWEEP_TEMPORAL_BIN' | 'PATH' | '.kvsweep/bin'; path: string }[];
  /** A queue class that this host's engine worker serves besides what its device tells; null = none. */
  deviceClass: string | null;
  /** What an engine process may see: an allow-list, so that no secret of ours reaches it. */
  engineEnvironment: Record<string, string>;
  /** The whole environment without the addresses of a stack, for children that get theirs from `up`. */
  inherited: Record<string, string>;
  host: string;
  user: string;
  cpus: number;
  isRoot: boolean;
}

const ENGINE_ENVIRONMENT = [
  'PATH',
  'HOME',
  'LANG',
  'LC_ALL',
  'TMPDIR',
  'LD_LIBRARY_PATH',
  'CUDA_VISIBLE_DEVICES',
  'CUDA_HOME',
];

/** Reads and freezes the configuration. */
export function readConfig(env: Environment = process.env, root = projectRoot()): Config {
  const home = env.KVSWEEP_HOME ? resolve(env.KVSWEEP_HOME) : undefined;
  const paths = pathsOf(root, home);
  const pick = (names: (name: string) => boolean) =>
    Object.fromEntries(Object.entries(env).filter((e): e is [string, string] => e[1] !== undefined && names(e[0])));
  return Object.freeze({
    paths,
    databaseUrl: env.DATABASE_URL || null,
    temporalFromEnvironment: Boolean(env.TEMPORAL_ADDRESS || env.TEMPORAL_PROFILE || env.TEMPORAL_CONFIG_FILE),
    temporalEnvironment: pick((name) => name.startsWith('TEMPORAL_')),
    enginePath: env.KVSWEEP_ENGINE ? resolve(env.KVSWEEP_ENGINE) : join(root, 'gpu-runner/target/release/gpu-runner'),
    modelFolders: [...splitPath(env.KVSWEEP_MODELS), paths.models],
    dataFolder: env.KVSWEEP_DATA ? resolve(env.KVSWEEP_DATA) : paths.data,
    temporalBinaries: temporalBinaries(env, paths),
    deviceClass: env.KVSWEEP_DEVICE_CLASS || null,
    engineEnvironment: pick((name) => ENGINE_ENVIRONMENT.includes(name) || name === 'KVSWEEP_ISA'),
    inherited: pick((name) => name !== 'DATABASE_URL' && !name.startsWith('TEMPORAL_')),
    host: hostname(),
    user: userName(env),
    cpus: availableParallelism(),
    isRoot: process.getuid?.() === 0,
  });
}

/** The Temporal CLI to start, or null if none of the three places has one. */
export function findTemporalBinary(config: Pick<Config, 'temporalBinaries'>): string | null {
  return config.temporalBinaries.find((b) => existsSync(b.path))?.path ?? null;
}

function temporalBinaries(env: Environment, paths: Paths): Config['temporalBinaries'] {
  const named = env.KVSWEEP_TEMPORAL_BIN
    ? [{ from: 'KVSWEEP_TEMPORAL_BIN' as const, path: resolve(env.KVSWEEP_TEMPORAL_BIN) }]
    : [];
  const onPath = splitPath(env.PATH).map((dir) => ({ from: 'PATH' as const, path: join(dir, 'temporal') }));
  return [...named, ...onPath, { from: '.kvsweep/bin' as const, path: join(paths.bin, 'temporal') }];
}

function splitPath(value: string | undefined): string[] {
  return (value ?? '').split(delimiter).filter((part) => part !== '');
}

function userName(env: Environment): string {
  try {
    return userInfo().username;
  } catch {
    // A container may run under a uid without a passwd entry; the name only labels `event` rows.
    return env.USER ?? `uid-${process.getuid?.() ?? 'unknown'}`;
  }
}
