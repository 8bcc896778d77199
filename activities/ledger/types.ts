/** Rows that cross the ledger's border. Digests are hex; times are integer microseconds unless the name says else. */
import type {
  Backend,
  CellRun,
  CellState,
  ErrorClass,
  JsonObject,
  NoiseKind,
  SweepState,
  WorkloadKind,
} from '../../workflows/contracts.ts';

/** In the order of the numbers that `sample.finish` stores. */
export const FINISHES = ['stop', 'length', 'context', 'error'] as const;
export type Finish = (typeof FINISHES)[number];

/** The right to write a group's cells: refused as soon as another attempt has claimed the group. */
export interface GroupLease {
  sweepNo: number;
  groupNo: number;
  /** `workflowId:runId:activityId:attempt`, or `pack:<sha256>`. */
  lease: string;
}

export interface CellLease {
  sweepNo: number;
  cellNo: number;
  lease: string;
}

export interface ClaimInput extends GroupLease {
  runNo: number;
  /** `currentAttemptScheduledTimestampMs`; (runNo, scheduledMs) orders attempts, the attempt number does not. */
  scheduledMs: number;
  hostId: number | null;
  engineBuildId?: number | null;
  /** Cells that were started this often without an end become `failed` (`Poison`). */
  maxTries: number;
}

export interface ClaimedCell {
  cellNo: number;
  key: string;
  run: CellRun;
  tries: number;
  status: 'leased' | 'failed';
  noiseKind: NoiseKind | null;
  isBaseline: boolean;
  /** Samples planned: prompts x replicates; for `throughput` the repeats. */
  nPlanned: number;
}

export interface Claim {
  sweepId: string;
  engineKey: string;
  cellTimeoutMs: number;
  cells: ClaimedCell[];
}

/** One prompt under one cell: the engine's `sample` or `scored` event. */
export interface SampleRow {
  /** Index in the cell's prompt set. */
  sampleIdx: number;
  rep: number;
  seed: number;
  finish: Finish;
  truncated: boolean;
  promptTokensRaw: number | null;
  promptTokens: number | null;
  /** Without the end token; for `score` the tokens scored. */
  newTokens: number | null;
  stopId: number | null;
  seen: number | null;
  keptMin: number | null;
  keptMax: number | null;
  keptMean: number | null;
  queueUs: number | null;
  prefillUs: number | null;
  decodeUs: number | null;
  bytesEnd: number | null;
  bytesPeak: number | null;
  bytesF16: number | null;
  promptSha: string | null;
  /** Of the token ids as little-endian u32; for `score` of `argmax`. */
  outSha: string | null;
  /** Of the UTF-8 text. */
  textSha: string | null;
  errorKind: string | null;
  /** Other fields of `kv`, `stop_string`, `error_message`, `us_steps`; for `score` `{logprob_sum, n_match}`. */
  extra: JsonObject | null;
}

/** Bytes by their own hash: token ids as little-endian u32, or UTF-8 text. */
export interface OutputRow {
  sha: string;
  bytes: Uint8Array;
}

/** Which tokens a sample held at its end: per layer and kv head ceil(seen / 8) bytes. */
export interface KeptRow {
  sampleIdx: number;
  rep: number;
  seen: number;
  layers: number;
  kvHeads: number;
  bitmap: Uint8Array;
}

/** One repeat of one phase: the engine's `throughput` event. */
export interface ThroughputRow {
  phase: 'prefill' | 'decode';
  repeat: number;
  /** True for the second timing of the group's first baseline point, which serves `drift` only. */
  guard: boolean;
  batch: number;
  promptTokens: number;
  steps: number;
  tokens: number;
  seconds: number;
  bytesStep: number | null;
  boundS: number | null;
  peakBytes: number | null;
  bytesEnd: number | null;
  keptMean: number | null;
  clockMhz: number | null;
  usStep: JsonObject | null;
}

/** One trial of the search for the largest batch: the engine's `probe` event. */
export interface ProbeRow {
  batch: number;
  fits: boolean;
  errorKind: string | null;
}

/**
 * What is stored as `cell.summary`: the engine's `finished` event, and of `planned` what the views show. Unknown
 * further fields are kept.
 */
