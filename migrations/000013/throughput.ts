import { throughput as before } from '../000005/throughput.ts';
import type { View } from '../000005/view.ts';

/**
 * Cells that searched their largest batch (`batch_sizes: [max]`) join in: two of them are compared at equal batch only if the
 * searches ended at one, and own maxima are those of one memory limit.
 */
export const throughput: View = {
  ...before,
  columns: {
    ...before.columns,
    base_tok_s: 'tok_s of the baseline at the same batch size',
    max_batch:
      'largest batch size of this configuration within the same memory: what its search found, else the largest that is done',
    base_max_batch: 'the same of the uncompressed model',
    searched: 'true: the batch size is the largest that fitted, found by a search',
    cache_memory: 'bytes of cache and workspace that the engine was allowed; null = what the engine chose',
  },
  text: [
    [
      `r.run ->> 'scheduler' as scheduler,`,
      `r.run ->> 'scheduler' as scheduler, (r.run ->> 'memory_limit')::bigint as memory, r.run ->> 'batch' = 'max' as searched,`,
    ],
    [
      `select distinct on (model_sha, effective, backend, invariant, scheduler, device, prompt_tokens, new_tokens, phase)
             model_sha, effective, backend, invariant, scheduler, device, prompt_tokens,`,
      `select distinct on (model_sha, effective, backend, invariant, scheduler, device, memory, prompt_tokens, new_tokens, phase)
             model_sha, effective, backend, invariant, scheduler, device, memory, prompt_tokens,`,
    ],
    [
      `order by model_sha, effective, backend, invariant, scheduler, device, prompt_tokens, new_tokens, phase, batch desc`,
      `order by model_sha, effective, backend, invariant, scheduler, device, memory, prompt_tokens, new_tokens, phase,
                searched desc, batch desc`,
    ],
    [`t.bytes_peak, t.compressed\n`, `t.bytes_peak, t.compressed, t.searched, t.memory\n`],
    [`b.phase = t.phase\n`, `b.phase = t.phase and b.batch = t.batch\n`],
    [
      `and own.device is not distinct from t.device`,
      `and own.device is not distinct from t.device and own.memory is not distinct from t.memory`,
    ],
    [
      `and base.device is not distinct from t.device`,
      `and base.device is not distinct from t.device and base.memory is not distinct from t.memory`,
    ],
  ].reduce((text, [from, to]) => replaced(text, from!, to!), before.text),
};

/** A text that is not found would leave the view as it was, without a word. */
function replaced(text: string, from: string, to: string): string {
  if (!text.includes(from)) throw new Error(`the text of the view has no "${from}"`);
  return text.replace(from, to);
}
