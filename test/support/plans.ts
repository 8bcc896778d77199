/** Plans of made-up cells for ledger tests: the smallest that the tables accept. */
import { createHash } from 'node:crypto';
import type { CellRun, JsonObject } from '../../workflows/contracts.ts';
import type { CellPlan, PromptSetPlan, SweepPlan } from '../../workflows/plan.ts';

export const sha = (text: string) => createHash('sha256').update(text).digest('hex');

export const MODEL_SHA = sha('model');

export function promptSet(n: number, name = 'chat'): PromptSetPlan {
  return {
    sha: sha(`prompts ${name} ${n}`),
    dataset: name,
    meta: { dropped_duplicate: 0 },
    prompts: Array.from({ length: n }, (_, i) => ({
      key: `${name}/${String(i).padStart(4, '0')}`,
      prompt: `Question ${i}?`,
    })),
  };
}

const GENERATE = {
  generate: {
    max_new_tokens: 64,
    sampling: { greedy: true },
    chat: true,
    truncate: 'middle',
    stop_ids: [],
    stop_strings: [],
    trace: [],
  },
} satisfies CellRun['workload'];

export interface CellOptions {
  compressor?: JsonObject;
  label?: string;
  batch?: number;
  workload?: CellRun['workload'];
  prompts?: PromptSetPlan | null;
  noise?: { kind: 'batch' | 'seed' | 'rerun'; no: number };
  baselineKey?: string | null;
  axes?: JsonObject;
}

/** A cell whose key is the hash of its name. */
export function cellPlan(name: string, options: CellOptions = {}): CellPlan {
  const compressor = options.compressor ?? { none: {} };
  const method = Object.keys(compressor)[0]!;
  const prompts = options.prompts === undefined ? promptSet(3) : options.prompts;
  const workload = options.workload ?? GENERATE;
  const kind = Object.keys(workload)[0] as CellPlan['workload'];
  const run: CellRun = {
    model: { name: 'tiny', path: 'tiny.gguf', sha256: MODEL_SHA },
    backend: 'cpu',
    threads: 2,
    compressor,
    batch: options.batch ?? 1,
    scheduler: kind === 'throughput' ? 'static' : 'continuous',
    invariant: true,
    numerics: 'cpu-1',
    invariant_rows: 64,
    workload,
    prompt_set: prompts?.sha ?? null,
    n_prompts: prompts?.prompts.length ?? 0,
    replicates: 1,
    seed: 1,
  };
  return {
    key: sha(name),
    run,
    model: 'tiny',
    backend: 'cpu',
    compressor: method,
    label: options.label ?? method,
    requested: compressor,
    effective: compressor,
    derived: {},
    invariant: true,
    noiseKind: options.noise?.kind ?? null,
    noiseNo: options.noise?.no ?? null,
    batch: options.batch ?? 1,
    workload: kind,
    dataset: prompts?.dataset ?? null,
    axes: options.axes ?? { batch_sizes: options.batch ?? 1 },
    isBaseline: method === 'none' && options.noise === undefined,
    baselineKey: options.baselineKey ?? null,
    nPlanned: prompts?.prompts.length ?? 5,
    estMs: 1000,
  };
}

/** A plan with one group per list of cells, all on one queue unless said otherwise. */
export function sweepPlan(
  id: string,
  groups: CellPlan[][],
  options: Partial<SweepPlan> & { queues?: string[]; canaries?: number } = {},
): SweepPlan {
  const { queues, canaries = 0, ...rest } = options;
  return {
    id,
    spec: { name: id },
    specSha: sha(`spec ${id}`),
    provenance: {},
    limits: { maxFailures: null, cellTimeoutMs: 60_000 },
    promptSets: [promptSet(3)],
    models: [{ sha256: MODEL_SHA, name: 'tiny', path: 'tiny.gguf', meta: {} }],
    groups: groups.map((cells, i) => ({
      engineKey: 'tiny/cpu',
      queue: queues?.[i] ?? 'kv.cpu.test',
      estMs: 1000 * cells.length,
      canary: i < canaries,
      cells,
    })),
    ...rest,
  };
}
