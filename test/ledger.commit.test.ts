import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { from as copyFrom } from 'pg-copy-streams';
import { describe, expect, test } from 'vitest';
import { poolOf, query } from '../activities/database.ts';
import { copyLine } from '../activities/ledger/copy-text.ts';
import {
  bytesOfTokens,
  claimGroup,
  commitCell,
  insertPlan,
  openRun,
  StaleAttempt,
  tokensOf,
} from '../activities/ledger.ts';
import { useDatabase } from './support/database.ts';
import { type CellOptions, cellPlan, promptSet, sweepPlan } from './support/plans.ts';
import { commitInput, output, outputsOf, sampleRow } from './support/rows.ts';

const database = useDatabase();

/** A sweep of one group whose cells are leased to 'me'. */
async function leased(id: string, names: string[], options: CellOptions & { fresh?: boolean } = {}) {
  const cells = names.map((name) => cellPlan(name, options));
  const sets = options.prompts ? [options.prompts] : [promptSet(3)];
  const { sweepNo } = await insertPlan(database.db, sweepPlan(id, [cells], { promptSets: sets }), {
    fresh: options.fresh ?? false,
  });
  const { runNo } = await openRun(database.db, id, 'run');
  await claimGroup(database.db, { sweepNo, groupNo: 0, runNo, scheduledMs: 1, lease: 'me', hostId: null, maxTries: 3 });
  return { sweepNo, lease: (cellNo: number) => ({ sweepNo, cellNo, lease: 'me' }) };
}

const countOf = async (table: string, sweepNo: number) =>
  (await query<{ n: number }>(database.db, `select count(*) as n from ${table} where sweep_no = $1`, [sweepNo]))[0]!.n;

test('status, samples, outputs, kept, throughput and probes come together', async () => {
  const { sweepNo, lease } = await leased('all rows', ['all rows']);
  const lists = [[5, 6, 4_000_000_000], [], [7]];
  await commitCell(
    database.db,
    commitInput(lease(0), lists, {
      kept: [{ sampleIdx: 0, rep: 0, seen: 13, layers: 1, kvHeads: 2, bitmap: Buffer.from([255, 31, 1, 16]) }],
      throughput: [
        {
          phase: 'decode',
          repeat: 0,
          guard: false,
          batch: 1,
          promptTokens: 512,
          steps: 64,
          tokens: 64,
          seconds: 0.5,
          bytesStep: null,
          boundS: 0.25,
          peakBytes: 9_000_000_000,
          bytesEnd: null,
          keptMean: null,
          clockMhz: null,
          usStep: { attention: 1 },
        },
      ],
      probes: [{ batch: 96, fits: false, errorKind: 'out_of_memory' }],
    }),
  );
  const [cell] = await query(
    database.db,
    `select status, summary ->> 'numerics' as numerics, n_alarms from cell where sweep_no = $1`,
    [sweepNo],
  );
  expect(cell).toEqual({ status: 'done', numerics: 'cpu-1', n_alarms: 0 });
  const samples = await query<{ out: Buffer; text: Buffer }>(
    database.db,
    `select o.bytes as out, t.bytes as text, s.kept_mean, s.decode_us, s.extra
       from sample s join output o on o.sha = s.out_sha join output t on t.sha = s.text_sha
      where sweep_no = $1 order by sample_idx`,
    [sweepNo],
  );
  expect(samples.map((row) => [...tokensOf(row.out)])).toEqual(lists);
  expect(samples[0]).toMatchObject({ kept_mean: 12.25, decode_us: 3000, extra: { kept_layers: [12, 12.5] } });
  expect(samples[0]!.text.toString()).toBe('text of 5 6 4000000000');
  expect(await countOf('kept', sweepNo)).toBe(1);
  expect(
    await query(database.db, 'select batch, fits, error_kind from throughput_probe where sweep_no = $1', [sweepNo]),
  ).toEqual([{ batch: 96, fits: false, error_kind: 'out_of_memory' }]);
  expect(
    await query(database.db, 'select seconds, peak_bytes, us_step from throughput_run where sweep_no = $1', [sweepNo]),
  ).toEqual([{ seconds: 0.5, peak_bytes: 9_000_000_000, us_step: { attention: 1 } }]);
});

test('a commit repeated under the same lease changes nothing and is told that it stands', async () => {
  const { sweepNo, lease } = await leased('twice', ['twice']);
  const rows = [[1], [2], [3]];
  await commitCell(database.db, commitInput(lease(0), rows));
  // What a worker does that never heard of its commit, however long the server was away.
  await expect(commitCell(database.db, commitInput(lease(0), rows))).resolves.toEqual({ alarms: 0 });
  expect(await countOf('sample', sweepNo)).toBe(3);
});

