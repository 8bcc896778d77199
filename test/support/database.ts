/** A database per test file, cloned from the migrated template; a connection left open by a test fails it. */
import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, inject } from 'vitest';
import { type Db, openDatabase, query } from '../../activities/database.ts';
import { closeDatabase } from '../../migrations/000006_reader.ts';
import { TEMPLATE } from './postgres.ts';

export interface TestDatabase {
  /** The file's own handle; closed after its last test. */
  readonly db: Db;
  readonly url: string;
  /** Runs SQL on the server as its superuser, outside the file's database. */
  admin<Row>(text: string, values?: unknown[]): Promise<Row[]>;
}

/** Call at the top of a test file (or of a `describe`). `template: null` gives an empty, unmigrated database. */
export function useDatabase(options: { template?: string | null } = {}): TestDatabase {
  const name = `test_${randomBytes(6).toString('hex')}`;
  const serverUrl = inject('postgresUrl');
  const url = urlOf(serverUrl, name);
  let admin: Db | undefined;
  let db: Db | undefined;

  const strangers = async () =>
    await query<{ application_name: string; query: string }>(
      admin!,
      `select application_name, query from pg_stat_activity where datname = $1 and application_name <> 'test file'`,
      [name],
    );

  beforeAll(async () => {
    admin = openDatabase(serverUrl, { max: 2, applicationName: 'test admin' });
    const template = options.template === undefined ? TEMPLATE : options.template;
    await createDatabase(admin, name, template ?? 'template0');
    db = openDatabase(url, { max: 10, applicationName: 'test file' });
    if (template !== null) await closeDatabase(db as never);
  });
  afterEach(async () => {
    // A closed connection takes a moment to leave the server's list.
    const deadline = Date.now() + 3000;
    let left = await strangers();
    while (left.length > 0 && Date.now() < deadline) {
      await new Promise((resume) => setTimeout(resume, 20));
      left = await strangers();
    }
    if (left.length > 0) {
      throw new Error(
        `${left.length} connections were left open: ${left.map((c) => `${c.application_name}: ${c.query}`).join('; ')}`,
      );
    }
  });
  afterAll(async () => {
    await db?.destroy();
    await query(admin!, `drop database if exists ${name} with (force)`);
    await admin?.destroy();
  });
  return {
    get db() {
      if (db === undefined) throw new Error('The database exists only while tests run.');
      return db;
    },
    url,
    admin: async (text, values = []) => await query(admin!, text, values),
  };
}

/** Two files may clone the template at once; Postgres refuses one of them for a moment. */
async function createDatabase(admin: Db, name: string, template: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await query(admin, `create database ${name} template ${template}`);
      return;
    } catch (error) {
      if ((error as { code?: string }).code !== '55006' || attempt > 100) throw error;
      await new Promise((resume) => setTimeout(resume, 50));
    }
  }
}

function urlOf(serverUrl: string, database: string): string {
  const url = new URL(serverUrl);
  url.pathname = `/${database}`;
  return url.href;
}
