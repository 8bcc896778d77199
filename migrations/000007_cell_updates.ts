import { type Kysely, sql } from 'kysely';

/**
 * A cell is updated three times on its way (claimed, started, committed), and each new row version that leaves its page
 * enters every index. The index on `axes` served no view, and room in the page keeps the versions together.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`drop index cell_axes`.execute(db);
  await sql`alter table cell set (fillfactor = 70)`.execute(db);
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql`alter table cell reset (fillfactor)`.execute(db);
  await sql`create index cell_axes on cell using gin (axes)`.execute(db);
}
