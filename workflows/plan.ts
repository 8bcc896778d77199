/**
 * The plan of a sweep: what `kvsweep launch` computes from a spec and stores in one transaction. Pure data, no
 * side effects; the planner that fills it is `workflows/plan-grid.ts`.
 */
import type { Backend, CellRun, JsonObject, NoiseKind, WorkloadKind } from './contracts.ts';

/** One cell as it is stored: everything of `CellRun` that is hashed, and what people select by. */
export interface CellPlan {
  /** The cell key: sha256 hex over canonical JSON of all that changes the cell's output. */
  key: string;
  run: CellRun;
  model: string;
  backend: Backend;
  /** The method or methods: `kivi`, `snapkv+kivi`. */
  compressor: string;
  /** Short and unique per compressor configuration within the sweep: `kivi-4`, `streaming_llm-128`. */
  label: string;
  requested: JsonObject;
  effective: JsonObject;
  derived: JsonObject;
  invariant: boolean;
  noiseKind: NoiseKind | null;
  noiseNo: number | null;
  /** null = `max`. */
  batch: number | null;
  workload: WorkloadKind;
  dataset: string | null;
  /** The coordinates as the user wrote them. */
  axes: JsonObject;
  isBaseline: boolean;
  /** Key of the baseline by analysis 0.1; null for a baseline; for a noise cell the baseline it replicates. */
  baselineKey: string | null;
  /** Key of the compressed cell that this one repeats with other seeds or another order of sums. */
  replicateOf?: string;
  /** Samples planned: prompts x replicates; for `throughput` the repeats. */
  nPlanned: number;
  estMs: number | null;
}

/** The cells that one engine activity runs on one loaded model. */
export interface GroupPlan {
  engineKey: string;
  queue: string;
  estMs: number | null;
  canary: boolean;
  cells: CellPlan[];
}

export interface PromptPlan {
  /** `<dataset>/<record id>` */
  key: string;
  prompt?: string;
  messages?: { role: string; content: string }[];
  tokens?: number[];
  /** `score`: the text to be scored after the prompt; as token ids in `meta.continuation_tokens`. */
  continuation?: string;
  references?: string[];
  metric?: string;
  variant?: string;
  taskType?: string;
  maxNewTokens?: number;
  meta?: JsonObject;
}

export interface PromptSetPlan {
  /** sha256 hex of the content that reaches the engine. */
  sha: string;
  dataset: string;
  /** Drop counters, sha256 of the source file, licence, filters. */
  meta: JsonObject;
  prompts: PromptPlan[];
}

export interface ModelPlan {
  sha256: string;
  name: string;
  path: string;
  meta: JsonObject;
}

export interface FailureLimit {
  count?: number;
  percent?: number;
}

export interface SweepPlan {
  /** The sweep's name. */
  id: string;
  /** The spec as checked, with defaults written out. */
  spec: JsonObject;
  /** sha256 hex of the canonical spec. */
  specSha: string;
  provenance: JsonObject;
  limits: { maxFailures: FailureLimit | null; cellTimeoutMs: number };
  promptSets: PromptSetPlan[];
  models: ModelPlan[];
  groups: GroupPlan[];
}
