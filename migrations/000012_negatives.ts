import { type Kysely, sql } from 'kysely';
import { cells as cellsBefore, pairs as pairsBefore } from './000005/cells.ts';
import type { View } from './000005/view.ts';
import { noiseFloor as noiseFloorBefore } from './000011/lengths.ts';
import { dropView, putView } from './000011/put-view.ts';
import { cells, pairs } from './000012/cells.ts';
import { allowImports, disallowImports } from './000012/import.ts';
import { noiseFloor } from './000012/noise.ts';
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
  for (const view of [cells, pairs, noiseFloor]) await putView(db, view, 'create or replace');
  for (const view of NEW) await putView(db, view);
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

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql`drop function kv.negative_rows`.execute(db);
  for (const view of [noiseFloor, ...[...NEW].reverse()]) await dropView(db, view);
  await putView(db, noiseFloorBefore);
  for (const view of [cellsBefore, pairsBefore]) await putView(db, view, 'create or replace');
  await dropTables(db);
  await disallowImports(db);
  // newest_run keeps the column until the views are dropped, for a view loses columns only by being made anew.
  await sql`drop index cell_replicates, cell_hex`.execute(db);
}
