import type { View } from './view.ts';

export const samples: View = {
  name: 'samples',
  comment: 'One row per sample: one prompt generated (or scored) under one cell.',
  columns: {
    cell_key: 'key of the cell, hex',
    prompt_key: 'data set and record id of the prompt',
    replicate: 'number of the replicate, 0 without sampling',
    seed: 'seed of its random draws',
    prompt_sha: 'sha256 over the token ids of the prompt as little-endian u32, hex',
    prompt_tokens_raw: 'tokens of the prompt before any cut',
    prompt_tokens: 'tokens of the prompt as it was run',
    truncated: 'the prompt was cut in the middle',
    new_tokens: 'length of the answer in tokens, without the end token; for score the tokens scored',
    finish: 'stop = complete; length, context = cut; error',
    stop_id: 'token id that ended the answer; null for a stop string or a cut',
    error_kind: 'kind of error, null if none',
    cap: 'most tokens that the answer could have',
    queue_ms: 'submitted to first prefill launch',
    prefill_ms: 'first prefill launch to first token',
    decode_ms: 'first to last token, the end token included',
    steps: 'decode steps',
    tpot_ms: 'decode time per step',
    kept_mean: 'tokens held in the cache at the end, mean over layers and kv heads',
    kept_min: 'the same, least',
    kept_max: 'the same, most',
    bytes_end: 'bytes of the cache at the end',
    bytes_peak: 'bytes of the cache at its peak',
    bytes_f16: 'bytes that an uncompressed f16 cache of as many tokens takes',
    text: 'the answer',
    tokens_sha: 'sha256 over the token ids of the answer as little-endian u32, hex',
    token_ids: 'token ids of the answer; for score the most probable id at each position',
  },
  text: `
    select encode(r.key, 'hex'), p.key, s.rep::int, s.seed, encode(s.prompt_sha, 'hex'), s.prompt_tokens_raw,
           s.prompt_tokens, s.truncated, s.new_tokens, finish_name(s.finish), s.stop_id, s.error_kind,
           coalesce(p.max_new_tokens, (r.run #>> '{workload,generate,max_new_tokens}')::int),
           s.queue_us / 1000.0::float8, s.prefill_us / 1000.0::float8, s.decode_us / 1000.0::float8,
           decode_steps(s.new_tokens, s.stop_id),
           s.decode_us / 1000.0::float8 / nullif(greatest(decode_steps(s.new_tokens, s.stop_id), 0), 0),
           s.kept_mean, s.kept_min, s.kept_max, s.bytes_end, s.bytes_peak, s.bytes_f16,
           convert_from(t.bytes, 'UTF8'), encode(s.out_sha, 'hex'), token_ids(o.bytes)
      from newest_run r
      join sample s using (sweep_no, cell_no)
      join prompt p on p.prompt_set = r.prompt_set and p.idx = s.sample_idx
      left join output t on t.sha = s.text_sha
      left join output o on o.sha = s.out_sha`,
};

export const kept: View = {
  name: 'kept',
  comment:
    'One row per (sample, layer, kv head) of cells run with trace: kept: which tokens the cache held at the end.',
  columns: {
    cell_key: 'key of the cell, hex',
    prompt_key: 'data set and record id of the prompt',
    replicate: 'number of the replicate',
    layer: 'layer, from 0',
    kv_head: 'kv head, from 0',
    seen: 'tokens that entered the cache',
    kept: 'tokens held at the end',
    positions: 'their positions, ascending',
  },
  text: `
    select encode(r.key, 'hex'), p.key, k.rep::int, l.layer, h.head, k.seen, cardinality(b.positions), b.positions
      from newest_run r
      join kept k using (sweep_no, cell_no)
      join prompt p on p.prompt_set = r.prompt_set and p.idx = k.sample_idx
     cross join lateral generate_series(0, k.layers - 1) as l (layer)
     cross join lateral generate_series(0, k.kv_heads - 1) as h (head)
     cross join lateral (
           select array(select at from generate_series(0, k.seen - 1) as at
                         where get_bit(k.bitmap, (8 * ((l.layer * k.kv_heads + h.head) * ((k.seen + 7) / 8)) + at)::bigint) = 1
                         order by at) as positions) b`,
};

export const perplexity: View = {
  name: 'perplexity',
  comment: 'One row per done cell of workload score: perplexity of given continuations, teacher-forced.',
  columns: {
    cell_key: 'key of the cell, hex',
    baseline_cell_key: 'key of its baseline, null if that is not done',
    n_samples: 'samples scored without an error',
    n_tokens: 'tokens scored',
    ppl: 'exp of the mean negative log-probability per token',
    top1: 'share of positions where the most probable token is the given one',
    base_ppl: 'perplexity of the baseline',
    delta: 'ln ppl - ln base_ppl over the prompts that both scored',
    delta_lo: 'lower end of its 95 % interval',
    delta_hi: 'upper end of its 95 % interval',
  },
  text: `
    with scored as (
      select r.key, s.sample_idx, s.rep, s.new_tokens as n, (s.extra ->> 'logprob_sum')::float8 as sum,
             (s.extra ->> 'n_match')::float8 as hits
        from newest_run r
        join sample s using (sweep_no, cell_no)
       where r.workload = 'score' and s.finish <> 3
    ), whole as (
      select key, count(*) as samples, sum(n) as n, exp(-sum(sum) / sum(n)) as ppl, sum(hits) / sum(n) filter (where hits is not null) as top1
        from scored
       group by key
    )
    select encode(r.key, 'hex'), encode(b.key, 'hex'), w.samples, w.n, w.ppl, w.top1, b.ppl, d.delta, e.lo, e.hi
      from newest_run r
      join whole w using (key)
      left join whole b on b.key = r.baseline_key
      left join lateral (
           select sum(base.sum) / sum(base.n) - sum(comp.sum) / sum(comp.n) as delta
             from scored base
             join scored comp using (sample_idx, rep)
            where base.key = r.baseline_key and comp.key = r.key) d on true
      left join estimate e on e.sweep_no = r.sweep_no and e.cell_no = r.cell_no and e.statistic = 'log_ppl'`,
};
