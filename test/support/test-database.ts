/**
 * A database for a file whose workers stay connected from test to test: cloned as `useDatabase` clones it, but
 * checked for connections left open only at its end.
 */
import { randomBytes } from 'node:crypto';
import { inject } from 'vitest';
import { type Db, openDatabase, query } from '../../activities/database.ts';
import { until } from './conditions.ts';
import { TEMPLATE } from './postgres.ts';

export interface TestDatabase extends AsyncDisposable {
  url: string;
  db: Db;
}

export async function openTestDatabase(): Promise<TestDatabase> {
  const name = `test_${randomBytes(6).toString('hex')}`;
  const serverUrl = inject('postgresUrl');
  const admin = openDatabase(serverUrl, { max: 1, applicationName: 'test admin' });
  // Two files may clone the template at once; Postgres refuses one of them for a moment.
  await until(`database ${name}`, async () => {
    await query(admin, `create database ${name} template ${TEMPLATE}`);
    return true;
  });
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  const db = openDatabase(url.href, { applicationName: 'test file' });
  return {
    url: url.href,
    db,
    async [Symbol.asyncDispose]() {
      await db.destroy();
      const open = 'select application_name from pg_stat_activity where datname = $1';
      await until('no connection is left open', async () => (await query(admin, open, [name])).length === 0, 5_000);
      await query(admin, `drop database ${name}`);
      await admin.destroy();
    },
  };
}
