import type { View } from './view.ts';

export const lengthShift: View = {
  name: 'length_shift',
  comment:
    'One row per pair of a baseline sample and a sample of a compressed or a noise cell: D = (l_base - l_comp) / l_base; ' +
    'D < 0 = the compressed answer is longer. Cells whose compressor did not act are left out.',
  columns: {
    cell_key: 'key of the compressed (or noise) cell, hex',
    baseline_cell_key: 'key of the baseline, hex',
    compressor: 'method, or methods joined by +; none for a noise cell',
    label: 'short name of the compressor configuration',
    noise_kind: 'kind of the noise cell; null for a compressed one',
    dataset: 'data set of the prompt',
    task_type: 'task type of the prompt, if the data set has any',
    prompt_key: 'data set and record id of the prompt',
    replicate: 'number of the replicate',
    l_base: 'tokens of the uncompressed answer',
    l_comp: 'tokens of the compressed answer',
    d: 'D; null if the uncompressed answer is empty',
    d_lo: 'least value that the true D can have, given that answers were cut',
    d_hi: 'greatest value that the true D can have',
    censor: 'which side was cut: none, comp, base, both',
    same: 'token ids are identical',
    first_diff: 'length of the common prefix in tokens; null if identical',
    stop_missed: 'the whole uncompressed answer is a proper prefix: the compressed one missed the end',
    stop_early: 'the whole compressed answer is a proper prefix: it ended early',
    beyond_noise: '|D| is over the 95 % quantile of |D| between uncompressed runs; null without a noise cell',
  },
  text: `
    select encode(r.key, 'hex'), encode(b.key, 'hex'), r.compressor, r.label, r.noise_kind, r.dataset, p.task_type, p.key, l.rep::int,
           l.l_base, l.l_comp, l.d, l.d_lo, l.d_hi, l.censor, l.same, l.first_diff, l.stop_missed, l.stop_early, l.beyond_noise
      from newest_run r
      join length_shift l using (sweep_no, cell_no)
      join cell b on b.sweep_no = l.base_sweep_no and b.cell_no = l.base_cell_no
      join prompt p on p.prompt_set = r.prompt_set and p.idx = l.sample_idx
     where not_inert(r.compressor, r.summary) is not false`,
};

/** Shares over pairs with a D; their n stands beside them. Used by the summary and by the noise floor alike. */
const SHARES = `
    select l.cell_key, l.baseline_cell_key, l.noise_kind, count(l.d) as n, count(*) - count(l.d) as n_undefined,
           avg((abs(l.d) > 0.5)::int)::float8 as share_gt50,
           avg((l.d <= -0.5)::int)::float8 as share_longer50,
           (count(*) filter (where l.d is not null and l.d_hi <= -0.5))::float8 / nullif(count(l.d), 0) as share_longer50_lo,
           (count(*) filter (where l.d is not null and l.d_lo <= -0.5))::float8 / nullif(count(l.d), 0) as share_longer50_hi,
           avg((l.d >= 0.5)::int)::float8 as share_shorter50,
           (avg(l.same::int) filter (where l.d is not null))::float8 as share_same,
           avg((abs(l.d) <= 0.05)::int)::float8 as share_near,
           percentile_cont(array[0.05, 0.25, 0.5, 0.75, 0.95]) within group (order by l.d) as q,
           percentile_cont(0.95) within group (order by abs(l.d)) as abs_d95,
           (sum(l.l_comp) filter (where l.d is not null))::float8
             / nullif(sum(l.l_base) filter (where l.d is not null), 0) as ratio_of_means,
           exp(avg(ln(l.l_comp::float8 / l.l_base)) filter (where l.l_comp > 0 and l.l_base > 0)) as geo_ratio,
           (avg((l.censor in ('base', 'both'))::int) filter (where l.d is not null))::float8 as censored_base,
           (avg((l.censor in ('comp', 'both'))::int) filter (where l.d is not null))::float8 as censored_comp
      from kv.length_shift l
     group by l.cell_key, l.baseline_cell_key, l.noise_kind`;

