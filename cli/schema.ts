import { sql } from 'kysely';
import { type Command, EXIT } from './command.ts';
import { UsageError } from './usage-error.ts';

interface Column {
  view: string;
  about: string | null;
  column: string;
  type: string;
  meaning: string | null;
}

export const schema: Command = {
  name: 'schema',
  args: ['[view]'],
  about: 'the views that `query` may use, explained; with a name, its columns',
  async run(context, [view]) {
    // The comments in the database are the documentation: one source for this command and for SQL tools.
    const { rows } = await sql<Column>`
      select c.relname as view, obj_description(c.oid, 'pg_class') as about, a.attname as "column",
             format_type(a.atttypid, a.atttypmod) as type, col_description(c.oid, a.attnum) as meaning
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
       where n.nspname = 'kv' and c.relkind = 'v'
       order by c.relname, a.attnum`.execute(await context.db());
    const views = [...new Set(rows.map((r) => r.view))];
    const name = view?.replace(/^kv\./, '');
    if (name !== undefined && !views.includes(name)) {
      throw new UsageError(`there is no view '${view}'; the views are ${views.join(', ')}`);
    }
    const shown = rows.filter((r) => name === undefined || r.view === name);
    if (context.json) context.result(shown, '');
    else if (name === undefined) {
      context.rows(views.map((v) => ({ view: `kv.${v}`, about: rows.find((r) => r.view === v)!.about ?? '' })));
      context.note('`kvsweep schema NAME` shows the columns of a view');
    } else {
      context.print(`kv.${name}: ${shown[0]!.about ?? ''}\n`);
      context.rows(shown.map((r) => ({ column: r.column, type: r.type, meaning: r.meaning ?? '' })));
    }
    return EXIT.done;
  },
};
