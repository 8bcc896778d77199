/**
 * Writes migrations/schema.sql: what the migrations make, read back from the catalogue (the embedded server ships no
 * pg_dump). It is for readers and for the test that compares; it is not meant to be run.
 * Run: node --import ./tools/typescript.mjs tools/dump-schema.ts
 */
import { writeFile } from 'node:fs/promises';
import { argv } from 'node:process';
import { fileURLToPath } from 'node:url';
import { type Db, query } from '../activities/database.ts';

export const SCHEMA_FILE = fileURLToPath(new URL('../migrations/schema.sql', import.meta.url));

/** Objects of Kysely's own bookkeeping are left out; everything else of these schemas is dumped. */
const OURS = `n.nspname in ('public', 'kv') and not starts_with(c.relname, 'kysely_')`;

const SECTIONS: readonly { title: string; text: string }[] = [
  {
    title: 'Tables',
    text: `
      select format(E'create table %s (\\n%s\\n)%s;', c.oid::regclass,
                    (select string_agg(line, E',\\n' order by ord) from (
                      select a.attnum as ord, format('  %I %s%s%s', a.attname, format_type(a.atttypid, a.atttypmod),
                             case when a.attnotnull then ' not null' else '' end,
                             case when a.attidentity <> '' then ' generated always as identity'
                                  when a.attgenerated = 's' then format(' generated always as (%s) stored', pg_get_expr(d.adbin, d.adrelid))
                                  when d.adbin is not null then format(' default %s', pg_get_expr(d.adbin, d.adrelid))
                                  else '' end) as line
                        from pg_attribute a
                        left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
                       where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
                      union all
                      select 10000 + row_number() over (order by k.contype <> 'p', k.conname),
                             format('  constraint %I %s', k.conname, pg_get_constraintdef(k.oid, true))
                        from pg_constraint k
                       where k.conrelid = c.oid and k.contype <> 'n') as lines),
                    case when c.relkind = 'p' then ' partition by ' || pg_get_partkeydef(c.oid) else '' end) as line
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
       where c.relkind in ('r', 'p') and not c.relispartition and ${OURS}
       order by n.nspname, c.relname`,
  },
  {
    title: 'Partitions',
    text: `
      select format('create table %s partition of %s %s;', c.oid::regclass, i.inhparent::regclass, pg_get_expr(c.relpartbound, c.oid)) as line
        from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_inherits i on i.inhrelid = c.oid
       where c.relispartition and c.relkind = 'r' and ${OURS}
       order by c.relname`,
  },
  {
    title: 'Indexes that no constraint makes',
    text: `
      select pg_get_indexdef(c.oid) || ';' as line
        from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_index i on i.indexrelid = c.oid
       where c.relkind in ('i', 'I') and not c.relispartition and ${OURS}
         and not exists (select from pg_constraint k where k.conindid = c.oid)
       order by c.relname`,
  },
  {
    title: 'Functions',
    text: `
      select pg_get_functiondef(p.oid) || ';' as line
        from pg_proc p join pg_namespace n on n.oid = p.pronamespace
       where n.nspname in ('public', 'kv')
       order by p.proname`,
  },
  {
    title: 'Views',
    text: `
      select format(E'create view %s (%s) as\\n%s', c.oid::regclass,
                    (select string_agg(quote_ident(attname), ', ' order by attnum) from pg_attribute where attrelid = c.oid and attnum > 0),
                    pg_get_viewdef(c.oid, true)) as line
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
       where c.relkind = 'v' and ${OURS}
       order by n.nspname, c.relname`,
  },
  {
    title: 'Comments',
    text: `
      select format('comment on %s %s is %L;', case when d.objsubid = 0 then 'view' else 'column' end,
                    c.oid::regclass || coalesce('.' || quote_ident(a.attname), ''), d.description) as line
        from pg_description d
        join pg_class c on c.oid = d.objoid and d.classoid = 'pg_class'::regclass
        join pg_namespace n on n.oid = c.relnamespace
        left join pg_attribute a on a.attrelid = c.oid and a.attnum = d.objsubid and d.objsubid > 0
       where ${OURS}
       order by n.nspname, c.relname, d.objsubid`,
  },
  {
    title: 'The read-only role',
    text: `
      select format('alter role %I set %s;', r.rolname, setting) as line
        from pg_roles r, unnest(r.rolconfig) as setting
       where r.rolname = reader_role()
      union all
      select format('grant %s on %s to %I;', lower(x.privilege_type), c.oid::regclass, reader_role())
        from pg_class c join pg_namespace n on n.oid = c.relnamespace, aclexplode(c.relacl) x
       where x.grantee = reader_role()::regrole
      union all
      select format('revoke execute on function %s from public;', p.oid::regprocedure)
        from pg_proc p
       where p.pronamespace = 'pg_catalog'::regnamespace and p.proacl is not null
         and not exists (select from aclexplode(p.proacl) x where x.grantee = 0)
         and exists (select from pg_init_privs i where i.objoid = p.oid) is false
       order by line`,
  },
];

/** The text of `migrations/schema.sql` for the database of `db`, the same on every server and under every name. */
export async function dumpSchema(db: Db): Promise<string> {
  const [{ role } = { role: '' }] = await query<{ role: string }>(db, 'select reader_role() as role');
  const parts = ['-- Written by tools/dump-schema.ts from the catalogue; do not edit.\n'];
  for (const { title, text } of SECTIONS) {
    const rows = await query<{ line: string }>(db, text);
    parts.push(`\n-- ${title}\n\n${rows.map((row) => row.line).join('\n')}\n`);
  }
  return parts
    .join('')
    .replaceAll(role, 'kv_reader')
    .replace(/[ \t]+$/gm, '');
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  const { withFreshDatabase } = await import('./fresh-database.ts');
  await withFreshDatabase(async (db) => await writeFile(SCHEMA_FILE, await dumpSchema(db)));
}
