/** The workloads of a spec as points of the grid, before their prompts are loaded. */
import type { GenerateWishes } from '../activities/complete-workload.ts';
import { datasetWants } from '../activities/named-datasets.ts';
import type { PromptRequest } from '../activities/planning.ts';
import { expandDatasetRef } from '../datasets/index.ts';
import type { EngineWorkload, Json, JsonObject, Sampling } from '../workflows/contracts.ts';
import { expandFields } from '../workflows/expand-axes.ts';
import type { GridWorkload } from '../workflows/plan-grid.ts';
import type { Spec, SpecWorkload } from './spec-schema.ts';

export interface WorkloadPoint {
  /** Null for `throughput`, whose tokens the engine draws from the seed. */
  prompts: PromptRequest | null;
  /** Cuts each text into a prompt and a continuation of exactly so many tokens. */
  cut: { prompt: number; continuation: number } | null;
  /** Of `generate`: what is known only with the prompts and the model. */
  wishes: GenerateWishes | null;
  workload: Omit<GridWorkload, 'promptSet' | 'dataset' | 'nPrompts'>;
  /** Sentences for the user. */
  notes: string[];
}

/** Every workload point of a spec: lists among a workload's numbers and samplings multiply. */
export function workloadPoints(spec: Pick<Spec, 'workloads'>): WorkloadPoint[] {
  return spec.workloads.flatMap((w) => {
    if (w.generate) return generatePoints(w.generate);
    if (w.throughput) return throughputPoints(w.throughput);
    return scorePoints(w.score!);
  });
}

type Generate = NonNullable<SpecWorkload['generate']>;
type Throughput = NonNullable<SpecWorkload['throughput']>;
type Score = NonNullable<SpecWorkload['score']>;

/** The data sets that one entry stands for: lists among its values multiply, a cell holds one data set. */
function datasetsOf(dataset: string | { kind: string }): (string | { kind: string })[] {
  return typeof dataset === 'string' ? [dataset] : (expandDatasetRef({ ...dataset }) as { kind: string }[]);
}

function generatePoints(g: Generate): WorkloadPoint[] {
  return datasetsOf(g.dataset).flatMap((dataset) => generatePointsOf(g, dataset));
}

function generatePointsOf(g: Generate, dataset: string | { kind: string }): WorkloadPoint[] {
  const wants = datasetWants(dataset);
  const chat = g.chat && wants.chat !== false;
  const capsOfPrompts = wants.caps === true || g.max_new_tokens === undefined;
  const notes =
    wants.caps === true && g.max_new_tokens !== undefined
      ? [`max_new_tokens of the workload is not used: every prompt of ${JSON.stringify(dataset)} has a cap of its own`]
      : [];
  const axes = expandFields({
    ...(capsOfPrompts ? {} : { max_new_tokens: g.max_new_tokens as Json }),
    sampling: g.sampling as Json,
  });
  return axes.map((point) => {
    const sampling = point.sampling as Generate['sampling'];
    const replicates = typeof sampling === 'object' && !Array.isArray(sampling) ? (sampling.replicates ?? 1) : 1;
    const generate: Extract<EngineWorkload, { generate: unknown }>['generate'] = {
      // Zero stands until the prompts are loaded, whose largest cap it is then.
      max_new_tokens: capsOfPrompts ? 0 : (point.max_new_tokens as number),
      ...(g.min_new_tokens > 0 ? { min_new_tokens: g.min_new_tokens } : {}),
      sampling: engineSampling(sampling as 'greedy' | JsonObject),
      chat,
      ...(g.date === undefined ? {} : { date: g.date }),
      truncate: g.truncate,
      ...(g.truncate_at === undefined ? {} : { truncate_at: g.truncate_at }),
      stop_ids: g.stop_ids,
      stop_strings: g.stop_strings,
      trace: g.trace,
    };
    const limits = {
      ...(g.max_prompt_chars === undefined ? {} : { maxPromptChars: g.max_prompt_chars }),
      ...(g.min_prompt_tokens === undefined ? {} : { minPromptTokens: g.min_prompt_tokens }),
      ...(g.max_prompt_tokens === undefined ? {} : { maxPromptTokens: g.max_prompt_tokens }),
    };
    return {
      prompts: { dataset, ...firstPrompts(g.prompts), seed: g.seed, limits, chat },
      cut: null,
      wishes: { capsOfPrompts, stop: wants.stop ?? null, allowNoEot: g.allow_no_eot },
      notes,
      workload: {
        kind: 'generate' as const,
        engine: { generate },
        ...schedule(g),
        replicates,
        axes: { dataset: dataset as Json, ...point },
      },
    };
  });
}

function throughputPoints(t: Throughput): WorkloadPoint[] {
  const axes = expandFields({ prompt_tokens: t.prompt_tokens, new_tokens: t.new_tokens });
  return axes.map((point) => ({
    prompts: null,
    cut: null,
    wishes: null,
    notes: [],
    workload: {
      kind: 'throughput' as const,
      engine: {
        throughput: {
          prompt_tokens: point.prompt_tokens as number,
          new_tokens: point.new_tokens as number,
          warmup: t.warmup,
          repeats: t.repeats,
          seed: t.seed,
        },
      },
      ...schedule(t),
      ...(t.cache_memory === undefined ? {} : { memoryLimit: memoryBytes(t.cache_memory) }),
      replicates: 1,
      axes: { ...point, ...(t.cache_memory === undefined ? {} : { cache_memory: t.cache_memory }) },
    },
  }));
}

function scorePoints(s: Score): WorkloadPoint[] {
  return datasetsOf(s.dataset).flatMap((dataset) => scorePointsOf(s, dataset));
}

function scorePointsOf(s: Score, dataset: string | { kind: string }): WorkloadPoint[] {
  const axes = expandFields({ prompt_tokens: s.prompt_tokens, new_tokens: s.new_tokens });
  return axes.map((point) => {
    const cut = { prompt: point.prompt_tokens as number, continuation: point.new_tokens as number };
    return {
      // A text that is too short to be cut is passed over.
      prompts: {
        dataset,
        ...firstPrompts(s.prompts),
        seed: s.seed,
        limits: { minPromptTokens: cut.prompt + cut.continuation },
        chat: false,
      },
      cut,
      wishes: null,
      notes: [],
      workload: {
        kind: 'score' as const,
        engine: { score: { top_k: s.top_k } },
        ...schedule(s),
        replicates: 1,
        axes: { dataset: dataset as Json, ...point },
      },
    };
  });
}

function firstPrompts(prompts: number | 'all'): { prompts?: number } {
  return prompts === 'all' ? {} : { prompts };
}

function schedule(w: Generate | Throughput | Score) {
  return {
    scheduler: w.scheduler,
    invariant: w.invariant,
    invariantRows: w.invariant_rows,
    seed: w.seed,
    ...(w.batch_sizes === undefined ? {} : { batches: [...new Set(w.batch_sizes)] }),
  };
}

const MEMORY_UNITS = { MB: 1e6, GB: 1e9, MiB: 2 ** 20, GiB: 2 ** 30 } as const;

function memoryBytes(text: string): number {
  const [, value, unit] = /^([\d.]+)\s*(MB|GB|MiB|GiB)$/.exec(text)!;
  return Math.round(Number(value) * MEMORY_UNITS[unit as keyof typeof MEMORY_UNITS]);
}

function engineSampling(sampling: 'greedy' | JsonObject): Sampling {
  if (sampling === 'greedy') return { greedy: true };
  const { replicates: _, ...rest } = sampling;
  return rest as unknown as Sampling;
}
