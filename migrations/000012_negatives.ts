import { type Kysely, sql } from 'kysely';
import { cells as cellsBefore, pairs as pairsBefore } from './000005/cells.ts';
import type { View } from './000005/view.ts';
import { cells, pairs } from './000012/cells.ts';
import { allowImports, disallowImports } from './000012/import.ts';
import { NEGATIVE_ROWS, negativePairs, negatives } from './000012/pairs.ts';
import { negativeSets, negativesSummary } from './000012/stored.ts';
import { createTables, dropTables } from './000012/tables.ts';

/** In the order in which they use each other. */
const NEW: readonly View[] = [negativePairs, negatives, negativesSummary, negativeSets];

/** Negative samples, replicates of compressed cells, and sweeps that are imported scores. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table cell add column if not exists replicate_of bytea`.execute(db);
  // Views name a cell by its key in hex: one is found without a walk over all, and the planner knows how many there are.
  await sql`create index cell_hex on cell (encode(key, 'hex'))`.execute(db);
  await sql`create index cell_replicates on cell (replicate_of) where replicate_of is not null`.execute(db);
  await sql`
    create or replace view newest_run as
    select distinct on (key) *
      from cell
     where status = 'done' and reused_from is null
     order by key, finished_at desc, sweep_no desc`.execute(db);
  await allowImports(db);
  await createTables(db);
  for (const view of [cells, pairs]) await putView(db, 'create or replace', view);
  for (const view of NEW) {
    await putView(db, 'create', view);
    await sql`do $$ begin execute format('grant select on ${sql.id('kv', view.name)} to %I', reader_role()); end $$`.execute(
      db,
    );
  }
  await sql.raw(NEGATIVE_ROWS).execute(db);
  await sql`
    comment on function kv.negative_rows is
      'The rows of kv.negatives at any theta (a fraction in (0,1)) under one rule: default, median, mean or artifact'`.execute(
    db,
  );
  await sql`
    do $$ begin
      execute format('grant execute on function kv.negative_rows(double precision, text) to %I', reader_role());
    end $$`.execute(db);
}

async function putView(db: Kysely<unknown>, verb: 'create' | 'create or replace', view: View): Promise<void> {
  const name = sql.id('kv', view.name);
  const columns = sql.join(Object.keys(view.columns).map((column) => sql.id(column)));
  await sql`${sql.raw(verb)} view ${name} (${columns}) as ${sql.raw(view.text)}`.execute(db);
  await sql`comment on view ${name} is ${sql.lit(view.comment)}`.execute(db);
  for (const [column, comment] of Object.entries(view.columns)) {
    await sql`comment on column ${sql.id('kv', view.name, column)} is ${sql.lit(comment)}`.execute(db);
  }
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql`drop function kv.negative_rows`.execute(db);
  for (const view of [...NEW].reverse()) await sql`drop view ${sql.id('kv', view.name)}`.execute(db);
  for (const view of [cellsBefore, pairsBefore]) await putView(db, 'create or replace', view);
  await dropTables(db);
  await disallowImports(db);
  // newest_run keeps the column until the views are dropped, for a view loses columns only by being made anew.
  await sql`drop index cell_replicates, cell_hex`.execute(db);
}
