import type { View } from './view.ts';

/**
 * Quantiles are taken on times and turned into rates. The two speed-ups answer two questions: at the same batch size
 * (the algorithm), and each at its own largest one (the server).
 */
export const throughput: View = {
  name: 'throughput',
  comment: 'One row per (done cell of workload throughput, phase). Speed-ups are null for inert cells.',
  columns: {
    cell_key: 'key of the cell, hex',
    model: 'name of the model',
    compressor: 'method, or methods joined by +',
    label: 'short name of the compressor configuration',
    device: 'name of the GPU or CPU',
    batch_size: 'sequences at a time',
    prompt_tokens: 'tokens of each prompt',
    new_tokens: 'decode steps',
    phase: 'prefill (to the first token) or decode',
    repeats: 'timed runs',
    tok_s: 'tokens per second over all sequences, from the median time',
    tok_s_q25: 'from the 75 % quantile of the times: the slow side',
    tok_s_q75: 'from the 25 % quantile of the times: the fast side',
    times_ms: 'all raw times in the order of the runs',
    noisy: 'interquartile range of the times over 5 % of their median',
    drift:
      'relative change of the first baseline point of the group, timed again at the end; over 0.03 marks all its points',
    bound_ms: 'least time that the measured memory and arithmetic rates allow',
    of_bound: 'bound_ms over the median time',
    base_tok_s: 'tok_s of the baseline',
    s_same: 'speed-up at the same batch size: tok_s / base_tok_s',
    max_batch: 'largest batch size of this configuration that is done',
    tok_s_at_max: 'tok_s there',
    base_max_batch: 'largest batch size of the uncompressed model that is done',
    base_tok_s_at_max: 'its tok_s there',
    s_max: 'speed-up of own maxima: tok_s_at_max / base_tok_s_at_max',
    kept_mean: 'tokens held per sequence, mean over layers and kv heads',
    bytes_end: 'bytes of all caches at the end',
    bytes_peak: 'peak bytes of the engine',
    compressed: 'false: the compressor did not act; null for none',
  },
  text: `
    with medians as (
      select sweep_no, cell_no, phase, guard, percentile_cont(0.5) within group (order by seconds) as median
        from throughput_run
       group by sweep_no, cell_no, phase, guard
    ), drifts as (
      select c.sweep_no, c.group_no, g.phase, max(abs(g.median / m.median - 1)) as drift
        from medians g
        join medians m on m.sweep_no = g.sweep_no and m.cell_no = g.cell_no and m.phase = g.phase and not m.guard
        join cell c on c.sweep_no = g.sweep_no and c.cell_no = g.cell_no
       where g.guard
       group by c.sweep_no, c.group_no, g.phase
    ), timed as (
      select r.key, r.baseline_key, r.sweep_no, r.group_no, r.model, r.model_sha, r.compressor, r.label, r.effective, r.backend,
             r.invariant, r.run ->> 'scheduler' as scheduler, r.provenance #>> '{device,name}' as device,
             (r.run #>> '{workload,throughput,new_tokens}')::int as new_tokens, not_inert(r.compressor, r.summary) as compressed,
             t.phase, max(t.batch) as batch, max(t.prompt_tokens) as prompt_tokens, count(*) as repeats,
             max(t.tokens) as tokens, percentile_cont(array[0.25, 0.5, 0.75]) within group (order by t.seconds) as q,
             array_agg(t.seconds * 1000 order by t.repeat) as times,
             percentile_cont(0.5) within group (order by t.bound_s) as bound_s, max(t.kept_mean) as kept_mean,
             max(t.bytes_end) as bytes_end, max(t.peak_bytes) as bytes_peak
        from newest_run r
        join throughput_run t using (sweep_no, cell_no)
       where not t.guard
       group by r.key, r.baseline_key, r.sweep_no, r.group_no, r.model, r.model_sha, r.compressor, r.label, r.effective, r.backend,
                r.invariant, r.run, r.provenance, r.summary, t.phase
    ), rated as (
      select *, tokens / q[2] as tok_s from timed
    ), largest as (
      select distinct on (model_sha, effective, backend, invariant, scheduler, device, prompt_tokens, new_tokens, phase)
             model_sha, effective, backend, invariant, scheduler, device, prompt_tokens, new_tokens, phase, compressor,
             batch, tok_s
        from rated
       order by model_sha, effective, backend, invariant, scheduler, device, prompt_tokens, new_tokens, phase, batch desc
    )
    select encode(t.key, 'hex'), t.model, t.compressor, t.label, t.device, t.batch, t.prompt_tokens, t.new_tokens, t.phase,
           t.repeats, t.tok_s, t.tokens / t.q[3], t.tokens / t.q[1], t.times, (t.q[3] - t.q[1]) / t.q[2] > 0.05, d.drift,
           t.bound_s * 1000, t.bound_s / t.q[2], b.tok_s, case when t.compressed then t.tok_s / b.tok_s end,
           own.batch, own.tok_s, base.batch, base.tok_s, case when t.compressed then own.tok_s / base.tok_s end,
           t.kept_mean, t.bytes_end, t.bytes_peak, t.compressed
      from rated t
      left join rated b on b.key = t.baseline_key and b.phase = t.phase
      left join drifts d on d.sweep_no = t.sweep_no and d.group_no = t.group_no and d.phase = t.phase
      left join largest own
        on (own.model_sha, own.effective, own.backend, own.invariant, own.scheduler, own.prompt_tokens, own.new_tokens, own.phase)
         = (t.model_sha, t.effective, t.backend, t.invariant, t.scheduler, t.prompt_tokens, t.new_tokens, t.phase)
       and own.device is not distinct from t.device
      left join largest base
        on (base.model_sha, base.backend, base.invariant, base.scheduler, base.prompt_tokens, base.new_tokens, base.phase)
         = (t.model_sha, t.backend, t.invariant, t.scheduler, t.prompt_tokens, t.new_tokens, t.phase)
       and base.device is not distinct from t.device
       and base.compressor = 'none'`,
};
