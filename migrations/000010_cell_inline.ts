import { type Kysely, sql } from 'kysely';

/**
 * A cell's JSON comes to a few kilobytes. Above 2 kB Postgres compresses the columns of a row, in each of its versions;
 * up to a page they stay as they are, which costs less than the compression.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table cell set (toast_tuple_target = 8160)`.execute(db);
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql`alter table cell reset (toast_tuple_target)`.execute(db);
}
