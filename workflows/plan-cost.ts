import type { CellRun } from './contracts.ts';

/**
 * Bytes of weights that a step may be expected to read per millisecond. Only the order of magnitude counts: it bounds
 * the length of groups and the patience of timeouts, and the recorded pace of such cells corrects what a user sees. Two
 * cores read 98 MB in 4 ms at best (README, "Measured"); a third of leeway for busy and older machines.
 */
const BYTES_PER_MS = { cpu: 16e6, cuda: 1.2e9 } as const;
/** What another sequence of the batch adds to a step, as a share of the step at batch 1. */
const ROW_SHARE = { cpu: 0.25, cuda: 0.01 } as const;
/** A token of prefill against a decode step. */
const PREFILL_SHARE = { cpu: 0.2, cuda: 0.005 } as const;
/** Prompt tokens of a `generate` sample before anything is tokenised. */
const GUESSED_PROMPT_TOKENS = 300;
const MAX_BATCH_GUESS = 32;

/** A rough time of one cell, ms, from the bytes of its weights. */
export function estimateCellMs(run: CellRun, weightBytes: number): number {
  const step = weightBytes / BYTES_PER_MS[run.backend];
  const batch = run.batch === 'max' ? MAX_BATCH_GUESS : run.batch;
  const stepOf = (rows: number) => step * (1 + ROW_SHARE[run.backend] * (rows - 1));
  const prefill = (tokens: number) => tokens * step * PREFILL_SHARE[run.backend];
  if ('throughput' in run.workload) {
    const t = run.workload.throughput;
    return Math.ceil((t.warmup + t.repeats) * (batch * prefill(t.prompt_tokens) + t.new_tokens * stepOf(batch)));
  }
  const samples = run.n_prompts * run.replicates;
  const rows = Math.min(batch, samples);
  const steps = 'generate' in run.workload ? run.workload.generate.max_new_tokens : GUESSED_PROMPT_TOKENS;
  return Math.ceil(samples * prefill(GUESSED_PROMPT_TOKENS) + (samples / rows) * steps * stepOf(rows));
}
