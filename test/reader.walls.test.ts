import pg from 'pg';
import { beforeAll, describe, expect, test } from 'vitest';
import { query } from '../activities/database.ts';
import { insertPlan } from '../activities/ledger.ts';
import { readerUrl, runReadOnly } from '../activities/reader.ts';
import { useDatabase } from './support/database.ts';
import { cellPlan, sweepPlan } from './support/plans.ts';

const database = useDatabase();
let url: string;

beforeAll(async () => {
  await insertPlan(database.db, sweepPlan('walls', [[cellPlan('a'), cellPlan('b')]]));
  url = await readerUrl(database.url);
});

const run = (text: string, limits = {}) => runReadOnly(url, text, { timeoutMs: 3000, ...limits });

/** A session of the reader's own, as with psql: only privileges hold here. */
async function asReader<T>(use: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end().catch(() => undefined);
  }
}

describe('a query through the wall', () => {
  test('reads the views', async () => {
    const result = await run('select cell_no, status from kv.cells order by 1');
    expect(result.rows).toEqual([
      [0, 'pending'],
      [1, 'pending'],
    ]);
    expect(result.columns).toEqual([
      { name: 'cell_no', type: 'integer' },
      { name: 'status', type: 'text' },
    ]);
    expect(result.truncated).toBeNull();
  });

  test('finds the views without their schema, and takes parameters, a trailing semicolon and a comment', async () => {
    const { rows } = await run('select cell_no from cells where label = $1 and cell_no > $2; -- the end', {
      params: ['none', 0],
    });
    expect(rows).toEqual([[1]]);
  });

  test('is stopped at the row limit and says so', async () => {
    const result = await run('select generate_series(1, 1000)', { maxRows: 150 });
    expect([result.rows.length, result.truncated, result.rows[149]]).toEqual([150, 'rows', [150]]);
    const whole = await run('select generate_series(1, 150)', { maxRows: 150 });
    expect([whole.rows.length, whole.truncated]).toEqual([150, null]);
  });

  test('is stopped at the byte limit with whole rows', async () => {
    const result = await run(`select repeat('x', 1000) from generate_series(1, 100000)`, {
      maxRows: 100_000,
      maxBytes: 2e6,
    });
    expect(result.truncated).toBe('bytes');
    expect(result.rows.every(([text]) => (text as string).length === 1000)).toBe(true);
    expect(result.rows.length).toBeGreaterThan(1500);
    expect(result.rows.length).toBeLessThan(4000);
  });

  test('cannot fill the memory with one row', async () => {
    const before = process.memoryUsage().rss;
    await expect(run(`select repeat('x', 60000000)`, { maxBytes: 1e6, timeoutMs: 20_000 })).rejects.toThrow(
      /larger than 1 MiB/,
    );
    expect(process.memoryUsage().rss - before).toBeLessThan(100e6);
  });

  test('keeps the names and types of an empty result, and big integers exactly', async () => {
    const empty = await run('select 1::bigint as n, null::float8[] as xs where false');
    expect(empty.columns).toEqual([
      { name: 'n', type: 'bigint' },
      { name: 'xs', type: 'double precision[]' },
    ]);
    expect((await run('select 9007199254740993, 7::bigint')).rows).toEqual([['9007199254740993', 7]]);
  });

  test('is explained on demand', async () => {
    const { rows } = await run('explain select * from kv.cells');
    expect(rows.flat().join('\n')).toMatch(/Scan/);
  });

  test.each([
    ['two statements', 'select 1; delete from cell'],
    ['a setting first', 'set statement_timeout = 0; select 1'],
    ['a setting alone', 'set statement_timeout = 0'],
    ['a notification', `notify chan`],
    ['a copy', `copy (select 1) to program 'id'`],
    ['a commit', 'commit'],
    ['nothing', '   '],
  ])('is not %s', async (_, text) => {
    await expect(run(text)).rejects.toThrow(/^Not a single query: /);
  });

  test.each([
    ['a write', 'insert into public.output (sha) values (null) returning sha'],
    ['an explained write', 'explain analyze delete from public.cell'],
    ['a writing WITH', 'with gone as (delete from public.cell returning 1) select * from gone'],
    ['SELECT INTO', 'select 1 as x into temp stolen'],
    ['a table', 'select * from public.cell'],
    ['an internal view', 'select * from public.newest_run'],
    ['row locks', 'select cell_no from kv.cells for update'],
    ['a setting by function', `select set_config('statement_timeout', '0', false)`],
    ['the transaction timeout by function', `select set_config('transaction_timeout', '0', true)`],
    ['a setting by XML', `select query_to_xml('set statement_timeout = 0', true, true, '')`],
    ['a server file', `select pg_read_file('postgresql.conf')`],
    ['a server folder', `select * from pg_ls_dir('.')`],
    ['an advisory lock', 'select pg_advisory_lock(1)'],
    ['a try of an advisory lock', 'select pg_try_advisory_xact_lock_shared(1, 2)'],
    ['a notification by function', `select pg_notify('chan', 'x')`],
    ['the end of a session', 'select pg_terminate_backend(pid) from pg_stat_activity'],
    ['the end of a query', 'select pg_cancel_backend(pid) from pg_stat_activity'],
    ['a large object', 'select lo_create(0)'],
    ['a large object from bytes', `select lo_from_bytea(0, 'x')`],
    ['passwords', 'select rolpassword from pg_authid'],
    ['a message into the log', `select pg_logical_emit_message(false, 'x', 'y')`],
    ['a reload', 'select pg_reload_conf()'],
  ])('is refused %s', async (_, text) => {
    await expect(run(text)).rejects.toMatchObject({ name: 'QueryRefusal' });
    const [left] = await query<{ cells: number; locks: number; objects: number }>(
      database.db,
      `select (select count(*) from cell) as cells, (select count(*) from pg_locks where locktype = 'advisory') as locks,
              (select count(*) from pg_largeobject_metadata) as objects`,
    );
    expect(left).toEqual({ cells: 2, locks: 0, objects: 0 });
  });

  test('cannot sleep past its limit, in one row or in many', async () => {
    const started = Date.now();
    await expect(run('select pg_sleep(30)', { timeoutMs: 500 })).rejects.toThrow(/took longer than 0.5 s/);
    // Each FETCH of this one is short: only the transaction's limit ends it.
    const slow = `select pg_sleep(0.05), repeat('x', 10) from generate_series(1, 100000)`;
    await expect(run(slow, { timeoutMs: 700, maxRows: 1e6 })).rejects.toThrow(/took longer than 0.7 s/);
    expect(Date.now() - started).toBeLessThan(8000);
    expect(
      await query(
        database.db,
        `select 1 from pg_stat_activity where query like '%pg_sleep(%' and state = 'active' and pid <> pg_backend_pid()`,
      ),
    ).toEqual([]);
  });

  test('says in one sentence what is wrong and where', async () => {
    await expect(run('select colour\nfrom kv.cells')).rejects.toThrow(
      'Column "colour" does not exist (line 1, column 8); `kvsweep schema` lists the views and their columns.',
    );
    await expect(run('select 1\nfrom kv.cellz')).rejects.toThrow(
      'Relation "kv.cellz" does not exist (line 2, column 6); `kvsweep schema` lists the views and their columns.',
    );
    await expect(run('select 1 / 0')).rejects.toThrow('Division by zero.');
    await expect(run('selec 1')).rejects.toThrow(
      'Not a single query: syntax error at or near "selec" (line 1, column 1). Write one SELECT, WITH, VALUES or EXPLAIN.',
    );
  });
});

