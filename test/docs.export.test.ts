import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { readerUrl, runReadOnly } from '../activities/reader.ts';
import { useDatabase } from './support/database.ts';

const database = useDatabase();

test('the SQL and the views of docs/export.md exist as written', async () => {
  const doc = readFileSync(new URL('../docs/export.md', import.meta.url), 'utf8');
  const url = await readerUrl(database.url);
  const [sql] = [...doc.matchAll(/```sql\n(.*?)```/gs)].map((match) => match[1]!);
  expect((await runReadOnly(url, sql!)).columns.map((column) => column.name)).toEqual([
    'label',
    'n',
    'changed',
    'mean_abs_d',
    'longer50',
  ]);
  const exported = [...doc.matchAll(/^kvsweep export (\w+)(?:.*--where "([^"]*)")?/gm)];
  expect(exported.length).toBeGreaterThan(4);
  for (const [, view, where] of exported) await runReadOnly(url, `select 1 from kv.${view} where ${where ?? 'true'}`);
});
