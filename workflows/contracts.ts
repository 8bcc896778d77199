/**
 * The vocabulary of kvsweep. Every folder uses these words and types; nothing uses a synonym.
 *
 * sweep         one launched grid; a named set of cells
 * cell          one (model, compressor config, batch size, workload, backend) point; identified by the sha256 of
 *               all that changes its output (the cell key)
 * workload      what a cell runs: `generate`, `throughput` or `score`
 * sample        one prompt generated under a cell, with a replicate index
 * baseline      the cell with compressor `none` and all else equal
 * noise cell    a baseline run again with one thing changed: what a difference means without a compressor
 * compressor    a method with its parameters; requested and effective parameters are both stored
 * group         the cells that one engine activity runs on one loaded model
 * attempt       one try at a group
 * lease         the token of an attempt that fences its writes
 * slice         a list of groups handed to a shard at once
 * artefact      a file that a compressor needs, made once per model from a token set (calibration); named by its sha256
 * engine key    what one warm engine process is loaded with: engine build, model, backend, device, threads
 * page, window, observation window, sink, budget   as the engine uses them
 * D             (L_baseline - L_compressed) / L_baseline of one sample; negative = the compressed answer is longer
 */

/** Order of the words is the order of a cell's life. `lost` = not its own fault; open = pending, leased, lost. */
export const CELL_STATES = ['pending', 'leased', 'done', 'failed', 'lost'] as const;
export type CellState = (typeof CELL_STATES)[number];

export const SWEEP_STATES = ['planned', 'running', 'paused', 'stopped', 'cancelled', 'finished'] as const;
export type SweepState = (typeof SWEEP_STATES)[number];

/** Why a cell or an attempt failed. `activities/failures.ts` maps the engine's kinds to these. */
export const ERROR_CLASSES = [
  'SpecInvalid',
  'OutOfMemory',
  'EngineCrash',
  'EngineStall',
  'HostFault',
  'StaleAttempt',
  'Poison',
] as const;
export type ErrorClass = (typeof ERROR_CLASSES)[number];

/** Task queues. Engine queues are named by capability: `kv.cpu.<class>`, `kv.gpu.<class>`. */
export const CONTROL_QUEUE = 'kv.ctl';
export const DATABASE_QUEUE = 'kv.db';
/** Apart from {@link DATABASE_QUEUE}, so that hours of resampling never keep the summaries of another sweep waiting. */
export const ESTIMATE_QUEUE = 'kv.estimates';
/** Queues of the control worker; all others belong to engine workers. */
export const CONTROL_WORKER_QUEUES: readonly string[] = [CONTROL_QUEUE, DATABASE_QUEUE, ESTIMATE_QUEUE];

export type Backend = 'cpu' | 'cuda';
export type NoiseKind = 'seed' | 'batch' | 'backend' | 'rerun';

/** A JSON value; compressor configs travel as such because only the engine knows what they mean. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

export type Sampling = { greedy: true } | { temperature: number; top_k?: number; top_p?: number; min_p?: number };

/** A workload as the engine takes it (`gpu-runner` protocol 1, op `cell`). */
export type EngineWorkload =
  | {
      generate: {
        max_new_tokens: number;
        min_new_tokens?: number;
        sampling: Sampling;
        chat: boolean;
        date?: string;
        truncate: 'none' | 'middle' | 'middle_retok';
        /** Of `middle_retok`: ids of a text above which half of so many is kept from either end. Absent = the context. */
        truncate_at?: number;
        stop_ids: number[];
        stop_strings: string[];
        trace: ('kept' | 'times')[];
      };
    }
  | { throughput: { prompt_tokens: number; new_tokens: number; warmup: number; repeats: number; seed: number } }
  | { score: { top_k: number; chat?: boolean } };

/** `import`: scores that came from elsewhere; no engine runs it. */
export type WorkloadKind = 'generate' | 'throughput' | 'score' | 'import';

/** The model of a cell: a worker finds the file by sha256, `path` is only the first place to look. */
export interface ModelRef {
  name: string;
  path: string;
  sha256: string;
  chat_template?: string;
}

/**
 * Everything that a worker needs to run a cell; stored with the cell (`cell.run`), hashed into the cell key
 * (paths, names and `load` threads left out where they do not change output).
 */
export interface CellRun {
  model: ModelRef;
  backend: Backend;
  /** The engine's numerics version that the cell key was made with; an engine of another one must not run the cell. */
  numerics: string;
  /** CPU threads of the engine; null = the engine's own choice. */
  threads: number | null;
  /** Bytes that KV pages and workspace of the engine may take. Absent = the engine's own choice. */
  memory_limit?: number;
  compressor: JsonObject;
  batch: number | 'max';
  scheduler: 'static' | 'continuous';
  invariant: boolean;
  invariant_rows: number;
  workload: EngineWorkload;
  /** sha256 of the prompt set, hex; null for `throughput`. */
  prompt_set: string | null;
  n_prompts: number;
  replicates: number;
  /** Artefacts that the compressor names, sha256 hex: the worker fetches each to a local file. Absent = none. */
  artefacts?: string[];
  /** Seeds of the samples: 48 bits of sha256(`kvsweep-seed-1|<seed>|<prompt key>|<replicate>`). */
  seed: number;
}

export interface RunGroupInput {
  sweepNo: number;
  runNo: number;
  groupNo: number;
}

/** All that a calibration artefact depends on, and where it is made. */
export interface CalibrateInput {
  /** sha256 hex over model, compressor with its parameters, token set and numerics: equal keys, equal artefacts. */
  key: string;
  queue: string;
  engineKey: string;
  model: ModelRef;
  backend: Backend;
  numerics: string;
  threads: number | null;
  /** The method with every parameter but its artefact: `{kvquant: {bits: 4, sparsity: 0.01}}`. */
  compressor: JsonObject;
  /** sha256 hex of the prompt set whose prompts are the token sequences. */
  tokenSet: string;
}

export interface CalibrateResult {
  /** sha256 hex of the artefact. */
  sha256: string;
  bytes: number;
  /** False: it was there already. */
  made: boolean;
}

/** What an engine activity returns: counts only, never samples. `left` > 0 = paused, drained or stopped early. */
export interface RunGroupResult {
  done: number;
  failed: number;
  left: number;
}

/** A contiguous range [lo, hi) of group numbers on one queue. */
export interface ShardPlan {
  queue: string;
  lo: number;
  hi: number;
  inFlight: number;
  timeoutMs: number;
}

/** Overrides of `workflows/retry-policies.ts`; tests shorten times with it, a slow cluster lengthens them. */
export interface WorkflowPolicy {
  heartbeatMs?: number;
  retryInitialMs?: number;
  maxAttempts?: number;
  sliceSize?: number;
  historyEvents?: number;
}

export interface ShardWorkflowInput extends ShardPlan {
  sweepNo: number;
  runNo: number;
  cursor?: number;
  policy?: WorkflowPolicy;
}

export interface SweepWorkflowInput {
  sweepId: string;
  policy?: WorkflowPolicy;
}

export interface SweepWorkflowResult {
  open: number;
  passes: number;
}

export interface AggregateWorkflowInput {
  sweepId: string;
}

export interface EstimatesWorkflowInput {
  sweepId: string;
}

/** What one activity of the estimates computes: a stage of the aggregation for some cells' runs, `sweepNo/cellNo` each. */
export interface EstimateSlice {
  stage: string;
  runs: string[];
}

export interface Slice {
  control: 'run' | 'pause' | 'stop';
  groups: number[];
  next: number;
}

export interface BriefFailure {
  type: string;
  message: string;
}