describe('a session of the reader without the wall', () => {
  test.each([
    ['make a temporary table', 'create temp table t (i int)'],
    ['write', 'delete from public.cell'],
    ['make a table', 'create table kv.t (i int)'],
    ['make a function', `create function kv.f() returns int language sql as 'select 1'`],
    ['read a table', 'select * from public.cell'],
    ['make a large object', 'select lo_create(0)'],
    ['raise its file limit', `set temp_file_limit = '1TB'`],
    ['become someone else', 'set role postgres'],
    ['run a program', `copy (select 1) to program 'id'`],
    ['read a file', `copy kv.cells from '/etc/passwd'`],
    ['end sessions', 'select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()'],
    ['lock out others', 'select pg_advisory_lock(1)'],
    [
      'use a scripting language',
      `do language plpgsql $$ begin perform pg_sleep(1); execute 'create table t (i int)'; end $$`,
    ],
  ])('cannot %s, even with read-only mode off', async (_, text) => {
    await asReader(async (client) => {
      await client.query('set default_transaction_read_only = off');
      await client.query('set statement_timeout = 5000');
      await expect(client.query(text)).rejects.toMatchObject({ code: expect.stringMatching(/^(42501|25006|42809)$/) });
    });
    expect(await query(database.db, 'select count(*)::int as n from cell')).toEqual([{ n: 2 }]);
  });

  test('has a limited number of connections', async () => {
    const [role] = await query<{ n: number }>(
      database.db,
      'select rolconnlimit as n from pg_roles where rolname = reader_role()',
    );
    expect(role!.n).toBe(16);
  });

  test('owns nothing and is member of nothing', async () => {
    const rows = await query(
      database.db,
      `select (select count(*) from pg_class where relowner = r.oid) as relations,
              (select count(*) from pg_auth_members where member = r.oid) as roles, rolsuper, rolcreaterole, rolinherit
         from pg_roles r where rolname = reader_role()`,
    );
    expect(rows).toEqual([{ relations: 0, roles: 0, rolsuper: false, rolcreaterole: false, rolinherit: false }]);
  });
});

test('ten first uses at once agree on the password', async () => {
  await query(database.db, `do $$ begin execute format('alter role %I password null', reader_role()); end $$`);
  const urls = await Promise.all(Array.from({ length: 10 }, () => readerUrl(database.url)));
  expect(new Set(urls).size).toBe(1);
  expect((await runReadOnly(urls[0]!, 'select 1')).rows).toEqual([[1]]);
});
