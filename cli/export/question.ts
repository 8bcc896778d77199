/** What an export asks the database: a view with filters, or the user's own SQL. */
import { type Db, query } from '../../activities/database.ts';
import { nearest } from '../nearest.ts';
import { UsageError } from '../usage-error.ts';

export interface Question {
  text: string;
  params: unknown[];
}

/** Columns that say which cell a row belongs to, the first that a view has. */
const CELL_COLUMNS = ['cell_key', 'noise_cell_key', 'baseline_cell_key'];

/** `select` over a view of schema kv, restricted to a sweep's cells and by a condition over its columns. */
export async function viewQuestion(
  db: Db,
  name: string,
  filters: { sweep: string | undefined; where: string | undefined },
): Promise<Question> {
  const view = name.replace(/^kv\./, '');
  const rows = await query<{ view: string; columns: string[] }>(
    db,
    `select c.relname as view, array_agg(a.attname::text order by a.attnum) as columns
       from pg_class c join pg_namespace n on n.oid = c.relnamespace
       join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
      where n.nspname = 'kv' and c.relkind = 'v'
      group by c.relname
      order by c.relname`,
  );
  const found = rows.find((row) => row.view === view);
  if (!found) {
    const views = rows.map((row) => row.view);
    const meant = nearest(view, views);
    throw new UsageError(
      `there is no view '${name}'${meant ? ` (did you mean ${meant}?)` : ''}; the views are ${views.join(', ')}`,
    );
  }
  const conditions: string[] = [];
  const params: unknown[] = [];
  if (filters.sweep !== undefined) {
    const keys = await cellKeys(db, filters.sweep);
    if (found.columns.includes('sweep')) {
      params.push(filters.sweep);
      conditions.push('v.sweep = $1');
    } else {
      const column = CELL_COLUMNS.find((one) => found.columns.includes(one));
      if (!column) throw new UsageError(`view ${view} is not about cells, so --sweep does not apply to it`);
      params.push(keys);
      conditions.push(`v.${column} = any ($1::text[])`);
    }
  }
  // On a line of its own: a comment at its end must not swallow the parenthesis.
  if (filters.where !== undefined) conditions.push(`(${filters.where}\n)`);
  const where = conditions.length > 0 ? `\nwhere ${conditions.join('\n  and ')}` : '';
  return { text: `select v.* from kv.${view} v${where}`, params };
}

async function cellKeys(db: Db, sweep: string): Promise<string[]> {
  const rows = await query<{ key: string | null }>(
    db,
    `select encode(c.key, 'hex') as key from sweep s left join cell c using (sweep_no) where s.id = $1`,
    [sweep],
  );
  if (rows.length === 0) {
    const names = (await query<{ id: string }>(db, 'select id from sweep order by sweep_no')).map((row) => row.id);
    const meant = nearest(sweep, names);
    const hint = meant ? ` (did you mean ${meant}?)` : '';
    throw new UsageError(`there is no sweep '${sweep}'${hint}; \`kvsweep status\` lists them`);
  }
  return rows.flatMap((row) => (row.key === null ? [] : [row.key]));
}
