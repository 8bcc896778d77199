/**
 * What a report says, as data: everything measured, nothing formatted. `report/data.ts` fills it from Postgres,
 * `report/html.ts`, `report/answers.ts` and `report/markdown.ts` only word it.
 */
import type { Interval } from '../analysis/bootstrap.ts';
import type { LatencySummary } from '../analysis/latency.ts';
import type { LengthSummary, Share } from '../analysis/length-summary.ts';
import type { KeptMap, NegativesSetting } from './model-scores.ts';

/** Version of this shape, first in `kvsweep report --format json`. */
export const REPORT_SCHEMA = 'kvsweep-report-1';

export interface ReportModel {
  schema: typeof REPORT_SCHEMA;
  sweep: SweepFacts;
  generations: GenerationSetting[];
  /** Where one model answered several data sets: all of them together. */
  pooled: PooledSetting[];
  throughputs: ThroughputSetting[];
  perplexities: PerplexityRow[];
  scores: ScoreEntry[];
  memory: MemoryEntry[];
  inert: InertEntry[];
  negatives: NegativesSetting[];
  kept: KeptMap[];
  provenance: Provenance;
}

export interface SweepFacts {
  id: string;
  status: string;
  createdAt: string;
  reportedAt: string;
  cells: { planned: number; done: number; reused: number; failed: number; open: number };
  /** Done cells whose intervals, tests and token diagnostics were still to be computed, or computed again. */
  estimatesOpen: number;
  failures: { label: string; batch: number | null; workload: string; reason: string }[];
}

/** One `generate` workload on one model and backend, with all its compressors. */
export interface GenerationSetting {
  model: string;
  backend: string;
  dataset: string;
  maxNewTokens: number;
  /** In words: `greedy`, `temperature 0.8`. */
  sampling: string;
  nPrompts: number;
  baselines: BaselineFacts[];
  lengths: LengthEntry[];
  latencies: LatencyEntry[];
  /** Each compressor at its own largest batch, with modelled times. */
  ownLargest: OwnLargestEntry[];
  caches: CacheEntry[];
  stories: Story[];
}

/** The data sets of one model, backend and sampling taken together, pair by pair. */
export interface PooledSetting {
  model: string;
  backend: string;
  sampling: string;
  datasets: string[];
  nPrompts: number;
  /** Compressors that left the cache as it was on every data set. */
  neverActed: string[];
  lengths: PooledLengthEntry[];
  latencies: PooledLatency[];
}

/** What adds up of a length summary. */
export type PooledLengths = Pick<
  LengthSummary,
  | 'n'
  | 'gt50'
  | 'longer50'
  | 'shorter50'
  | 'shareSame'
  | 'shareNear'
  | 'ratioOfMeans'
  | 'geoRatio'
  | 'meanOfRatios'
  | 'censoredBase'
  | 'censoredComp'
>;

export interface PooledLengthEntry {
  label: string;
  batches: number[];
  /** Data sets on which the compressor did not act: left out. */
  inert: number;
  all: PooledLengths;
  /** Two uncompressed runs over the same data sets; null if one of them has no noise cell. */
  noise: PooledLengths | null;
  byDataset: { dataset: string; lengths: PooledLengths }[];
  /** Empty if there is one task type or none. */
  byTask: { taskType: string; lengths: PooledLengths }[];
}

export interface PooledLatency {
  label: string;
  batch: number;
  inert: number;
  summary: Omit<LatencySummary, 'ratioP50' | 'ratioP95'>;
}

export interface BaselineFacts {
  batch: number;
  n: number;
  /** Share of answers cut at the limit. */
  censored: number;
  /** Median length by Kaplan-Meier; null = beyond the limit. */
  medianLength: number | null;
  /** The noise floor; null = not measured. */
  noise: NoiseFloor | null;
  /** A rerun of the same cell gave other tokens: a bug, shown as such. null = no rerun cell. */
  nondeterministic: boolean | null;
}

export interface NoiseFloor {
  kind: string;
  n: number;
  shareSame: number;
  d95: number;
  gt50: number;
  longer50: number;
  shorter50: number;
  /** D of every pair; empty where there are too many to read. */
  ds: number[];
  histogram: number[];
}

/** A share or ratio with its interval; `wilson` = the bootstrap had no width. */
export interface Estimated extends Interval {
  p?: number;
  wilson?: boolean;
}

/** Lengths of one compressor. Batch sizes that gave identical tokens are told once. */
export interface LengthEntry {
  label: string;
  batches: number[];
  /** The compressor left the cache as it was: kept out of shares and comparisons. */
  inert: boolean;
  nClusters: number;
  nMissing: number;
  nMismatch: number;
  summary: LengthSummary;
  estimates: Partial<Record<EstimateName, Estimated>>;
  /** p of the sign-flip test, adjusted by Holm over the compressors of the setting. */
  pHolm: number | null;
  /** D of every pair; empty where there are too many to read. */
  ds: number[];
  histogram: number[];
  noise: NoiseFloor | null;
  /** By task type; empty if there is one or none. */
  tasks: TaskLengths[];
}

/** Lengths of the prompts of one task type. */
export interface TaskLengths {
  taskType: string;
  n: number;
  gt50: Share;
  longer50: Share;
  shorter50: Share;
  ratioOfMeans: number | null;
  geoRatio: number | null;
}

