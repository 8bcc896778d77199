import { type Kysely, sql } from 'kysely';
import type { View } from '../000005/view.ts';

/** Makes a view of schema `kv` with its comments and lets the reader select from it. */
export async function putView(
  db: Kysely<unknown>,
  view: View,
  verb: 'create' | 'create or replace' = 'create',
): Promise<void> {
  const name = sql.id('kv', view.name);
  const columns = sql.join(Object.keys(view.columns).map((column) => sql.id(column)));
  await sql`${sql.raw(verb)} view ${name} (${columns}) as ${sql.raw(view.text)}`.execute(db);
  await sql`comment on view ${name} is ${sql.lit(view.comment)}`.execute(db);
  for (const [column, comment] of Object.entries(view.columns)) {
    await sql`comment on column ${sql.id('kv', view.name, column)} is ${sql.lit(comment)}`.execute(db);
  }
  await sql`do $$ begin execute format('grant select on ${name} to %I', reader_role()); end $$`.execute(db);
}

export async function dropView(db: Kysely<unknown>, view: View): Promise<void> {
  await sql`drop view ${sql.id('kv', view.name)}`.execute(db);
}
