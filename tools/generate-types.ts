/**
 * Writes activities/database-types.ts from the catalogue of a freshly migrated database; `--check` only compares.
 * Run: node --import ./tools/typescript.mjs tools/generate-types.ts
 */
import { readFile, writeFile } from 'node:fs/promises';
import { argv } from 'node:process';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { generate, PostgresDialect } from 'kysely-codegen';
import type { Db } from '../activities/database.ts';

export const TYPES_FILE = fileURLToPath(new URL('../activities/database-types.ts', import.meta.url));

/** The source of `activities/database-types.ts` for the schema that `db` holds. */
export async function databaseTypes(db: Db): Promise<string> {
  const text = await generate({
    db: db as never,
    dialect: new PostgresDialect(),
    defaultSchemas: ['public'],
    excludePattern: '{kysely_migration*,kv.*}',
    typeMapping: { int8: 'number' },
    customImports: { CellState: '../workflows/contracts.ts', SweepState: '../workflows/contracts.ts' },
    overrides: { columns: { 'cell.status': 'Generated<CellState>', 'sweep.status': 'Generated<SweepState>' } },
    singularize: false,
    outFile: null,
  });
  // As the linter wants committed files, imports in order.
  const { stdout } = await execa({
    input: text,
    preferLocal: true,
  })`biome check --write --stdin-file-path=${TYPES_FILE}`;
  return `${stdout}\n`;
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  const { withFreshDatabase } = await import('./fresh-database.ts');
  await withFreshDatabase(async (db) => {
    const text = await databaseTypes(db);
    if (argv.includes('--check') && text !== (await readFile(TYPES_FILE, 'utf8'))) {
      throw new Error('activities/database-types.ts does not match the migrations; run tools/generate-types.ts.');
    }
    await writeFile(TYPES_FILE, text);
  });
}
