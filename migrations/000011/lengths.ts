import {
  noiseFloor as floorBefore,
  lengthShift as shiftBefore,
  lengthShiftSummary as summaryBefore,
} from '../000005/lengths.ts';
import type { View } from '../000005/view.ts';

/**
 * The newest done run of a key, looked up by its index. A join to `newest_run` would compute that view for all cells, and
 * the planner, which takes it for one row, would do so again and again.
 */
export const newestRun = (key: string) => `lateral (
           select c.sweep_no, c.cell_no, c.key from cell c
            where c.key = ${key} and c.status = 'done' and c.reused_from is null
            order by c.finished_at desc, c.sweep_no desc limit 1)`;

/** Newest runs `n` of the noise cells of `r`, with their stored summaries `t`. */
const NOISE_CELLS = `(
                  select distinct on (c.key) c.sweep_no, c.cell_no, c.noise_kind, c.noise_no from cell c
                   where c.baseline_key = r.baseline_key and c.noise_kind in ('seed', 'batch', 'backend') and c.compressor = 'none'
                     and c.status = 'done' and c.reused_from is null
                   order by c.key, c.finished_at desc, c.sweep_no desc) n
             join cell_stats t on t.sweep_no = n.sweep_no and t.cell_no = n.cell_no and t.task_type = ''`;

/** A noise cell is an uncompressed one with one thing changed; a compressed cell with a noise kind is a replicate. */
export const lengthShift: View = {
  ...shiftBefore,
  comment: `${shiftBefore.comment} D is computed when asked for; where two outputs part comes from the aggregation of the sweep.`,
  columns: {
    ...shiftBefore.columns,
    noise_kind: 'kind of the noise cell, or of a replicate of a compressed cell; null for a compressed one',
    first_diff: 'length of the common prefix in tokens; null if identical, or not aggregated yet',
  },
  text: `
    select encode(r.key, 'hex'), encode(b.key, 'hex'), r.compressor, r.label, r.noise_kind, r.dataset, p.task_type, p.key, y.rep::int,
           x.new_tokens, y.new_tokens, d.d,
           case when y.finish in (1, 2) and d.d is not null then '-infinity' else d.d end,
           case when x.finish in (1, 2) and d.d is not null then 1 else d.d end,
           case when x.finish in (1, 2) then case when y.finish in (1, 2) then 'both' else 'base' end
                when y.finish in (1, 2) then 'comp' else 'none' end,
           x.out_sha is not distinct from y.out_sha, o.first_diff, coalesce(o.stop_missed, false), coalesce(o.stop_early, false),
           case when r.noise_kind is null then abs(d.d) > f.d95 end
      from newest_run r
      join ${newestRun('r.baseline_key')} b on true
      join sample y on y.sweep_no = r.sweep_no and y.cell_no = r.cell_no
      join sample x on x.sweep_no = b.sweep_no and x.cell_no = b.cell_no and x.sample_idx = y.sample_idx and x.rep = y.rep
     cross join lateral (select (x.new_tokens - y.new_tokens)::float8 / nullif(x.new_tokens, 0) as d) d
      join prompt p on p.prompt_set = r.prompt_set and p.idx = y.sample_idx
      left join output_diff o on o.sweep_no = y.sweep_no and o.cell_no = y.cell_no and o.sample_idx = y.sample_idx and o.rep = y.rep
                             and o.base_sweep_no = b.sweep_no and o.base_cell_no = b.cell_no and x.out_sha <> y.out_sha
      left join lateral (
           select (t.stats #>> '{exact,absD95}')::float8 as d95
             from ${NOISE_CELLS}
            order by array_position(array['seed', 'batch', 'backend'], n.noise_kind), n.noise_no limit 1) f on true
     where r.workload = 'generate' and not_inert(r.compressor, r.summary) is not false
       and x.finish <> 3 and y.finish <> 3 and (x.prompt_sha = y.prompt_sha) is not false`,
};

/** The stored summary of a cell as columns; names are those of `MergeableSummary`. */
const SUMMARY = `jsonb_to_record(t.stats) as m (
             n int, "nUndefined" int, "nMissing" int, "nMismatch" int, gt50 int, "gt50Certain" int, "gt50Possible" int,
             longer50 int, "longer50Certain" int, "longer50Possible" int, shorter50 int, "shorter50Certain" int,
             "shorter50Possible" int, same int, near int, "censoredBase" int, "censoredComp" int, "sumBase" float8,
             "sumComp" float8, "sumD" float8, "sumLogRatio" float8, "nLogRatio" int, exact jsonb)`;

const share = (count: string) => `m.${count}::float8 / nullif(m.n, 0)`;
const quantile = (at: number) => `(m.exact #>> '{quantiles,${at}}')::float8`;

