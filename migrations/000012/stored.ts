import type { View } from '../000005/view.ts';
import { SHOWN_RUN } from './newest.ts';

/** The stored half: what aggregation wrote, opened from its arrays. */
export const negativesSummary: View = {
  name: 'negatives_summary',
  comment:
    'One row per (cell, metric, task type, rule, theta of the grid): negatives beside their mirror image. Stored by ' +
    'aggregation; task type empty = all of the cell together. Inert cells are left out.',
  columns: {
    cell_key: 'key of the compressed (or noise) cell, hex',
    baseline_cell_key: 'key of the baseline, hex',
    compressor: 'method, or methods joined by +; none for a noise cell',
    label: 'short name of the compressor configuration',
    batch_size: 'sequences at a time',
    noise_kind: 'kind of the noise cell; null for a compressed one',
    dataset: 'data set of the prompts',
    task_type: 'kind of task; empty = all pairs of the cell',
    metric: 'name of the metric',
    variant: 'variant of the metric',
    rule: 'default, median, mean or artifact',
    theta: 'fraction by which the score has to fall',
    n: 'scored pairs',
    eligible: 'pairs whose uncompressed score reaches the threshold',
    negatives: 'eligible pairs whose score fell by theta or more',
    mirrored: 'the same with the two runs swapped: what noise alone would give',
    net: 'negatives - mirrored',
    p: 'exact two-sided binomial p of negatives among negatives + mirrored, of records counted once',
    robust: 'pairs that are negative whichever replicates are compared; null without replicates',
    stable: 'eligible pairs whose uncompressed runs agree within theta; null without replicates',
    noise_negatives: 'negatives between the baseline and its noise cell; null without one',
    threshold: "the baseline's threshold under the rule",
    mean_base: 'mean uncompressed score of the negatives',
    mean_score: 'mean compressed score of the negatives',
    base_runs: 'uncompressed runs of each prompt',
    runs: 'compressed runs of each prompt',
  },
  text: `
    select encode(r.key, 'hex'), encode(b.key, 'hex'), r.compressor, r.label, r.batch, r.noise_kind, r.dataset,
           n.task_type, n.metric, n.variant, (array['default', 'median', 'mean', 'artifact'])[g.rule],
           (array[1, 2, 4, 8, 10, 16, 24, 32])[g.theta]::float8 / 100,
           g.weight * n.n, g.weight * n.eligible[g.counted], g.weight * n.negatives[g.at], g.weight * n.mirrored[g.at],
           g.weight * (n.negatives[g.at] - n.mirrored[g.at]), n.p[g.at], g.weight * n.robust[g.at], g.weight * n.stable[g.at],
           g.weight * n.noise_negatives[g.at],
           case when g.rule = 3 then t.mean else t.median end, n.mean_base[g.at], n.mean_score[g.at],
           1 + cardinality(t.rep_cells), 1 + cardinality(n.twin_cells)
      from negative_summary n
      join cell r on r.sweep_no = n.sweep_no and r.cell_no = n.cell_no
      join cell b on b.sweep_no = n.base_sweep_no and b.cell_no = n.base_cell_no
      join negative_threshold t on t.sweep_no = n.base_sweep_no and t.cell_no = n.base_cell_no and t.metric = n.metric
       and t.variant = n.variant
     cross join lateral (
           select rule, theta, counted, 8 * (counted - 1) + theta as at,
                  case when rule = 4 and (r.dataset = 'passage_count' or r.dataset like '%/passage_count')
                       then 2 else 1 end as weight
             from (values (1, 1), (2, 2), (3, 3), (4, 2)) as rules (rule, counted), generate_series(1, 8) as theta) g
     where ${SHOWN_RUN}`,
};

export const negativeSets: View = {
  name: 'negative_sets',
  comment:
    'One row per (sample, metric, rule default, median or mean) that is negative or mirrored at theta 1 % or robust at any, ' +
    'from what aggregation stored: quick over many cells. Samples of 0 against 0, which median calls negative, are left out.',
  columns: {
    cell_key: 'key of the compressed (or noise) cell, hex',
    baseline_cell_key: 'key of the baseline, hex',
    compressor: 'method, or methods joined by +; none for a noise cell',
    label: 'short name of the compressor configuration',
    batch_size: 'sequences at a time',
    noise_kind: 'kind of the noise cell; null for a compressed one',
    dataset: 'data set of the prompt',
    task_type: 'task type of the prompt, if the data set has any',
    prompt_key: 'data set and record id of the prompt',
    replicate: 'number of the replicate',
    metric: 'name of the metric',
    variant: 'variant of the metric',
    rule: 'default, median or mean',
    base_score: 'score of the uncompressed answer',
    score: 'score of the compressed answer',
    negative_to: 'greatest theta of the grid at which it is negative, and it is at every smaller one; null = at none',
    mirrored_to: 'the same of mirrored',
    robust_at: 'thetas of the grid at which it is a robust negative; null without replicates',
  },
  text: `
    select encode(r.key, 'hex'), encode(b.key, 'hex'), r.compressor, r.label, r.batch, r.noise_kind, r.dataset, p.task_type,
           p.key, coalesce(s.rep, 0)::int, n.metric, n.variant, g.rule, x.score, o.score,
           (array[1, 2, 4, 8, 10, 16, 24, 32])[l.down]::float8 / 100, (array[1, 2, 4, 8, 10, 16, 24, 32])[l.up]::float8 / 100,
           case when s.robust is not null
                then array(select percent::float8 / 100
                             from unnest(array[1, 2, 4, 8, 10, 16, 24, 32]) with ordinality as q (percent, t)
                            where (s.robust >> (8 * (g.no - 1) + t::int - 1)) & 1 = 1
                            order by t) end
      from negative_set n
      join cell r on r.sweep_no = n.sweep_no and r.cell_no = n.cell_no
      join negative_summary m on m.sweep_no = n.sweep_no and m.cell_no = n.cell_no and m.metric = n.metric
       and m.variant = n.variant and m.task_type = ''
      join cell b on b.sweep_no = m.base_sweep_no and b.cell_no = m.base_cell_no
     cross join lateral unnest(n.sample_idx, n.rep, n.levels, n.robust) as s (sample_idx, rep, levels, robust)
      join prompt p on p.prompt_set = r.prompt_set and p.idx = s.sample_idx
      left join score o on o.sweep_no = n.sweep_no and o.cell_no = n.cell_no and o.sample_idx = s.sample_idx
       and o.rep = coalesce(s.rep, 0) and o.metric = n.metric and o.variant = n.variant
      left join score x on x.sweep_no = b.sweep_no and x.cell_no = b.cell_no and x.sample_idx = s.sample_idx
       and x.rep = coalesce(s.rep, 0) and x.metric = n.metric and x.variant = n.variant
     cross join (values (1, 'default'), (2, 'median'), (3, 'mean')) as g (no, rule)
     cross join lateral (
           select (s.levels >> (4 * (g.no - 1))) & 15 as down, (s.levels >> (4 * (g.no + 2))) & 15 as up,
                  (coalesce(s.robust, 0) >> (8 * (g.no - 1))) & 255 as robust) l
     where (l.down > 0 or l.up > 0 or l.robust > 0)
       and ${SHOWN_RUN}`,
};
