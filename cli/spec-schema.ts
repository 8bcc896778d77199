import { z } from 'zod';
import { checkDatasetRef, type DatasetRef, expandDatasetRef } from '../datasets/index.ts';

/**
 * The shape of a sweep spec. Only the shape: names and parameters of compressors are the engine's business
 * (`gpu-runner resolve`), files of data sets are checked by their loaders.
 */
const positive = z.int().min(1);
const memory = z.string().regex(/^\d+(\.\d+)?\s*(MB|GB|MiB|GiB)$/, 'write an amount of memory like 512MiB or 4GB');
const batchSizes = z.array(z.union([positive.max(4096), z.literal('max')])).min(1);
const listOf = <T extends z.ZodType>(item: T) => z.union([item, z.array(item).min(1)]);

const sampling = z.union([
  z.literal('greedy'),
  z.strictObject({
    temperature: z.number().gt(0).max(100),
    top_k: z.int().min(0).optional(),
    top_p: z.number().gt(0).max(1).optional(),
    min_p: z.number().min(0).max(1).optional(),
    replicates: positive.max(1000).optional(),
  }),
]);

/** A name, or a reference whose fields are checked here, where their line is known. */
const dataset = z.custom<string | { kind: string }>().superRefine((value: unknown, issues) => {
  const refuse = (message: string) => issues.addIssue({ code: 'custom', message });
  if (typeof value === 'string' && value !== '') return;
  if (typeof value !== 'object' || value === null || Array.isArray(value) || !('kind' in value)) {
    refuse('a data set is a name, or {kind: ..., ...}; `kvsweep datasets` lists both');
    return;
  }
  for (const ref of expandDatasetRef(value as Record<string, unknown>)) {
    const wrong = checkDatasetRef(ref as unknown as DatasetRef);
    if (wrong !== null) return refuse(wrong);
  }
});
const prompts = z.union([positive, z.literal('all')]);
const scheduler = z.enum(['static', 'continuous']);

const generateFields = z.strictObject({
  dataset,
  /** Instead of the batch sizes of the sweep. */
  batch_sizes: batchSizes.optional(),
  prompts,
  /** Longer or shorter prompts are passed over and counted. */
  max_prompt_chars: positive.optional(),
  min_prompt_tokens: positive.optional(),
  max_prompt_tokens: positive.optional(),
  /** May be left out if every prompt has a cap of its own (LongBench, GSM8K, generated tasks). */
  max_new_tokens: listOf(positive).optional(),
  min_new_tokens: z.int().min(0).default(0),
  sampling: listOf(sampling).default('greedy'),
  chat: z.boolean().default(true),
  date: z.string().optional(),
  truncate: z.enum(['none', 'middle', 'middle_retok']).default('middle'),
  /** Of `middle_retok`: ids of a text above which half of so many is kept from either end (LongBench's rule). */
  truncate_at: z.int().min(2).optional(),
  stop_ids: z.array(z.int().min(0)).default([]),
  stop_strings: z.array(z.string().min(1)).default([]),
  /** Run a chat model even if nothing that ends its turn is among the stop ids. */
  allow_no_eot: z.boolean().default(false),
  trace: z.array(z.enum(['kept', 'times'])).default([]),
  scheduler: scheduler.default('continuous'),
  invariant: z.boolean().default(true),
  invariant_rows: positive.default(64),
  seed: z.int().min(0).default(42),
});

const generate = generateFields.refine((g) => g.truncate_at === undefined || g.truncate === 'middle_retok', {
  path: ['truncate_at'],
  message: 'is a limit of truncate: middle_retok alone; write that, or leave it out',
});

const throughput = z.strictObject({
  batch_sizes: batchSizes.optional(),
  /** What cache and workspace may take: batch size `max` is the largest that fits into it. */
  cache_memory: memory.optional(),
  prompt_tokens: listOf(positive),
  new_tokens: listOf(positive).default(64),
  warmup: z.int().min(0).default(1),
  repeats: z.int().min(5, 'at least 5 repeats are needed for quartiles').default(5),
  scheduler: scheduler.default('static'),
  invariant: z.boolean().default(false),
  invariant_rows: positive.default(64),
  seed: z.int().min(0).default(42),
});

const score = z.strictObject({
  dataset,
  batch_sizes: batchSizes.optional(),
  prompts,
  prompt_tokens: listOf(positive),
  new_tokens: listOf(positive),
  top_k: positive.max(100).default(2),
  scheduler: scheduler.default('continuous'),
  invariant: z.boolean().default(true),
  invariant_rows: positive.default(64),
  seed: z.int().min(0).default(42),
});

const oneKey = 'one of generate, throughput or score';
const workload = z
  .strictObject({ generate: generate.optional(), throughput: throughput.optional(), score: score.optional() })
  .refine((w) => Object.values(w).filter((x) => x !== undefined).length === 1, `a workload holds exactly ${oneKey}`);

const model = z.union([
  z.string().min(1),
  z.strictObject({
    path: z.string().min(1),
    name: z.string().min(1).optional(),
    chat_template: z.string().min(1).optional(),
  }),
]);

const compressor = z.union([
  z.string().min(1),
  z
    .record(z.string(), z.union([z.record(z.string(), z.unknown()), z.array(z.unknown()), z.null()]))
    .refine((c) => Object.keys(c).length === 1, 'a compressor entry holds one name with its parameters'),
]);

/** '10%' or a count. */
const maxFailures = z.union([
  z.int().min(0),
  z.string().regex(/^\d+(\.\d+)?%$/, 'write a count or a percentage like 10%'),
]);
const duration = z.string().regex(/^\d+(\.\d+)?\s*(ms|s|m|h|d)$/, 'write a duration like 90s, 10m or 2h');

/** A sweep spec, version 1 (`README`, section on the spec). */
export const specSchema = z.strictObject({
  name: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/, 'use letters, digits, dot, dash and underscore, at most 100'),
  description: z.string().optional(),
  models: z.array(model).min(1),
  compressors: z.array(compressor).min(1),
  batch_sizes: batchSizes.default([1]),
  workloads: z.array(workload).min(1),
  /** Where artefacts of compressors (`calibration: auto`) come from. */
  calibration: z
    .strictObject({
      dataset: dataset.optional(),
      sequences: positive.max(4096).optional(),
      tokens: positive.optional(),
    })
    .optional(),
  baseline_replicates: z.int().min(0).max(10).default(1),
  /** Each compressed cell of a generate workload so often more, for negatives that do not hang on a single run. */
  compressor_replicates: z.int().min(0).max(10).default(0),
  backend: z.enum(['auto', 'cpu', 'cuda']).default('auto'),
  threads: positive.max(1024).optional(),
  limits: z
    .strictObject({ max_failures: maxFailures.default('10%'), cell_timeout: duration.default('2h') })
    .default({ max_failures: '10%', cell_timeout: '2h' }),
});

export type Spec = z.infer<typeof specSchema>;
export type SpecWorkload = Spec['workloads'][number];