test('if the connection breaks at the commit, the answer is right either way', async () => {
  const { sweepNo, lease } = await leased('unknown', ['unknown 1', 'unknown 2', 'unknown 3']);
  const pool = poolOf(database.db);
  const connect = pool.connect.bind(pool);
  const breakNext = (when: 'before' | 'after') => {
    // The connection ends around the statement, as when the server or the network goes at that moment.
    pool.connect = (async () => {
      pool.connect = connect;
      const client = await connect();
      const send = client.query.bind(client) as (...args: unknown[]) => Promise<unknown>;
      client.query = (async (...args: unknown[]) => {
        client.query = send as typeof client.query;
        if (when === 'after') await send(...args);
        throw Object.assign(new Error('Connection terminated unexpectedly'), { code: 'ECONNRESET' });
      }) as typeof client.query;
      return client;
    }) as typeof pool.connect;
  };
  try {
    breakNext('before');
    expect(await commitCell(database.db, commitInput(lease(0), [[1], [2], [3]]))).toEqual({ alarms: 0 });
    breakNext('after');
    expect(await commitCell(database.db, commitInput(lease(1), [[1], [2], [3]]))).toEqual({ alarms: 0 });
    breakNext('before');
    await expect(commitCell(database.db, commitInput({ ...lease(2), lease: 'another' }, [[1]]))).rejects.toBeInstanceOf(
      StaleAttempt,
    );
  } finally {
    pool.connect = connect;
  }
  expect(await countOf('sample', sweepNo)).toBe(6);
});

test('ten cells with the same outputs in another order commit at once without a deadlock', async () => {
  const names = Array.from({ length: 10 }, (_, i) => `same ${i}`);
  const { lease } = await leased('same outputs', names);
  const lists = Array.from({ length: 200 }, (_, i) => [i, i + 1, i + 2]);
  await Promise.all(
    names.map((_, i) =>
      commitCell(database.db, commitInput(lease(i), i % 2 ? lists : lists.toReversed(), { samples: [] })),
    ),
  );
  const [row] = await query<{ n: number }>(database.db, `select count(*) as n from output where sha = any ($1)`, [
    outputsOf(lists).map((o) => Buffer.from(o.sha, 'hex')),
  ]);
  expect(row!.n).toBe(400);
});

test('another result for the same key is an alarm, the same one is none', async () => {
  const first = await leased('first', ['det a', 'det b']);
  await commitCell(database.db, commitInput(first.lease(0), [[1], [2], [3]]));
  await commitCell(database.db, commitInput(first.lease(1), [[1], [2], [3]]));
  const again = await leased('again', ['det a', 'det b'], { fresh: true });
  expect(await commitCell(database.db, commitInput(again.lease(0), [[1], [2], [3]]))).toEqual({ alarms: 0 });
  expect(await commitCell(database.db, commitInput(again.lease(1), [[1], [9], [8]]))).toEqual({ alarms: 2 });
});

test('a message with NUL or half a surrogate pair is stored with replacement characters', async () => {
  const { sweepNo, lease } = await leased('nul', ['nul']);
  const samples = [
    sampleRow(0, [1], { finish: 'error', errorKind: 'numeric', extra: { error_message: 'a\0b\ud800c' } }),
  ];
  await commitCell(database.db, commitInput(lease(0), [[1]], { samples }));
  expect(
    await query(database.db, `select extra ->> 'error_message' as m from sample where sweep_no = $1`, [sweepNo]),
  ).toEqual([{ m: 'a\ufffdb\ufffdc' }]);
});

describe('more samples than one statement takes', () => {
  const many = promptSet(5000, 'many');
  const lists = many.prompts.map((_, i) => [i % 7, i % 11]);

  test('are copied and merged behind the same fence', async () => {
    const { sweepNo, lease } = await leased('many', ['many'], { prompts: many });
    await expect(commitCell(database.db, commitInput({ ...lease(0), lease: 'zombie' }, lists))).rejects.toBeInstanceOf(
      StaleAttempt,
    );
    expect(await countOf('sample', sweepNo)).toBe(0);
    expect(await commitCell(database.db, commitInput(lease(0), lists))).toEqual({ alarms: 0 });
    const [row] = await query(
      database.db,
      `select count(*) as n, count(distinct sample_idx) as idx, min(kept_mean) as kept, count(o.sha) as outputs,
              (select status from cell where sweep_no = $1) as status
         from sample s left join output o on o.sha = s.out_sha where sweep_no = $1`,
      [sweepNo],
    );
    expect(row).toEqual({ n: 5000, idx: 5000, kept: 12.25, outputs: 5000, status: 'done' });
  });

  test('raise the same alarms', async () => {
    const { lease } = await leased('many again', ['many'], { prompts: many, fresh: true });
    const other = lists.map((tokens, i) => (i < 3 ? [99] : tokens));
    expect(await commitCell(database.db, commitInput(lease(0), other))).toEqual({ alarms: 3 });
  });
});

