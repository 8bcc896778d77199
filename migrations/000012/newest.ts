/**
 * Of run `r`: it is the one that views show of its key. The same as being in `newest_run`, but the planner sees through it:
 * filters by cell reach the table, with its statistics.
 */
export const SHOWN_RUN = `
           r.status = 'done' and r.reused_from is null and r.replicate_of is null
       and not_inert(r.compressor, r.summary) is not false
       and not exists (
           select from cell z
            where z.key = r.key and z.status = 'done' and z.reused_from is null
              and (z.finished_at, z.sweep_no) > (r.finished_at, r.sweep_no))`;
