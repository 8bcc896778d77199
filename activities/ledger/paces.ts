/** How long done cells took against what their plan said: what a user is told of a plan's time rests on it. */
import type { Backend, WorkloadKind } from '../../workflows/contracts.ts';
import { type Db, query } from '../database.ts';

export interface Pace {
  model: string;
  backend: Backend;
  workload: WorkloadKind;
  /** Measured time by planned time. */
  ratio: number;
  /** Done cells that it rests on. */
  cells: number;
}

/** Of each model, backend and workload the newest so many cells: an older engine or host counts no longer. */
const NEWEST = 200;

/** One row per model, backend and workload of which any cell ran here. */
export async function readPaces(db: Db, models: readonly string[]): Promise<Pace[]> {
  return await query(
    db,
    `with ran as (
       select model, backend, workload, est_ms, extract(epoch from finished_at - started_at) * 1000 as ms,
              row_number() over (partition by model, backend, workload order by finished_at desc) as age
         from cell
        where status = 'done' and reused_from is null and est_ms > 0 and started_at is not null and model = any($1)
     )
     select model, backend, workload, (sum(ms) / sum(est_ms))::float8 as ratio, count(*)::int as cells
       from ran
      where age <= ${NEWEST}
      group by model, backend, workload
     having sum(ms) > 0
      order by 1, 2, 3`,
    [models],
  );
}