export type EstimateName =
  | 'share_gt50'
  | 'share_longer50'
  | 'share_shorter50'
  | 'share_same'
  | 'ratio_of_means'
  | 'geo_ratio'
  | 'mean_log_ratio'
  | 'excess_share_gt50'
  | 'excess_share_longer50'
  | 'excess_share_shorter50'
  | 'x_tokens_faster'
  | 'y_answers_longer'
  | 'service_ratio';

export interface LatencyEntry {
  label: string;
  batch: number;
  inert: boolean;
  summary: LatencySummary;
  serviceRatio: Interval | null;
  nClusters: number;
  /** time_ratio of every pair; empty where there are too many to read. */
  ratios: number[];
}

/**
 * Lengths that were measured, at speeds of the largest batch that each side fits: modelled, never mixed with measured
 * times.
 */
export interface OwnLargestEntry {
  label: string;
  /** Batch at which the lengths were measured. */
  lengthsBatch: number;
  /** Bytes that both sides were allowed; null = what the engine chose. */
  memory: number | null;
  batch: number;
  baseBatch: number;
  /** Per sequence: tokens come x times as fast. Below 1 is normal, for a larger batch shares the machine. */
  x: number;
  y: number;
  serviceRatio: number;
  shareSlower: number;
  /** Requests per second that the server completes, against the baseline's. */
  requestsRatio: number;
}

/** What the cache held at the end of a sample, over the samples of a cell. */
export interface CacheEntry {
  label: string;
  batch: number;
  inert: boolean;
  seenMean: number;
  keptMean: number;
  bytesEndMean: number;
  /** bytes_end / bytes of the same tokens in f16. */
  ofF16: number;
  /** Bits stored per K or V element that is still held, side arrays and page slack included. */
  bitsPerElement: number;
}

export interface Answer {
  text: string;
  tokens: number;
  finish: string;
  serviceMs: number | null;
}

/** One prompt with both answers. */
export interface Story {
  why: 'longest' | 'shortest' | 'slowest';
  label: string;
  batch: number;
  promptKey: string;
  prompt: string;
  d: number;
  timeRatio: number | null;
  firstDiff: number | null;
  beyondNoise: boolean | null;
  base: Answer;
  comp: Answer;
}

export interface ThroughputSetting {
  model: string;
  backend: string;
  device: string | null;
  promptTokens: number;
  newTokens: number;
  points: ThroughputPoint[];
}

export interface ThroughputPoint {
  label: string;
  isBaseline: boolean;
  batch: number;
  /** The spec asked for the largest batch that fits. */
  isMax: boolean;
  /** Bytes of cache and workspace that the engine was allowed; null = what it chose. */
  memory: number | null;
  phase: 'prefill' | 'decode';
  tokS: number;
  tokSQ25: number;
  tokSQ75: number;
  repeats: number;
  noisy: boolean;
  drift: number | null;
  inert: boolean;
  /** Against the baseline at the same batch; null if there is none or the cell is inert. */
  sSame: number | null;
  /** At each side's own largest batch of this prompt length, with both batch sizes; null if not measured. */
  own: { s: number; batch: number; baseBatch: number } | null;
  /** Least time of all steps that memory or arithmetic allow, ms; null if the engine told none. */
  boundMs: number | null;
  /** Fraction of that bound reached. */
  ofBound: number | null;
  bytesEnd: number | null;
}

/** Mean score of a cell's answers that have references. */
export interface ScoreEntry {
  model: string;
  dataset: string;
  label: string;
  batch: number;
  isBaseline: boolean;
  inert: boolean;
  metric: string;
  n: number;
  score: number;
  /** Against the baseline on the same samples; null for a baseline, an inert cell, or without one. */
  delta: number | null;
  nWorse: number | null;
  nBetter: number | null;
}

/** Bytes that the samples of a cell held at their end, summed. */
export interface MemoryEntry {
  model: string;
  label: string;
  batch: number;
  isBaseline: boolean;
  inert: boolean;
  bytesEnd: number;
  bytesF16: number;
  /** Payload alone: no page rounding, no side arrays; null if a sample does not tell. */
  bytesIdeal: number | null;
}

/** A cell whose compressor acted in no sample, with what tells why. */
export interface InertEntry {
  label: string;
  batch: number | null;
  workload: string;
  dataset: string | null;
  samples: number;
  /** Tokens of the longest sample; null for throughput. */
  longest: number | null;
  effective: string;
  derived: string;
}

export interface PerplexityRow {
  model: string;
  dataset: string;
  label: string;
  batch: number;
  inert: boolean;
  isBaseline: boolean;
  nTokens: number;
  ppl: number;
  top1: number;
  /** ln ppl minus that of the baseline. */
  delta: Interval | null;
}

export interface Provenance {
  specSha: string;
  spec: string;
  versions: [name: string, value: string][];
  hosts: { name: string; facts: [name: string, value: string][] }[];
  models: { name: string; sha256: string; facts: [name: string, value: string][] }[];
  promptSets: { dataset: string; sha256: string; facts: [name: string, value: string][] }[];
  configurations: {
    label: string;
    requested: string;
    effective: string;
    derived: string;
  }[];
  settings: [name: string, value: string][];
}
