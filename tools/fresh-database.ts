import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Db, openDatabase } from '../activities/database.ts';
import { migrate } from '../migrations/migrate.ts';
import { startPostgres } from '../workers/embedded-postgres.ts';

/** Runs `use` on a freshly migrated database of a throw-away server. */
export async function withFreshDatabase(use: (db: Db, url: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'kvsweep-fresh-'));
  // The server may run as another user, who has to pass through.
  await chmod(folder, 0o755);
  const server = await startPostgres({ dataDir: join(folder, 'data'), settings: { fsync: 'off' } });
  const db = openDatabase(server.url);
  try {
    await migrate(db);
    await use(db, server.url);
  } finally {
    await db.destroy();
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  }
}
