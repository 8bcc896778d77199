import type { View } from './view.ts';

export const latency: View = {
  name: 'e2e_latency',
  comment:
    'One row per pair of a baseline sample and a compressed one, both without an error and with the same prompt. Times ' +
    'are null if the two cells ran on different devices.',
  columns: {
    cell_key: 'key of the compressed cell, hex',
    baseline_cell_key: 'key of the baseline, hex',
    compressor: 'method, or methods joined by +',
    label: 'short name of the compressor configuration',
    prompt_key: 'data set and record id of the prompt',
    replicate: 'number of the replicate',
    e2e_ms: 'queue + prefill + decode of the compressed sample',
    service_ms: 'prefill + decode of the compressed sample',
    base_service_ms: 'prefill + decode of the uncompressed sample',
    time_ratio: 'service_ms / base_service_ms: over 1 = the request got slower',
    prefill_ms: 'prefill of the compressed sample',
    base_prefill_ms: 'prefill of the uncompressed sample',
    decode_ms: 'decode of the compressed sample',
    base_decode_ms: 'decode of the uncompressed sample',
    steps: 'decode steps of the compressed sample',
    base_steps: 'decode steps of the uncompressed sample',
    tpot_ms: 'decode time per step of the compressed sample',
    base_tpot_ms: 'decode time per step of the uncompressed sample',
    l_base: 'tokens of the uncompressed answer',
    l_comp: 'tokens of the compressed answer',
    paradox: 'tokens came faster and yet the request got slower',
  },
  text: `
    with timed as (
      select r.key, r.baseline_key, r.compressor, r.label, r.provenance #>> '{device,name}' as device, r.prompt_set, s.sample_idx, s.rep,
             s.prompt_sha, s.new_tokens, s.queue_us, s.prefill_us, s.decode_us, decode_steps(s.new_tokens, s.stop_id) as steps,
             s.decode_us / 1000.0::float8 / nullif(greatest(decode_steps(s.new_tokens, s.stop_id), 0), 0) as tpot,
             r.noise_kind, not_inert(r.compressor, r.summary) as compressed
        from newest_run r
        join sample s using (sweep_no, cell_no)
       where r.workload = 'generate' and s.finish <> 3
    )
    select encode(c.key, 'hex'), encode(b.key, 'hex'), c.compressor, c.label, p.key, c.rep::int,
           (c.queue_us + c.prefill_us + c.decode_us) / 1000.0::float8, (c.prefill_us + c.decode_us) / 1000.0::float8,
           (b.prefill_us + b.decode_us) / 1000.0::float8,
           (c.prefill_us + c.decode_us)::float8 / nullif(b.prefill_us + b.decode_us, 0),
           c.prefill_us / 1000.0::float8, b.prefill_us / 1000.0::float8,
           c.decode_us / 1000.0::float8, b.decode_us / 1000.0::float8, c.steps, b.steps, c.tpot, b.tpot,
           b.new_tokens, c.new_tokens,
           c.tpot < b.tpot and c.prefill_us + c.decode_us > b.prefill_us + b.decode_us
      from timed c
      join (select key, device, sample_idx, rep, new_tokens, prompt_sha, steps, queue_us, prefill_us, decode_us, tpot
              from timed) base on base.key = c.baseline_key and base.sample_idx = c.sample_idx and base.rep = c.rep
                              and base.prompt_sha is not distinct from coalesce(c.prompt_sha, base.prompt_sha)
      left join lateral (
           select base.key, base.new_tokens, base.steps,
                  case when base.device is not distinct from c.device then base.prefill_us end as prefill_us,
                  case when base.device is not distinct from c.device then base.decode_us end as decode_us,
                  case when base.device is not distinct from c.device then base.tpot end as tpot) b on true
      join prompt p on p.prompt_set = c.prompt_set and p.idx = c.sample_idx
     where c.compressed and c.noise_kind is null`,
};

export const latencySummary: View = {
  name: 'e2e_latency_summary',
  comment:
    'One row per compressed cell with pairs. With w the decode share of the baseline: service_ratio = ' +
    'w * y_answers_longer / x_tokens_faster + (1 - w) * prefill_ratio, exactly.',
  columns: {
    cell_key: 'key of the compressed cell, hex',
    baseline_cell_key: 'key of the baseline, hex',
    compressor: 'method, or methods joined by +',
    label: 'short name of the compressor configuration',
    batch_size: 'sequences at a time',
    n: 'pairs with times',
    x_tokens_faster: 'tokens came so many times faster',
    y_answers_longer: 'answers got so many times longer, in decode steps',
    service_ratio: 'requests took so many times as long',
    prefill_ratio: 'prefill took so many times as long',
    base_decode_share: 'w: share of decode in the service time of the baseline',
    share_slower: 'share of requests with time_ratio > 1',
    share_paradox: 'share of requests whose tokens came faster and that yet got slower',
    ratio_p50: 'median of time_ratio',
    ratio_p95: '95 % quantile of time_ratio',
  },
  text: `
    with summed as (
      select cell_key, baseline_cell_key, count(time_ratio) as n, sum(prefill_ms) as pc, sum(base_prefill_ms) as pb,
             sum(decode_ms) as dc, sum(base_decode_ms) as db, sum(steps)::float8 as sc, sum(base_steps)::float8 as sb,
             avg((time_ratio > 1)::int)::float8 as slower, avg(paradox::int)::float8 as paradox,
             percentile_cont(array[0.5, 0.95]) within group (order by time_ratio) as q
        from kv.e2e_latency
       where time_ratio is not null
       group by cell_key, baseline_cell_key
    )
    select t.cell_key, t.baseline_cell_key, r.compressor, r.label, r.batch, t.n,
           (t.sc / nullif(t.dc, 0)) / nullif(t.sb / nullif(t.db, 0), 0), t.sc / nullif(t.sb, 0),
           (t.pc + t.dc) / nullif(t.pb + t.db, 0), t.pc / nullif(t.pb, 0), t.db / nullif(t.pb + t.db, 0),
           t.slower, t.paradox, t.q[1], t.q[2]
      from summed t
      join newest_run r on r.key = decode(t.cell_key, 'hex')`,
};
