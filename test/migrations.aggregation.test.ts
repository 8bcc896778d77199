/** Migration 11 changes what is stored of pairs: both ways on a database that has rows. */
import { Migrator } from 'kysely';
import { expect, test } from 'vitest';
import { query } from '../activities/database.ts';
import { migrationProvider } from '../migrations/index.ts';
import { dumpSchema } from '../tools/dump-schema.ts';
import { useDatabase } from './support/database.ts';

const database = useDatabase({ template: null });

async function migrateTo(name: string): Promise<void> {
  const { error } = await new Migrator({ db: database.db, provider: migrationProvider }).migrateTo(name);
  if (error) throw error;
}

test('up drops what can be computed again, down brings back the schema of before', async () => {
  await migrateTo('000010_cell_inline');
  const before = await dumpSchema(database.db);
  await query(database.db, "insert into cell_stats (sweep_no, cell_no, stats, version) values (1, 1, '{}', 'old')");
  await query(
    database.db,
    `insert into score (sweep_no, cell_no, sample_idx, rep, metric, scorer_version, score) values (1, 1, 0, 0, 'exact', 'v', 1)`,
  );
  await migrateTo('000011_aggregation');
  // another shape: whoever reads it must not find the old one
  expect(await query(database.db, 'select 1 from cell_stats')).toEqual([]);
  expect(await query(database.db, 'select score, extra from score')).toEqual([{ score: 1, extra: null }]);
  await query(database.db, "update score set extra = '{}'");
  await migrateTo('000010_cell_inline');
  expect(await dumpSchema(database.db)).toBe(before);
  expect(await query(database.db, 'select score from score')).toEqual([{ score: 1 }]);
});
