/** When a sweep stops by itself: too many failed cells, or one class of failure and nothing else in a row. */
import { type Db, query } from '../database.ts';

/** So many ended cells in a row, all failed with one class, open the breaker. */
const BREAKER = 10;

/**
 * Sets a running sweep `stopped`, with the reason and a line of history, if its failures pass a limit. Only failures of
 * the current run count: who resumes a stopped sweep has seen the earlier ones. Groups in flight return at their next
 * cell. Returns the reason, null if all is well.
 */
export async function applyFailurePolicy(db: Db, sweepNo: number): Promise<string | null> {
  const [row] = await query<{ reason: string | null }>(
    db,
    `with recent as (
       select c.status, c.err_class, c.finished_at
         from cell c join sweep s using (sweep_no)
        where c.sweep_no = $1 and c.status in ('done', 'failed') and c.reused_from is null
          and c.finished_at >= s.run_at
     ), last as (
       select status, err_class from recent order by finished_at desc limit ${BREAKER}
     ), facts as (
       select (select count(*) from recent where status = 'failed') as failed,
              (select count(*) from cell where sweep_no = $1) as total,
              (select case when count(*) = ${BREAKER} and bool_and(status = 'failed')
                            and count(distinct err_class) = 1 then min(err_class) end from last) as breaker
     ), verdict as (
       select case
         when f.failed > (s.limits #>> '{maxFailures,count}')::int
           then format('%s cells failed, max_failures allows %s', f.failed, s.limits #>> '{maxFailures,count}')
         when f.failed * 100.0 > f.total * (s.limits #>> '{maxFailures,percent}')::float8
           then format('%s of %s cells failed, max_failures allows %s%%', f.failed, f.total,
                       s.limits #>> '{maxFailures,percent}')
         when f.breaker is not null
           then format('the last ${BREAKER} cells all failed with %s', f.breaker) end as reason
         from facts f, sweep s
        where s.sweep_no = $1 and s.status = 'running'
     ), stopped as (
       update sweep s
          set status = 'stopped', stop_reason = v.reason
         from verdict v
        where s.sweep_no = $1 and s.status = 'running' and v.reason is not null
       returning s.sweep_no
     ), noted as (
       insert into event (sweep_no, user_name, action, reason, old, new)
       select stopped.sweep_no, 'kvsweep', 'policy', v.reason, '"running"', '"stopped"' from stopped, verdict v
     )
     select reason from verdict`,
    [sweepNo],
  );
  return row?.reason ?? null;
}
