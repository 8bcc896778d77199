import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } from 'hyparquet';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { query } from '../activities/database.ts';
import { kvsweep } from './support/command-line.ts';
import { useDatabase } from './support/database.ts';
import { cellPlan } from './support/plans.ts';
import { finishedSweep } from './support/sweeps.ts';

const database = useDatabase();
let folder: string;
let env: Record<string, string>;
const file = (name: string) => join(folder, name);
const run = (...argv: string[]) => kvsweep(env, 'export', ...argv);

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'kvsweep-export-'));
  env = {
    PATH: process.env.PATH!,
    HOME: folder,
    KVSWEEP_HOME: join(folder, 'state'),
    DATABASE_URL: database.url,
    TEMPORAL_ADDRESS: '127.0.0.1:1',
  };
  const lists = [[1], [2, 3], [4, 5, 6]];
  await finishedSweep(database.db, 'one', [{ plan: cellPlan('a'), lists }]);
  await finishedSweep(database.db, 'two', [
    { plan: cellPlan('b', { batch: 2 }), lists },
    { plan: cellPlan('c', { batch: 4 }), lists },
  ]);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function parquetRows(name: string): Promise<Record<string, unknown>[]> {
  return (await parquetReadObjects({ file: await asyncBufferFromFile(file(name)) })) as Record<string, unknown>[];
}

/** Every kind of value that a view may hold, the awkward ones of each. */
const KINDS = `
  select * from (values
    (1::int4, 9007199254740993::int8, 0.1::float8, 'a "quoted", text'::text, true, '{"big": 12345678901234567890, "t": "é\\n"}'::jsonb,
     '2026-11-25 21:30:00.123456+00'::timestamptz, array[1, null, 3]::int4[], array['x', null, 'a,"b"']::text[],
     array[0.5, '-infinity']::float8[], 12.50::numeric(8, 2), '2026-11-25'::date),
    (-2, -9223372036854775808, '-infinity', e'line\\r\\nbreak 😀', false, '[]', '1969-12-31 23:59:59.5-01', '{}', '{}', '{}', 0, '1969-12-31'),
    (null, null, null, null, null, null, null, null, null, null, null, null),
    (0, 0, 'nan', '', true, 'null', '2000-01-01', null, null, null, 1e20, '2000-01-01'))
  as t (i4, i8, f8, txt, yes, doc, at, ints, texts, floats, num, day)`;

describe('every kind of value comes back', () => {
  test('from Parquet, with its type', async () => {
    const { code, stdout, stderr } = await run('--sql', KINDS, '--out', file('kinds.parquet'), '--json');
    expect([code, stderr]).toEqual([0, '']);
    expect(JSON.parse(stdout)).toMatchObject({ rows: 4, format: 'parquet', out: file('kinds.parquet') });
    const rows = await parquetRows('kinds.parquet');
    expect(rows[0]).toEqual({
      i4: 1,
      i8: 9007199254740993n,
      f8: 0.1,
      txt: 'a "quoted", text',
      yes: true,
      doc: '{"t": "é\\n", "big": 12345678901234567890}',
      at: new Date('2026-11-25T21:30:00.123Z'),
      ints: [1, null, 3],
      texts: ['x', null, 'a,"b"'],
      floats: [0.5, -Infinity],
      num: 12.5,
      day: new Date('2026-11-25'),
    });
    expect(rows[1]).toMatchObject({ i8: -9223372036854775808n, f8: -Infinity, txt: 'line\r\nbreak 😀', yes: false });
    expect(rows[1]).toMatchObject({ ints: [], at: new Date('1970-01-01T00:59:59.5Z'), day: new Date('1969-12-31') });
    expect(Object.values(rows[2]!).every((value) => value === null)).toBe(true);
    expect(rows[3]).toMatchObject({ f8: NaN, txt: '', num: 1e20, ints: null });
    const { schema } = await parquetMetadataAsync(await asyncBufferFromFile(file('kinds.parquet')));
    const types = Object.fromEntries(schema.map((s) => [s.name, s.logical_type?.type ?? s.type]));
    expect(types).toMatchObject({
      i4: 'INT32',
      i8: 'INT64',
      f8: 'DOUBLE',
      txt: 'STRING',
      yes: 'BOOLEAN',
      doc: 'STRING',
    });
    expect(schema.find((s) => s.name === 'at')!.logical_type).toEqual({
      type: 'TIMESTAMP',
      isAdjustedToUTC: true,
      unit: 'MICROS',
    });
  });

  test('from JSON lines: integers exact, lists and documents as they are, infinities as text', async () => {
    expect((await run('--sql', KINDS, '--out', file('kinds.jsonl'))).code).toBe(0);
    const lines = readFileSync(file('kinds.jsonl'), 'utf8').split('\n');
    expect(lines.length).toBe(5);
    expect(lines[0]).toContain('"i8":9007199254740993,');
    expect(lines[0]).toContain('"big": 12345678901234567890');
    const rows = lines.slice(0, 4).map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(rows[0]).toMatchObject({
      f8: 0.1,
      yes: true,
      at: '2026-11-25T21:30:00.123456Z',
      ints: [1, null, 3],
      texts: ['x', null, 'a,"b"'],
      floats: [0.5, '-Infinity'],
      day: '2026-11-25',
    });
    expect(rows[1]).toMatchObject({ f8: '-Infinity', txt: 'line\r\nbreak 😀', yes: false, doc: [] });
    expect(Object.values(rows[2]!).every((value) => value === null)).toBe(true);
  });

  test('from CSV: null and an empty text are told apart', async () => {
    expect((await run('--sql', KINDS, '--out', file('kinds.csv'))).code).toBe(0);
    const text = readFileSync(file('kinds.csv'), 'utf8');
    expect(text.split('\r\n')[0]).toBe('i4,i8,f8,txt,yes,doc,at,ints,texts,floats,num,day');
    expect(text).toContain('1,9007199254740993,0.1,"a ""quoted"", text",true,');
    expect(text).toContain('"[1,null,3]","[""x"",null,""a,\\""b\\""""]"');
    expect(text).toContain('\r\n,,,,,,,,,,,\r\n');
    expect(text).toContain('0,0,NaN,"",true,null,2000-01-01T00:00:00Z,,,,100000000000000000000,2000-01-01');
  });
});

