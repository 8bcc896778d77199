import { type Kysely, Migrator, NO_MIGRATIONS } from 'kysely';
import { migrationProvider } from './index.ts';

export type MigrationTarget = 'latest' | 'none';

/**
 * Brings a database to the newest schema, or empties it. All migrations run in one transaction under a session
 * advisory lock, so that any number of processes may call this at once; behind a transaction pooler they may not.
 * Returns the names of the migrations that ran.
 */
// biome-ignore lint/suspicious/noExplicitAny: any schema may come in; that is what a migration is for
export async function migrate(db: Kysely<any>, target: MigrationTarget = 'latest'): Promise<string[]> {
  const migrator = new Migrator({ db, provider: migrationProvider });
  const { error, results } =
    target === 'latest' ? await migrator.migrateToLatest() : await migrator.migrateTo(NO_MIGRATIONS);
  if (error !== undefined) {
    const failed = results?.find((result) => result.status === 'Error');
    const text = error instanceof Error ? error.message : String(error);
    throw new Error(`Migration ${failed?.migrationName ?? '(before the first)'} failed: ${text}`, { cause: error });
  }
  return (results ?? []).map((result) => result.migrationName);
}
