import type { View } from '../000005/view.ts';
import { SHOWN_RUN } from './newest.ts';

/**
 * The live half: everything is computed from the scores, against thresholds that aggregation keeps. A pair carries no
 * theta and no rule; `kv.negative_rows` and `kv.negatives` put these to it.
 */
export const negativePairs: View = {
  name: 'negative_pairs',
  comment:
    'One row per scored pair of a baseline sample and a sample of a compressed or a noise cell: both scores, the thresholds ' +
    'of the baseline, and what replicates say. Inert cells and replicates of compressed cells are left out.',
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
    base_score: 'score of the uncompressed answer',
    score: 'score of the compressed answer',
    median: "median of the baseline's scores",
    mean: "mean of the baseline's scores",
    weight: 'how often rule artifact counts the record: 2 in passage_count, else 1',
    base_min: 'least score over the uncompressed runs; null with fewer than two of them',
    base_max: 'greatest score over the uncompressed runs',
    base_mean: 'mean score over the uncompressed runs',
    score_max: 'greatest score over the compressed runs',
    robust_median: 'median of base_mean over the records',
    robust_mean: 'mean of base_mean over the records',
  },
  // The sums over replicates go in a fixed order, so that they end in the same bits as the stored thresholds.
  text: `
    select encode(r.key, 'hex'), encode(b.key, 'hex'), r.compressor, r.label, r.batch, r.noise_kind, r.dataset,
           p.task_type, p.key, c.rep::int, c.metric, c.variant, x.score, c.score, t.median, t.mean,
           case when r.dataset = 'passage_count' or r.dataset like '%/passage_count' then 2 else 1 end,
           k.base_min, k.base_max, k.base_mean, case when k.base_mean is not null then v.score_max end,
           case when k.base_mean is not null then t.robust_median end, case when k.base_mean is not null then t.robust_mean end
      from negative_summary n
      join cell r on r.sweep_no = n.sweep_no and r.cell_no = n.cell_no
      join cell b on b.sweep_no = n.base_sweep_no and b.cell_no = n.base_cell_no
      join negative_threshold t on t.sweep_no = n.base_sweep_no and t.cell_no = n.base_cell_no and t.metric = n.metric
       and t.variant = n.variant
      join score c on c.sweep_no = n.sweep_no and c.cell_no = n.cell_no and c.metric = n.metric and c.variant = n.variant
      join score x on x.sweep_no = n.base_sweep_no and x.cell_no = n.base_cell_no and x.sample_idx = c.sample_idx
       and x.rep = c.rep and x.metric = n.metric and x.variant = n.variant
      join prompt p on p.prompt_set = r.prompt_set and p.idx = c.sample_idx
      left join lateral (
           select min(s.score) as base_min, max(s.score) as base_max, avg(s.score order by u.no, s.rep) as base_mean
             from unnest(t.sweep_no || t.rep_sweeps, t.cell_no || t.rep_cells) with ordinality as u (sweep_no, cell_no, no)
             join score s on s.sweep_no = u.sweep_no and s.cell_no = u.cell_no and s.sample_idx = c.sample_idx
              and s.metric = c.metric and s.variant = c.variant
           having count(*) >= 2) k on t.robust_median is not null and r.noise_kind is null
      left join lateral (
           select max(s.score) as score_max
             from unnest(r.sweep_no || n.twin_sweeps, r.cell_no || n.twin_cells) as u (sweep_no, cell_no)
             join score s on s.sweep_no = u.sweep_no and s.cell_no = u.cell_no and s.sample_idx = c.sample_idx
              and s.metric = c.metric and s.variant = c.variant) v on k.base_mean is not null
     where n.task_type = '' and ${SHOWN_RUN}`,
};

/** Columns of `kv.negatives` and of `kv.negative_rows` that the pair has already. */
const OF_PAIR = [
  'cell_key',
  'baseline_cell_key',
  'compressor',
  'label',
  'batch_size',
  'noise_kind',
  'dataset',
  'task_type',
  'prompt_key',
  'replicate',
  'metric',
  'variant',
] as const;
const SCORES = ['base_score', 'score'] as const;