describe('what is exported', () => {
  test('a view; its rows of one sweep; those that fit a condition', async () => {
    const rowsOf = async (...argv: string[]) => {
      const { code, stdout, stderr } = await run(...argv, '--format', 'jsonl', '--out', '-');
      expect([code, stderr]).toEqual([0, expect.stringMatching(/^\d+ rows\n$/)]);
      return stdout
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as Record<string, unknown>);
    };
    expect((await rowsOf('samples')).length).toBe(9);
    expect((await rowsOf('kv.samples', '--sweep', 'two')).length).toBe(6);
    expect((await rowsOf('cells', '--sweep', 'two', '--where', 'cell_no > 0 -- the second one')).length).toBe(1);
    const [row] = await rowsOf('samples', '--sweep', 'one', '--where', "prompt_key like '%2'");
    expect(row).toMatchObject({ new_tokens: 3, token_ids: [4, 5, 6], text: 'text of 4 5 6' });
  });

  test('a query with parameters', async () => {
    const { stdout } = await run('--sql', 'select $1::int + 1 as n;', '--param', '41', '--out', '-', '--format', 'csv');
    expect(stdout).toBe('n\r\n42\r\n');
  });

  test('no rows are a file with a header, in Parquet with its columns', async () => {
    await run('samples', '--where', 'false', '--out', file('none.csv'));
    expect(readFileSync(file('none.csv'), 'utf8')).toMatch(/^cell_key,prompt_key,[^\n]*\r\n$/);
    await run('samples', '--where', 'false', '--out', file('none.parquet'));
    const { schema, num_rows } = await parquetMetadataAsync(await asyncBufferFromFile(file('none.parquet')));
    expect([num_rows, schema[1]!.name]).toEqual([0n, 'cell_key']);
  });
});

describe('mistakes are told in a sentence', () => {
  test.each<[string, string[], string]>([
    ['an unknown view', ['sampels', '--out', 'x.csv'], "there is no view 'sampels' (did you mean samples?)"],
    [
      'an unknown sweep',
      ['samples', '--sweep', 'twoo', '--out', 'x.csv'],
      "there is no sweep 'twoo' (did you mean two?)",
    ],
    ['no target', ['samples'], '--out FILE'],
    ['no view', ['--out', 'x.csv'], 'name a view or give --sql'],
    ['a name that tells no format', ['samples', '--out', 'x.dat'], '--format is needed'],
    ['an unknown format', ['samples', '--out', 'x', '--format', 'xlsx'], 'csv, jsonl, parquet'],
    ['Parquet on standard output', ['samples', '--out', '-', '--format', 'parquet'], 'give it a file'],
    ['a folder that is not there', ['samples', '--out', '/nowhere/x.csv'], 'its folder does not exist'],
    ['a folder as file', ['samples', '--out', '/tmp', '--format', 'csv'], 'is a folder'],
    ['a condition with an unknown column', ['samples', '--where', 'lenght > 1', '--out', 'x.csv'], 'lenght'],
    ['two columns of a name', ['--sql', 'select 1 as a, 2 as a', '--out', 'x.csv'], "two columns named 'a'"],
    ['a write', ['--sql', 'delete from kv.cells', '--out', 'x.csv'], 'Not a single query'],
    ['a table', ['--sql', 'select * from public.cell', '--out', 'x.csv'], 'Views are in schema kv'],
    ['a view without cells', ['calibrations', '--sweep', 'two', '--out', 'x.csv'], '--sweep does not apply'],
    ['a filter beside a query', ['--sql', 'select 1', '--where', 'true', '--out', 'x.csv'], 'into the query'],
  ])('%s', async (_name, argv, says) => {
    const { code, stdout, stderr } = await run(...argv);
    expect(stderr).toContain(says);
    expect(stderr).not.toContain('    at ');
    expect([code, stdout]).toEqual([2, '']);
  });

  test('a query that fails in the middle leaves the file that was there', async () => {
    writeFileSync(file('kept.csv'), 'before');
    const late = 'select 1 / (20000 - n) as x from generate_series(1, 30000) as n';
    const { code, stderr } = await run('--sql', late, '--out', file('kept.csv'));
    expect([code, stderr]).toEqual([2, expect.stringContaining('ivision by zero')]);
    expect(readFileSync(file('kept.csv'), 'utf8')).toBe('before');
    expect(readdirSync(folder).filter((name) => name.endsWith('.part'))).toEqual([]);
  });

  test('a value without a place in Parquet leaves no file and says what to do', async () => {
    const { code, stderr } = await run(
      '--sql',
      "select array[[1, 2]] as a, 'infinity'::timestamptz as t",
      '--out',
      file('x.parquet'),
    );
    expect([code, stderr]).toEqual([2, expect.stringContaining('to_json')]);
    expect(readdirSync(folder)).not.toContain('x.parquet');
  });

  test('a query over its time is stopped', async () => {
    const { code, stderr } = await run('--sql', 'select pg_sleep(60)', '--timeout', '1', '--out', file('slow.csv'));
    expect([code, stderr]).toEqual([2, expect.stringContaining('longer than 1 s')]);
  });
});

