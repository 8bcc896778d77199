import { latency as before } from '../000005/latency.ts';
import type { View } from '../000005/view.ts';

/** Measured columns stay as they were; what is modelled has names of its own (`mod_`). */
export const latency: View = {
  ...before,
  comment: `${before.comment} Columns mod_ are modelled from throughput cells of the same model, compressor, backend and device.`,
  columns: {
    ...before.columns,
    mod_batch_size: 'batch size of those throughput cells: the nearest to that of the cell that both methods have',
    mod_service_ms:
      'modelled: prompt tokens at the prefill rate of one sequence, plus decode steps at the step time there; linear in ' +
      'ln of the prompt length between two throughput points, null without any',
    mod_base_service_ms: 'the same for the uncompressed sample',
    mod_time_ratio: 'mod_service_ms / mod_base_service_ms',
  },
  text: `
    select encode(r.key, 'hex'), encode(b.key, 'hex'), r.compressor, r.label, p.key, y.rep::int,
           (y.queue_us + y.prefill_us + y.decode_us) / 1000.0::float8, (y.prefill_us + y.decode_us) / 1000.0::float8,
           (x.prefill_us + x.decode_us) / 1000.0::float8 * d.comparable,
           (y.prefill_us + y.decode_us)::float8 / nullif(x.prefill_us + x.decode_us, 0) * d.comparable,
           y.prefill_us / 1000.0::float8, x.prefill_us / 1000.0::float8 * d.comparable,
           y.decode_us / 1000.0::float8, x.decode_us / 1000.0::float8 * d.comparable, y.steps, x.steps,
           y.tpot, x.tpot * d.comparable, x.new_tokens, y.new_tokens,
           y.tpot < x.tpot * d.comparable and y.prefill_us + y.decode_us > (x.prefill_us + x.decode_us) * d.comparable,
           m.batch, modelled_ms(m.tokens, m.prefill_tok_s, m.tpot_ms, y.prompt_tokens, y.steps),
           modelled_ms(m.base_tokens, m.base_prefill_tok_s, m.base_tpot_ms, x.prompt_tokens, x.steps),
           modelled_ms(m.tokens, m.prefill_tok_s, m.tpot_ms, y.prompt_tokens, y.steps)
             / modelled_ms(m.base_tokens, m.base_prefill_tok_s, m.base_tpot_ms, x.prompt_tokens, x.steps)
      from newest_run r
      join newest_run b on b.key = r.baseline_key
     cross join lateral (
           select case when r.provenance #>> '{device,name}' is not distinct from b.provenance #>> '{device,name}'
                       then 1 end as comparable) d
      join lateral (${timed('r')}) y on true
      join lateral (${timed('b')}) x on x.sample_idx = y.sample_idx and x.rep = y.rep
      join prompt p on p.prompt_set = r.prompt_set and p.idx = y.sample_idx
      left join latency_model m on m.key = r.key
     where r.workload = 'generate' and not_inert(r.compressor, r.summary) and r.noise_kind is null
       and (x.prompt_sha = y.prompt_sha) is not false`,
};

/** Samples of a run with their decode steps and the time of one. */
export function timed(run: string): string {
  return `select s.sample_idx, s.rep, s.prompt_sha, s.prompt_tokens, s.new_tokens, s.queue_us, s.prefill_us, s.decode_us,
                   decode_steps(s.new_tokens, s.stop_id) as steps,
                   s.decode_us / 1000.0::float8 / nullif(greatest(decode_steps(s.new_tokens, s.stop_id), 0), 0) as tpot
              from sample s
             where s.sweep_no = ${run}.sweep_no and s.cell_no = ${run}.cell_no and s.finish <> 3`;
}