/** What a theta and a rule make of a pair; the comparisons stand in the one agreed form. */
function judged(theta: string, rule: string): string {
  return `
           e.threshold, e.eligible, e.eligible and not (p.base_score * (1 - ${theta}) < p.score),
           p.score >= e.threshold and (${rule} <> 'default' or p.score > 0)
             and not (p.score * (1 - ${theta}) < p.base_score),
           not (p.base_max * (1 - ${theta}) > p.base_min),
           p.base_mean >= e.robust and (${rule} <> 'default' or p.base_mean > 0)
             and not (p.base_max * (1 - ${theta}) > p.base_min) and not (p.base_min * (1 - ${theta}) < p.score_max),
           case when ${rule} = 'artifact' then p.weight else 1 end`;
}

function limits(rule: string): string {
  return `
     cross join lateral (
           select case when ${rule} = 'mean' then p.mean else p.median end as threshold,
                  case when ${rule} = 'mean' then p.robust_mean else p.robust_median end as robust,
                  p.base_score >= case when ${rule} = 'mean' then p.mean else p.median end
                    and (${rule} <> 'default' or p.base_score > 0) as eligible) e`;
}

const ofPair = [...OF_PAIR, ...SCORES].map((column) => `p.${column}`).join(', ');

const JUDGED = {
  threshold: 'score of the baseline from which a record is eligible',
  eligible: 'base_score >= threshold (and > 0 under default)',
  negative: 'eligible, and the score fell by theta or more',
  mirrored: 'the same with the two runs swapped: what noise alone would give',
  stable: 'the uncompressed runs agree within theta; null without replicates',
  robust_negative: 'negative whichever replicates are compared; null without replicates',
  weight: 'how often the rule counts the record in sums: 2 in passage_count under artifact, else 1',
} as const;

const pick = (names: readonly string[]): Record<string, string> =>
  Object.fromEntries(names.map((name) => [name, negativePairs.columns[name]!]));

export const negatives: View = {
  name: 'negatives',
  comment:
    'One row per (scored pair, theta of the grid, rule). For other thetas: kv.negative_rows(theta, rule). For sums over many ' +
    'cells: kv.negatives_summary.',
  columns: {
    ...pick(OF_PAIR),
    theta: 'fraction by which the score has to fall: 0.01, 0.02, 0.04, 0.08, 0.1, 0.16, 0.24, 0.32',
    rule: 'default, median, mean or artifact',
    ...pick(SCORES),
    ...JUDGED,
  },
  text: `
    select ${OF_PAIR.map((column) => `p.${column}`).join(', ')}, g.theta, g.rule, p.base_score, p.score, ${judged('g.theta', 'g.rule')}
      from kv.negative_pairs p
     cross join (
           select percent::float8 / 100 as theta, rule
             from unnest(array[1, 2, 4, 8, 10, 16, 24, 32]) as percent,
                  unnest(array['default', 'median', 'mean', 'artifact']) as rule) g ${limits('g.rule')}`,
};

/**
 * Any theta. In plain SQL, not strict and with the caller's rights, so that Postgres opens it into the query and filters
 * reach the tables.
 */
export const NEGATIVE_ROWS = `
    create function kv.negative_rows(theta double precision, rule text) returns table (
      cell_key text, baseline_cell_key text, compressor text, label text, batch_size int, noise_kind text, dataset text,
      task_type text, prompt_key text, replicate int, metric text, variant text, base_score double precision,
      score double precision, threshold double precision, eligible boolean, negative boolean, mirrored boolean,
      stable boolean, robust_negative boolean, weight int)
      language sql stable parallel safe as $$
    select ${ofPair}, ${judged('$1', '$2')}
      from kv.negative_pairs p ${limits('$2')}
     where $2 in ('default', 'median', 'mean', 'artifact') $$`;
