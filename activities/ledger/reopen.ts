/** `resume --failed` and `retry --where`: failed and lost cells become pending again; their errors stay in history. */
import { type Db, query } from '../database.ts';
import { compileFilter } from './filter.ts';

export interface ReopenInput {
  sweepNo: number;
  /** The filter grammar of `filter.ts`; null = all failed and lost cells. */
  where: string | null;
  user: string;
  reason?: string | null;
}

/** Returns how many cells were reopened. Done cells never are: a new measurement of them is a new sweep (`--fresh`). */
export async function reopenCells(db: Db, input: ReopenInput): Promise<number> {
  const filter = input.where === null ? { text: 'true', values: [] } : compileFilter(input.where, 5);
  const [row] = await query<{ n: number }>(
    db,
    `with reopened as (
       update cell c
          set status = 'pending', tries = 0, err_class = null, lease = null, finished_at = null
        where c.sweep_no = $1 and c.status in ('failed', 'lost') and ${filter.text}
       returning c.cell_no
     ), noted as (
       insert into event (sweep_no, user_name, action, reason, new)
       select $1, $2, 'reopen', $3, jsonb_build_object('where', $4::text, 'cells', (select count(*) from reopened))
        where exists (select from reopened)
     )
     select count(*) as n from reopened`,
    [input.sweepNo, input.user, input.reason ?? null, input.where, ...filter.values],
  );
  return row!.n;
}