export const lengthShiftSummary: View = {
  name: 'length_shift_summary',
  comment: 'One row per compressed cell with pairs: the distribution of D, its noise floor and the excess over it.',
  columns: {
    cell_key: 'key of the compressed cell, hex',
    baseline_cell_key: 'key of the baseline, hex',
    compressor: 'method, or methods joined by +',
    label: 'short name of the compressor configuration',
    batch_size: 'sequences at a time',
    dataset: 'data set of the prompts',
    n: 'pairs with a D',
    n_undefined: 'pairs whose uncompressed answer is empty',
    n_missing: 'pairs with an errored or missing side, left out',
    n_mismatch: 'pairs whose prompts differ in token ids, left out',
    share_gt50: 'share of |D| > 0.5',
    share_longer50: 'share of D <= -0.5: at least half as long again',
    share_longer50_lo: 'least value of that share, given that answers were cut',
    share_longer50_hi: 'greatest value of that share',
    share_shorter50: 'share of D >= 0.5',
    share_same: 'share of identical answers',
    share_near: 'share of |D| <= 0.05',
    q05: '5 % quantile of D',
    q25: '25 % quantile of D',
    q50: 'median of D',
    q75: '75 % quantile of D',
    q95: '95 % quantile of D',
    ratio_of_means: 'tokens of all compressed answers over tokens of all uncompressed ones',
    geo_ratio: 'geometric mean of l_comp / l_base',
    median_ratio: '1 - median of D',
    censored_base: 'share of uncompressed answers that were cut',
    censored_comp: 'share of compressed answers that were cut',
    noise_longer50: 'share of D <= -0.5 between uncompressed runs; null if the noise floor was not measured',
    excess_longer50: 'share_longer50 - noise_longer50',
    excess_p: 'one-sided p value of that excess',
  },
  text: `
    with shares as (${SHARES}
    ), noise as (
      select baseline_cell_key, sum(share_longer50 * n) / nullif(sum(n), 0) as longer50
        from shares
       where noise_kind <> 'rerun'
       group by baseline_cell_key
    )
    select s.cell_key, s.baseline_cell_key, r.compressor, r.label, r.batch, r.dataset, s.n, s.n_undefined, m.missing,
           m.mismatch, s.share_gt50, s.share_longer50, s.share_longer50_lo, s.share_longer50_hi, s.share_shorter50,
           s.share_same, s.share_near, s.q[1], s.q[2], s.q[3], s.q[4], s.q[5], s.ratio_of_means, s.geo_ratio, 1 - s.q[3],
           s.censored_base, s.censored_comp, n.longer50, s.share_longer50 - n.longer50, e.p
      from shares s
      join newest_run r on r.key = decode(s.cell_key, 'hex')
      join newest_run b on b.key = decode(s.baseline_cell_key, 'hex')
      left join noise n on n.baseline_cell_key = s.baseline_cell_key
      left join estimate e on e.sweep_no = r.sweep_no and e.cell_no = r.cell_no and e.statistic = 'excess_share_longer50'
      left join lateral (
           select count(*) filter (where x.finish is null or y.finish is null or x.finish = 3 or y.finish = 3) as missing,
                  count(*) filter (where x.finish <> 3 and y.finish <> 3 and x.prompt_sha <> y.prompt_sha) as mismatch
             from (select * from sample where sweep_no = b.sweep_no and cell_no = b.cell_no) x
             full join (select * from sample where sweep_no = r.sweep_no and cell_no = r.cell_no) y
                    on y.sample_idx = x.sample_idx and y.rep = x.rep) m on true
     where s.noise_kind is null`,
};

export const noiseFloor: View = {
  name: 'noise_floor',
  comment: 'One row per (baseline, noise cell): what a length difference means without a compressor.',
  columns: {
    baseline_cell_key: 'key of the baseline, hex',
    noise_cell_key: 'key of the noise cell, hex',
    noise_kind: 'what was changed: seed, batch, backend, or rerun (nothing: a check, any difference is a bug)',
    n: 'pairs with a D',
    share_same: 'share of identical answers',
    noise_d95: '95 % quantile of |D|',
    share_gt50: 'share of |D| > 0.5',
    share_longer50: 'share of D <= -0.5',
    share_shorter50: 'share of D >= 0.5',
  },
  text: `
    with shares as (${SHARES}
    )
    select baseline_cell_key, cell_key, noise_kind, n, share_same, abs_d95, share_gt50, share_longer50, share_shorter50
      from shares
     where noise_kind is not null`,
};