export interface CellSummary extends JsonObject {
  tokens: number;
  seconds: number;
  /** The compressor acted in no sample. */
  inert: boolean;
  peak_bytes: number | null;
  /** The batch that ran; the found one for `max`. */
  batch: number | null;
  max_batch: number | null;
  numerics: string;
  stop_ids: number[];
  page: JsonObject | null;
  memory: JsonObject | null;
}

export interface CommitInput extends CellLease {
  /** As the engine reported it in `planned`. */
  effective: JsonObject;
  summary: CellSummary;
  samples: SampleRow[];
  outputs: OutputRow[];
  kept: KeptRow[];
  throughput: ThroughputRow[];
  probes: ProbeRow[];
  /** Engine version and build, device, driver, measured rates, workflow and run ids. */
  provenance: JsonObject;
  /** The cell to start in the same transaction, as `startCell` would: one round trip and one commit less a cell. */
  next?: number | null;
}

export interface CellFailure {
  errClass: ErrorClass;
  /** The engine's error kind; null when the engine said none. */
  errKind: string | null;
  message: string | null;
  /** The end of the engine's stderr. */
  tail: string | null;
}

export interface PromptRow {
  sampleIdx: number;
  key: string;
  prompt: string | null;
  messages: { role: string; content: string }[] | null;
  tokens: number[] | null;
  continuation: string | null;
  answers: string[] | null;
  metric: string | null;
  variant: string | null;
  taskType: string | null;
  maxNewTokens: number | null;
  meta: JsonObject | null;
}

export interface SweepRow {
  sweepNo: number;
  id: string;
  spec: JsonObject;
  specSha: string;
  provenance: JsonObject;
  limits: SweepLimits;
  status: SweepState;
  stopReason: string | null;
  runNo: number;
  createdAt: Date;
}

export interface SweepLimits {
  maxFailures: { count?: number; percent?: number } | null;
  cellTimeoutMs: number;
}

export interface CellRow {
  cellNo: number;
  groupNo: number;
  key: string;
  label: string;
  model: string;
  backend: Backend;
  workload: WorkloadKind;
  dataset: string | null;
  batch: number | null;
  axes: JsonObject;
  noiseKind: NoiseKind | null;
  isBaseline: boolean;
  /** Key of the compressed cell that it repeats. */
  replicateOf: string | null;
  status: CellState;
  tries: number;
  errClass: ErrorClass | null;
  nPlanned: number;
  reusedFrom: string | null;
  startedAt: Date | null;
  finishedAt: Date | null;
}

/** A run of a cell: where its rows are. A cell that reuses a run of another sweep has none of its own. */
export interface RunRef {
  sweepNo: number;
  cellNo: number;
}

/** Stages of aggregation in the order in which they run. */
export type StageName = 'scores' | 'lengths' | 'negatives' | 'intervals' | 'diagnostics';

/** Which runs a stage's numbers rest on: the cell's own; its baseline's too; noise cells and replicates too. */
export type StageNeeds = 'own' | 'baseline' | 'family';

/** A cell that a stage has to compute, with the runs that its numbers may rest on. */
export interface StaleCell extends RunRef {
  key: string;
  label: string;
  compressor: string;
  workload: WorkloadKind;
  isBaseline: boolean;
  noiseKind: NoiseKind | null;
  /** Inert cells are kept, marked and left out of shares. */
  inert: boolean;
  promptSet: string | null;
  nPlanned: number;
  baseline: RunRef | null;
  /** Cell and baseline ran on one class of device, so that their times may be compared. */
  sameDevice: boolean;
  /** Done noise cells of the same baseline, by kind and number; none for a noise cell itself. */
  noise: (RunRef & { noiseKind: NoiseKind })[];
  /** What the stage was handed: stored with its result, to tell when it has changed. */
  inputs: string;
}

/** Lets heartbeats and timers through; throws when the work shall end. Called at least once a second. */
export type Breathe = () => Promise<void>;

/** Where two outputs part; rows exist for pairs that differ only. */
export interface OutputDiffRow extends RunRef {
  sampleIdx: number;
  rep: number;
  baseline: RunRef;
  firstDiff: number;
  stopMissed: boolean;
  stopEarly: boolean;
}

export interface EstimateRow {
  statistic: string;
  value: number | null;
  lo: number | null;
  hi: number | null;
  p: number | null;
  n: number;
  nClusters: number | null;
  b: number | null;
  seed: number | null;
  version: string;
}
