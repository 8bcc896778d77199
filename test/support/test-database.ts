/** A Postgres server and a migrated database for one test file. */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Db, openDatabase } from '../../activities/database.ts';
import { migrate } from '../../migrations/migrate.ts';
import { startPostgres } from '../../workers/embedded-postgres.ts';

export interface TestDatabase extends AsyncDisposable {
  url: string;
  db: Db;
}

export async function openTestDatabase(): Promise<TestDatabase> {
  const folder = await mkdtemp(join(tmpdir(), 'kvsweep-pg-'));
  await chmod(folder, 0o755); // as root, Postgres runs as another user
  const server = await startPostgres({ dataDir: join(folder, 'data'), settings: { fsync: 'off' } });
  const db = openDatabase(server.url);
  await migrate(db);
  return {
    url: server.url,
    db,
    async [Symbol.asyncDispose]() {
      await db.destroy();
      await server.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
