/** Makes the database of a fresh server and brings its schema up to date. */
import pg from 'pg';
import { openDatabase } from '../activities/database.ts';
import { migrate } from '../migrations/migrate.ts';

/** Creates database `name` if it is absent, migrates it, and returns `url`. */
export async function ensureDatabase(adminUrl: string, url: string, name: string): Promise<string> {
  const client = new pg.Client({ connectionString: adminUrl });
  await client.connect();
  try {
    const { rowCount } = await client.query('select 1 from pg_database where datname = $1', [name]);
    if (rowCount === 0) await client.query(`create database ${client.escapeIdentifier(name)}`);
  } finally {
    await client.end();
  }
  await migrateDatabase(url);
  return url;
}

/** Brings the schema at `url` up to date; does nothing if it is. */
export async function migrateDatabase(url: string): Promise<void> {
  const db = openDatabase(url, { max: 1, applicationName: 'kvsweep-migrate' });
  try {
    await migrate(db);
  } finally {
    await db.destroy();
  }
}