export const latencyAtMax: View = {
  name: 'e2e_latency_at_max',
  comment:
    'One row per compressed generate cell and cache limit, where both methods have throughput cells: what a request takes when ' +
    'each method serves its own largest batch. Lengths are measured, times (mod_) modelled from those throughput cells.',
  columns: {
    cell_key: 'key of the compressed cell whose answers are taken, hex',
    baseline_cell_key: 'key of its baseline, hex',
    compressor: 'method, or methods joined by +',
    label: 'short name of the compressor configuration',
    dataset: 'data set of the prompts',
    answers_batch_size: 'batch size at which the answers were generated',
    device: 'name of the GPU or CPU',
    cache_memory: 'bytes of cache and workspace that the throughput cells were allowed; null = what the engine chose',
    prompt_tokens:
      'prompt length of the throughput cells: of those that both methods have the nearest to the mean prompt',
    own_batch_size: 'largest batch of the compressed method there',
    base_batch_size: 'largest batch of the uncompressed model there',
    n: 'pairs of answers',
    y_answers_longer: 'measured: answers got so many times longer, in decode steps',
    mod_x_tokens_faster:
      'modelled: the tokens of one answer came so many times faster (under 1: the larger batch is slower)',
    mod_service_ratio: 'modelled: a request takes so many times as long',
    mod_prefill_ratio: 'modelled: its prefill takes so many times as long',
    mod_base_decode_share: 'modelled: share of decode in the service time of the baseline',
    mod_share_slower: 'modelled: share of requests that take longer',
    mod_requests_faster:
      'modelled: requests finished per second, as a multiple of the uncompressed model at its largest batch',
  },
  text: `
    with chosen as (
      select distinct on (r.key, own.memory_limit) r.key, own.memory_limit, own.prompt_tokens, own.device, own.batch,
             base.batch as base_batch
        from newest_run r
        join speed_largest own
          on own.model_sha = r.model_sha and own.effective = r.effective and own.backend = r.backend
         and own.device = coalesce(r.provenance #>> '{device,name}', '')
        join speed_largest base
          on base.model_sha = r.model_sha and base.compressor = 'none' and base.backend = r.backend and base.device = own.device
         and base.memory_limit is not distinct from own.memory_limit and base.prompt_tokens = own.prompt_tokens
       cross join lateral (
             select avg(s.prompt_tokens)::float8 as tokens from sample s where s.sweep_no = r.sweep_no and s.cell_no = r.cell_no) mean
       where r.workload = 'generate' and r.noise_kind is null and r.compressor <> 'none' and not_inert(r.compressor, r.summary)
       order by r.key, own.memory_limit, abs(ln(own.prompt_tokens / nullif(mean.tokens, 0))), own.prompt_tokens
    ), modelled as (
      select r.key, c.memory_limit, y.steps, x.steps as base_steps,
             1000 * y.prompt_tokens / at_tokens(o.tokens, o.prefill_tok_s, y.prompt_tokens) as prefill,
             1000 * x.prompt_tokens / at_tokens(n.tokens, n.prefill_tok_s, x.prompt_tokens) as base_prefill,
             greatest(y.steps, 0) * at_tokens(o.tokens, o.tpot_ms, y.prompt_tokens) as decode,
             greatest(x.steps, 0) * at_tokens(n.tokens, n.tpot_ms, x.prompt_tokens) as base_decode
        from chosen c
        join newest_run r on r.key = c.key
        join newest_run b on b.key = r.baseline_key
        join speed_curve o
          on o.model_sha = r.model_sha and o.effective = r.effective and o.backend = r.backend and o.device = c.device
         and o.batch = c.batch
        join speed_curve n
          on n.model_sha = r.model_sha and n.compressor = 'none' and n.backend = r.backend and n.device = c.device
         and n.batch = c.base_batch
        join lateral (${timed('r')}) y on true
        join lateral (${timed('b')}) x on x.sample_idx = y.sample_idx and x.rep = y.rep
       where (x.prompt_sha = y.prompt_sha) is not false
    ), summed as (
      select key, memory_limit, count(*) as n, sum(steps)::float8 as steps, sum(base_steps)::float8 as base_steps,
             sum(prefill) as prefill, sum(base_prefill) as base_prefill, sum(decode) as decode, sum(base_decode) as base_decode,
             avg((prefill + decode > base_prefill + base_decode)::int)::float8 as slower
        from modelled
       group by key, memory_limit
    )
    select encode(r.key, 'hex'), encode(r.baseline_key, 'hex'), r.compressor, r.label, r.dataset, r.batch, nullif(c.device, ''),
           c.memory_limit, c.prompt_tokens, c.batch, c.base_batch, s.n, s.steps / nullif(s.base_steps, 0),
           (s.steps / nullif(s.decode, 0)) / nullif(s.base_steps / nullif(s.base_decode, 0), 0),
           (s.prefill + s.decode) / (s.base_prefill + s.base_decode), s.prefill / s.base_prefill,
           s.base_decode / (s.base_prefill + s.base_decode), s.slower,
           (c.batch / (s.prefill + s.decode)) / (c.base_batch / (s.base_prefill + s.base_decode))
      from chosen c
      join summed s on s.key = c.key and s.memory_limit is not distinct from c.memory_limit
      join newest_run r on r.key = c.key`,
};
