/** Global set-up: one Postgres for the whole test run, with a migrated template that each test file clones. */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { openDatabase, query } from '../../activities/database.ts';
import { migrate } from '../../migrations/migrate.ts';
import { startPostgres } from '../../workers/embedded-postgres.ts';

/** A name under which nothing else connects: cloning a database demands that nobody is in it. */
export const TEMPLATE = 'kvsweep_template';

declare module 'vitest' {
  export interface ProvidedContext {
    /** Superuser connection string of the test run's server, database `postgres`. */
    postgresUrl: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), 'kvsweep-test-'));
  // The server runs as another user when the tests run as root.
  await chmod(folder, 0o755);
  const server = await startPostgres({
    dataDir: join(folder, 'data'),
    settings: { fsync: 'off', full_page_writes: 'off', max_connections: '300' },
  });
  const admin = openDatabase(server.url, { max: 1 });
  await query(admin, `create database ${TEMPLATE}`);
  await admin.destroy();
  const template = openDatabase(server.urlOf(TEMPLATE), { max: 1 });
  await migrate(template);
  await template.destroy();
  project.provide('postgresUrl', server.url);
  return async () => {
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  };
}
