import { perplexity as before } from '../000005/samples.ts';
import type { View } from '../000005/view.ts';

/** A cell whose compressor acted in no sample is compared with nothing. */
export const perplexity: View = {
  ...before,
  comment:
    'One row per done cell of workload score: perplexity of given continuations, teacher-forced. Inert cells have no delta.',
  columns: { ...before.columns, compressed: 'false: the compressor acted in no sample (inert); null for none' },
  text: before.text.replace(
    'b.ppl, d.delta, e.lo, e.hi',
    `b.ppl, case when not_inert(r.compressor, r.summary) is not false then d.delta end,
           case when not_inert(r.compressor, r.summary) is not false then e.lo end,
           case when not_inert(r.compressor, r.summary) is not false then e.hi end, not_inert(r.compressor, r.summary)`,
  ),
};

export const scores: View = {
  name: 'scores',
  comment:
    'One row per (sample, metric): answers held against their references. Written by the aggregation of a sweep.',
  columns: {
    cell_key: 'key of the cell, hex',
    prompt_key: 'data set and record id of the prompt',
    replicate: 'number of the replicate',
    dataset: 'data set of the prompt',
    task_type: 'kind of task, null if the data set has none',
    metric: 'name of the metric',
    variant: 'variant of the metric, empty if it has one form',
    scorer_version: 'version of the code that computed it',
    score: 'from 0 to 1',
    ref_index: 'index of the reference that won; null if the references are one answer together',
  },
  text: `
    select encode(r.key, 'hex'), p.key, s.rep::int, r.dataset, p.task_type, s.metric, s.variant, s.scorer_version, s.score,
           s.ref_index
      from newest_run r
      join score s using (sweep_no, cell_no)
      join prompt p on p.prompt_set = r.prompt_set and p.idx = s.sample_idx`,
};

export const scoreSummary: View = {
  name: 'score_summary',
  comment:
    'One row per (cell, metric): its mean score, and that of its baseline on the same samples. Inert cells are not compared.',
  columns: {
    cell_key: 'key of the cell, hex',
    baseline_cell_key: 'key of its baseline, null if that is not done or the cell is inert',
    compressor: 'method, or methods joined by +',
    label: 'short name of the compressor configuration',
    batch_size: 'sequences at a time',
    dataset: 'data set of the prompts',
    metric: 'name of the metric',
    variant: 'variant of the metric',
    n: 'samples with a score',
    score: 'mean score',
    n_pairs: 'samples that the baseline has a score of too',
    base_score: 'mean score of the baseline over those pairs',
    delta: 'mean of score - score of the baseline over the pairs',
    n_worse: 'pairs with a lower score than the baseline',
    n_better: 'pairs with a higher score than the baseline',
    compressed: 'false: the compressor acted in no sample (inert); null for none',
  },
  text: `
    with scored as (
      select r.key, s.sample_idx, s.rep, s.metric, s.variant, s.score
        from newest_run r
        join score s using (sweep_no, cell_no)
    ), own as (
      select key, metric, variant, count(*) as n, avg(score) as score from scored group by key, metric, variant
    )
    select encode(r.key, 'hex'), encode(b.key, 'hex'), r.compressor, r.label, r.batch, r.dataset, own.metric, own.variant,
           own.n, own.score, pair.n, pair.base, pair.delta, pair.worse, pair.better, not_inert(r.compressor, r.summary)
      from own
      join newest_run r using (key)
      left join newest_run b on b.key = r.baseline_key and not_inert(r.compressor, r.summary) is not false
      left join lateral (
           select count(*) as n, avg(base.score) as base, avg(comp.score - base.score) as delta,
                  count(*) filter (where comp.score < base.score) as worse,
                  count(*) filter (where comp.score > base.score) as better
             from scored comp
             join scored base using (sample_idx, rep, metric, variant)
            where comp.key = r.key and base.key = b.key and comp.metric = own.metric and comp.variant = own.variant) pair
             on b.key is not null`,
};

export const calibrations: View = {
  name: 'calibrations',
  comment: 'One row per calibration artefact that was made: which model, method and tokens it belongs to.',
  columns: {
    calibration_key: 'sha256 of all that the artefact depends on, hex',
    artefact_sha: 'sha256 of the artefact, hex: what a cell names',
    compressor: 'method that the artefact is for',
    parameters: 'parameters that it was made with',
    model_sha: 'sha256 of the model file, hex',
    token_set_sha: 'sha256 of the token set, hex',
    token_set: 'data set of the tokens',
    n_sequences: 'sequences of the token set',
    numerics: 'numerics version of the engine that made it',
    bytes: 'size of the artefact',
    made_at: 'when',
  },
  text: `
    select encode(c.key, 'hex'), encode(c.artefact_sha, 'hex'), c.compressor, c.parameters, encode(c.model_sha, 'hex'),
           encode(c.token_set, 'hex'), t.dataset, t.size, c.numerics, octet_length(a.bytes), c.made_at
      from calibration c
      join artefact a on a.sha = c.artefact_sha
      join prompt_set t on t.sha = c.token_set`,
};