/** In a process of its own, as a user runs it. */
function program(...argv: string[]) {
  const root = fileURLToPath(new URL('..', import.meta.url));
  const child = spawn(process.execPath, ['--import', './tools/typescript.mjs', 'cli/index.ts', 'export', ...argv], {
    cwd: root,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  return { child, stderr: () => stderr };
}

test('an interrupted export leaves no file and ends with 130', async () => {
  const out = join(folder, 'cut');
  mkdirSync(out);
  const endless = 'select n, md5(n::text) as text from generate_series(1, 100000000) as n';
  const { child } = program('--sql', endless, '--out', join(out, 'big.csv'));
  const exit = once(child, 'exit');
  child.stdout.resume();
  const deadline = Date.now() + 30_000;
  // the file beside the target shows that rows are being written
  while (readdirSync(out).length === 0 && Date.now() < deadline) await new Promise((done) => setTimeout(done, 20));
  expect(readdirSync(out)).toEqual([expect.stringMatching(/^\.big\.csv\.\d+\.part$/)]);
  child.kill('SIGINT');
  expect((await exit)[0]).toBe(130);
  expect(readdirSync(out)).toEqual([]);
});

test('a reader that has seen enough (| head) ends the export quietly', async () => {
  const { child, stderr } = program(
    '--sql',
    'select n from generate_series(1, 10000000) as n',
    '--out',
    '-',
    '--format',
    'csv',
  );
  const exit = once(child, 'exit');
  await once(child.stdout, 'data');
  child.stdout.destroy();
  expect((await exit)[0]).toBe(0);
  expect(stderr()).toBe('');
});

test.each(['csv', 'jsonl', 'parquet'])(
  'memory does not grow with the rows: 240,000 rows of a kilobyte as %s',
  { timeout: 240_000 },
  async (format) => {
    const sql = `select n, n::float8 / 7 as f, repeat(md5(n::text), 32) as text, array[n, n + 1] as ids
                   from generate_series(1, 240000) as n`;
    const small = await kvsweep(
      env,
      'export',
      '--sql',
      sql.replace('240000', '30000'),
      '--out',
      file(`warm.${format}`),
    );
    expect(small.code).toBe(0);
    const before = process.memoryUsage().rss;
    let peak = before;
    const watch = setInterval(() => {
      peak = Math.max(peak, process.memoryUsage().rss);
    }, 10);
    const { code } = await run('--sql', sql, '--out', file(`large.${format}`));
    clearInterval(watch);
    expect(code).toBe(0);
    // 240 MB of text pass through; a result held whole would show
    expect(peak - before).toBeLessThan(150 * 2 ** 20);
    if (format === 'parquet') {
      const metadata = await parquetMetadataAsync(await asyncBufferFromFile(file('large.parquet')));
      expect([metadata.num_rows, metadata.row_groups.length > 5]).toEqual([240000n, true]);
      const last = await parquetReadObjects({
        file: await asyncBufferFromFile(file('large.parquet')),
        rowStart: 239999,
      });
      expect(last).toMatchObject([{ n: 240000, f: 240000 / 7, ids: [240000, 240001] }]);
    }
    rmSync(file(`large.${format}`));
  },
);

test('the file that an export replaces is whole at every moment', async () => {
  writeFileSync(file('again.csv'), 'n\r\n0\r\n');
  const seen = new Set<string>();
  const export2 = run('--sql', 'select n from generate_series(1, 200000) as n', '--out', file('again.csv'));
  const watch = setInterval(() => seen.add(readFileSync(file('again.csv'), 'utf8').slice(-8)), 1);
  await export2;
  clearInterval(watch);
  expect([...seen].every((end) => end === 'n\r\n0\r\n'.slice(-8) || end.endsWith('200000\r\n'))).toBe(true);
  expect(await query(database.db, 'select 1 as x')).toEqual([{ x: 1 }]);
});
