import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { openDatabase, query } from '../activities/database.ts';
import { MIGRATIONS } from '../migrations/index.ts';
import { migrate } from '../migrations/migrate.ts';
import { dumpSchema, SCHEMA_FILE } from '../tools/dump-schema.ts';
import { databaseTypes, TYPES_FILE } from '../tools/generate-types.ts';
import { useDatabase } from './support/database.ts';

describe('on an empty database', () => {
  const database = useDatabase({ template: null });

  test('twenty processes at once install the schema once, and a second time does no harm', async () => {
    // Each has a pool of its own, as a process would.
    const processes = Array.from({ length: 20 }, () => openDatabase(database.url, { max: 1 }));
    try {
      const ran = await Promise.all(processes.map((db) => migrate(db)));
      expect(ran.flat().sort()).toEqual(Object.keys(MIGRATIONS));
    } finally {
      await Promise.all(processes.map((db) => db.destroy()));
    }
    expect(await migrate(database.db)).toEqual([]);
  });

  test('down removes everything, up brings back the same schema', async () => {
    const before = await dumpSchema(database.db);
    await migrate(database.db, 'none');
    const left = await query(
      database.db,
      `select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname in ('public', 'kv') and not starts_with(c.relname, 'kysely_')
       union all
       select p.proname from pg_proc p where p.pronamespace = 'public'::regnamespace
       union all
       select 'set_config' where not exists (
         select from pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) x
          where p.proname = 'set_config' and x.grantee = 0)
       union all
       select rolname::text from pg_roles where rolname = 'kv_reader_' || left(md5(current_database()), 10)`,
    );
    expect(left).toEqual([]);
    await migrate(database.db);
    expect(await dumpSchema(database.db)).toBe(before);
  });
});

describe('two databases of one cluster, migrated at once', () => {
  const one = useDatabase({ template: null });
  const two = useDatabase({ template: null });

  test('get a reader role each', async () => {
    await Promise.all([migrate(one.db), migrate(two.db)]);
    const roles = await Promise.all(
      [one, two].map(async ({ db }) => (await query<{ role: string }>(db, 'select reader_role() as role'))[0]!.role),
    );
    expect(new Set(roles).size).toBe(2);
    await migrate(one.db, 'none');
    expect(await query(two.db, 'select 1 as ok from pg_roles where rolname = reader_role()')).toEqual([{ ok: 1 }]);
    await migrate(two.db, 'none');
  });
});

describe('a migrated database', () => {
  const database = useDatabase();

  test('has the schema of the committed dump (else run tools/dump-schema.ts)', async () => {
    expect(await dumpSchema(database.db)).toBe(await readFile(SCHEMA_FILE, 'utf8'));
  });

  test('has the tables of the committed types (else run tools/generate-types.ts)', async () => {
    expect(await databaseTypes(database.db)).toBe(await readFile(TYPES_FILE, 'utf8'));
  });

  test('explains every view and every column of schema kv', async () => {
    const silent = await query(
      database.db,
      `select c.oid::regclass::text as view, a.attname
         from pg_class c left join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
        where c.relnamespace = 'kv'::regnamespace
          and (obj_description(c.oid) is null or col_description(c.oid, a.attnum) is null)`,
    );
    expect(silent).toEqual([]);
  });
});