export const lengthShiftSummary: View = {
  ...summaryBefore,
  comment: `${summaryBefore.comment} Written by the aggregation of a sweep; replicates of compressed cells are left out.`,
  columns: {
    ...summaryBefore.columns,
    share_gt50_lo: 'least value of share_gt50, given that answers were cut',
    share_gt50_hi: 'greatest value of share_gt50',
    share_shorter50_lo: 'least value of share_shorter50, given that answers were cut',
    share_shorter50_hi: 'greatest value of share_shorter50',
    q01: '1 % quantile of D',
    q99: '99 % quantile of D',
    iqr: 'q75 - q25',
    mean_of_ratios: '1 - mean of D; led by short uncompressed answers',
    noise_gt50: 'share of |D| > 0.5 between uncompressed runs',
    excess_gt50: 'share_gt50 - noise_gt50',
    excess_gt50_p: 'one-sided p value of that excess',
    noise_shorter50: 'share of D >= 0.5 between uncompressed runs',
    excess_shorter50: 'share_shorter50 - noise_shorter50',
    excess_shorter50_p: 'one-sided p value of that excess',
    noise_d95: '95 % quantile of |D| between uncompressed runs',
    histogram: 'counts of D: 60 bins of 0.05 from -2 to 1, left-closed, then those below -2',
    median_km: 'median length of the compressed answers by Kaplan and Meier; null = beyond the cap',
    base_median_km: 'the same of the uncompressed answers',
  },
  text: `
    select encode(r.key, 'hex'), encode(b.key, 'hex'), r.compressor, r.label, r.batch, r.dataset, m.n, m."nUndefined", m."nMissing",
           m."nMismatch", ${share('gt50')}, ${share('longer50')}, ${share('"longer50Certain"')}, ${share('"longer50Possible"')},
           ${share('shorter50')}, ${share('same')}, ${share('near')}, ${quantile(1)}, ${quantile(2)}, ${quantile(3)}, ${quantile(4)},
           ${quantile(5)}, m."sumComp" / nullif(m."sumBase", 0), exp(m."sumLogRatio" / nullif(m."nLogRatio", 0)), 1 - ${quantile(3)},
           ${share('"censoredBase"')}, ${share('"censoredComp"')}, n.longer50::float8 / nullif(n.n, 0),
           ${share('longer50')} - n.longer50::float8 / nullif(n.n, 0), longer.p,
           ${share('"gt50Certain"')}, ${share('"gt50Possible"')}, ${share('"shorter50Certain"')}, ${share('"shorter50Possible"')},
           ${quantile(0)}, ${quantile(6)}, ${quantile(4)} - ${quantile(2)}, 1 - m."sumD" / nullif(m.n, 0),
           n.gt50::float8 / nullif(n.n, 0), ${share('gt50')} - n.gt50::float8 / nullif(n.n, 0), gt.p,
           n.shorter50::float8 / nullif(n.n, 0), ${share('shorter50')} - n.shorter50::float8 / nullif(n.n, 0), shorter.p, n.d95,
           array(select v::int from jsonb_array_elements_text(t.stats -> 'histogram') as v),
           (t.stats #>> '{own,medianKm}')::float8, (u.stats #>> '{own,medianKm}')::float8
      from newest_run r
      join ${newestRun('r.baseline_key')} b on true
      join cell_stats t on t.sweep_no = r.sweep_no and t.cell_no = r.cell_no and t.task_type = ''
     cross join lateral ${SUMMARY}
      left join cell_stats u on u.sweep_no = b.sweep_no and u.cell_no = b.cell_no and u.task_type = ''
      left join lateral (
           select sum((t.stats ->> 'n')::int) as n, sum((t.stats ->> 'gt50')::int) as gt50,
                  sum((t.stats ->> 'longer50')::int) as longer50, sum((t.stats ->> 'shorter50')::int) as shorter50,
                  (array_agg((t.stats #>> '{exact,absD95}')::float8
                             order by array_position(array['seed', 'batch', 'backend'], n.noise_kind), n.noise_no))[1] as d95
             from ${NOISE_CELLS}) n on true
      left join estimate longer on longer.sweep_no = r.sweep_no and longer.cell_no = r.cell_no and longer.statistic = 'excess_share_longer50'
      left join estimate gt on gt.sweep_no = r.sweep_no and gt.cell_no = r.cell_no and gt.statistic = 'excess_share_gt50'
      left join estimate shorter on shorter.sweep_no = r.sweep_no and shorter.cell_no = r.cell_no and shorter.statistic = 'excess_share_shorter50'
     where r.workload = 'generate' and r.noise_kind is null and not_inert(r.compressor, r.summary) and m.n is not null`,
};

export const noiseFloor: View = {
  ...floorBefore,
  comment: `${floorBefore.comment} Written by the aggregation of a sweep.`,
  columns: { ...floorBefore.columns, n_missing: 'pairs with an errored or missing side, left out' },
  text: `
    select encode(b.key, 'hex'), encode(r.key, 'hex'), r.noise_kind, m.n, ${share('same')}, (m.exact ->> 'absD95')::float8,
           ${share('gt50')}, ${share('longer50')}, ${share('shorter50')}, m."nMissing"
      from newest_run r
      join ${newestRun('r.baseline_key')} b on true
      join cell_stats t on t.sweep_no = r.sweep_no and t.cell_no = r.cell_no and t.task_type = ''
     cross join lateral ${SUMMARY}
     where r.workload = 'generate' and r.noise_kind is not null and r.compressor = 'none' and m.n is not null`,
};
