import { ApplicationFailure } from '@temporalio/common';
import { expect, test } from 'vitest';
import {
  databaseFailure,
  isConnectionLoss,
  isHopeless,
  isTransient,
  openDatabase,
  parseInt8,
  query,
} from '../activities/database.ts';
import { useDatabase } from './support/database.ts';

const database = useDatabase();
const failureOf = (text: string) =>
  query(database.db, text).then(
    () => expect.fail('no error'),
    (error: unknown) => error,
  );

test('int8 and count(*) are numbers; one beyond 2^53 is an error, not a rounded number', async () => {
  expect(await query(database.db, 'select 9007199254740991 as big, count(*) as n from cell')).toEqual([
    { big: Number.MAX_SAFE_INTEGER, n: 0 },
  ]);
  expect(() => parseInt8('9007199254740993')).toThrow('The integer 9007199254740993 from Postgres is beyond 2^53.');
});

test('a bug in a statement is not retried for ever', async () => {
  for (const text of ['select no_such_column', 'select 1 / 0', `select 'x'::int`]) {
    const failure = databaseFailure(await failureOf(text));
    expect(failure).toBeInstanceOf(ApplicationFailure);
    expect(failure).toMatchObject({ nonRetryable: true, type: 'DatabaseBug' });
  }
});

test('a lost connection is told from a refusal, and may be retried', async () => {
  const db = openDatabase(database.url, { max: 1, applicationName: 'to be ended' });
  const [me] = await query<{ pid: number }>(db, 'select pg_backend_pid() as pid');
  const [ended] = await Promise.allSettled([
    query(db, 'select pg_sleep(10)'),
    query(database.db, 'select pg_terminate_backend($1)', [me!.pid]),
  ]);
  const error = (ended as PromiseRejectedResult).reason;
  expect([isConnectionLoss(error), isHopeless(error), databaseFailure(error) instanceof ApplicationFailure]).toEqual([
    true,
    false,
    false,
  ]);
  // The pool opens another connection by itself.
  expect(await query(db, 'select 1 as one')).toEqual([{ one: 1 }]);
  await db.destroy();
  const nobody = openDatabase('postgres://a:b@127.0.0.1:1/x', { max: 1 });
  expect(isConnectionLoss(await query(nobody, 'select 1').catch((e) => e))).toBe(true);
  await nobody.destroy();
  expect(isConnectionLoss(await failureOf('select 1 / 0'))).toBe(false);
  expect(isTransient(Object.assign(new Error('deadlock'), { code: '40P01' }))).toBe(true);
});