test('every text survives the COPY encoding', async () => {
  // SplitMix-like draws over the characters that the format gives a meaning, and a few that it does not.
  const alphabet = [
    '\\',
    '\t',
    '\n',
    '\r',
    '\b',
    '\f',
    '\v',
    'N',
    '.',
    'x',
    '"',
    "'",
    '{',
    ' ',
    'ü',
    '漢',
    '\u{1f600}',
    '\x7f',
    '\x01',
  ];
  let state = 12345;
  const draw = (n: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
  const texts = Array.from({ length: 2000 }, () =>
    Array.from({ length: draw(12) }, () => alphabet[draw(alphabet.length)]!).join(''),
  );
  texts.push('\\.', '\\N', '', '\\');
  const client = await poolOf(database.db).connect();
  try {
    await client.query('create temp table texts (i int, t text, b bytea, x float8)');
    const lines = texts.map((text, i) => copyLine([i, text, Buffer.from(text), i === 0 ? null : i / 3]));
    await pipeline(Readable.from(lines), client.query(copyFrom('copy texts from stdin')));
    const { rows } = await client.query<{ t: string; b: Buffer; x: number | null }>(
      'select t, b, x from texts order by i',
    );
    expect(rows.map((row) => row.t)).toEqual(texts);
    expect(rows.map((row) => row.b.toString())).toEqual(texts);
    expect(rows.map((row) => row.x)).toEqual(texts.map((_, i) => (i === 0 ? null : i / 3)));
    await client.query('drop table texts');
  } finally {
    client.release();
  }
});

// The digest: python3 -c "import hashlib,struct; print(hashlib.sha256(struct.pack('<2I',791,4320)).hexdigest())"
test('token ids are four little-endian bytes each', () => {
  expect(bytesOfTokens([1, 258, 4_294_967_295]).toString('hex')).toBe('0100000002010000ffffffff');
  expect(output(bytesOfTokens([791, 4320])).sha).toBe(
    '53cb8d3b97f712bcdd031fd236b85c01e139abd1569cb87b7a29ca4ebdfe288d',
  );
});

describe('the next cell', () => {
  const tries = async (sweepNo: number) =>
    (
      await query<{ tries: number; started: boolean }>(
        database.db,
        'select tries, started_at is not null as started from cell where sweep_no = $1 order by cell_no',
        [sweepNo],
      )
    ).map((row) => [row.tries, row.started]);

  test('starts with the commit of the one before', async () => {
    const { sweepNo, lease } = await leased('next', ['next 1', 'next 2', 'next 3']);
    const commit = { ...commitInput(lease(0), [[1], [2], [3]]), next: 1 };
    expect(await commitCell(database.db, commit)).toEqual({ alarms: 0, started: true });
    expect(await tries(sweepNo)).toEqual([
      [0, false],
      [1, true],
      [0, false],
    ]);
  });

  test('does not start in a sweep that is paused, under a lost lease, or after a commit that was refused', async () => {
    const { sweepNo, lease } = await leased('next held', ['held 1', 'held 2', 'held 3']);
    await expect(
      commitCell(database.db, { ...commitInput({ ...lease(0), lease: 'zombie' }, [[1]]), next: 1 }),
    ).rejects.toBeInstanceOf(StaleAttempt);
    await query(database.db, `update cell set lease = 'another' where sweep_no = $1 and cell_no = 2`, [sweepNo]);
    expect(await commitCell(database.db, { ...commitInput(lease(0), [[1], [2], [3]]), next: 2 })).toEqual({
      alarms: 0,
    });
    await query(database.db, `update sweep set status = 'paused' where sweep_no = $1`, [sweepNo]);
    expect(await commitCell(database.db, { ...commitInput(lease(1), [[1], [2], [3]]), next: 2 })).toEqual({
      alarms: 0,
    });
    expect(await tries(sweepNo)).toEqual([
      [0, false],
      [0, false],
      [0, false],
    ]);
  });
});
