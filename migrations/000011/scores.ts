import type { View } from '../000005/view.ts';
import { scores as before, scoreSummary as summaryBefore } from '../000008/scores.ts';
import { newestRun } from './lengths.ts';

export const scores: View = {
  ...before,
  columns: { ...before.columns, extra: 'what explains a score, such as {"longPair": true}; mostly null' },
  text: before.text.replace('s.ref_index', 's.ref_index, s.extra'),
};

/** By key from the cell on: asked for one cell, it reads the scores of two. */
export const scoreSummary: View = {
  ...summaryBefore,
  comment: `${summaryBefore.comment} Replicates of compressed cells are left out.`,
  columns: { ...summaryBefore.columns, noise_kind: 'kind of the noise cell; null for others' },
  text: `
    select encode(r.key, 'hex'), encode(b.key, 'hex'), r.compressor, r.label, r.batch, r.dataset, own.metric, own.variant,
           own.n, own.score, pair.n, pair.base, pair.delta, pair.worse, pair.better, not_inert(r.compressor, r.summary), r.noise_kind
      from newest_run r
     cross join lateral (
           select s.metric, s.variant, count(*) as n, avg(s.score) as score
             from score s
            where s.sweep_no = r.sweep_no and s.cell_no = r.cell_no
            group by s.metric, s.variant) own
      left join ${newestRun('r.baseline_key')} b on not_inert(r.compressor, r.summary) is not false
      left join lateral (
           select count(*) as n, avg(base.score) as base, avg(comp.score - base.score) as delta,
                  count(*) filter (where comp.score < base.score) as worse,
                  count(*) filter (where comp.score > base.score) as better
             from score comp
             join score base using (sample_idx, rep, metric, variant)
            where comp.sweep_no = r.sweep_no and comp.cell_no = r.cell_no and comp.metric = own.metric and comp.variant = own.variant
              and base.sweep_no = b.sweep_no and base.cell_no = b.cell_no) pair on b.key is not null
     where r.noise_kind is null or r.compressor = 'none'`,
};
