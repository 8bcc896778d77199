/**
 * A query through the wall (`reader.ts`) whose result may be of any size: rows come in batches of bounded size, as the
 * text that Postgres writes, for the caller to convert. The whole result is of one moment: a cursor keeps its snapshot.
 */
import pg from 'pg';
import { coerceError } from './database.ts';
import { CURSOR, cancelQuery, type QueryColumn, refusal, typeNames } from './reader.ts';

export interface StreamColumn extends QueryColumn {
  /** Number of the type in Postgres's catalogue. */
  oid: number;
}

export interface ReadOnlyStream extends AsyncDisposable {
  columns: StreamColumn[];
  /** Batches of rows in order; a value is its text, null = SQL null. To be read once. */
  batches(): AsyncGenerator<(string | null)[][]>;
}

export interface StreamOptions {
  params?: readonly unknown[];
  /** For the whole: the query and the reading of its rows. */
  timeoutMs: number;
  /** Ends the query on the server. */
  signal?: AbortSignal;
}

const FIRST_BATCH = 100;
const LARGEST_BATCH = 5000;
/** What a batch may hold, by the mean size of the rows before it. */
const BATCH_BYTES = 2 ** 20;
/** A reader may be slow (a pipe); the server would end a session that is idle for a minute in a transaction. */
const IDLE_MS = 3_600_000;

const raw: pg.CustomTypesConfig = {
  getTypeParser: (() => (text: string) => text) as unknown as pg.CustomTypesConfig['getTypeParser'],
};

/** @param url the reader's (`readerUrl`) @throws QueryRefusal with a sentence for the author of the query */
export async function streamReadOnly(url: string, text: string, options: StreamOptions): Promise<ReadOnlyStream> {
  const { params = [], timeoutMs, signal } = options;
  const client = new pg.Client({ connectionString: url, application_name: 'kvsweep export' });
  client.on('error', () => undefined);
  await client.connect();
  let late = false;
  const onAbort = () => cancelQuery(url, client);
  const timer = setTimeout(() => {
    late = true;
    onAbort();
  }, timeoutMs);
  signal?.addEventListener('abort', onAbort);
  const refuse = (error: unknown) => {
    signal?.throwIfAborted();
    return refusal(coerceError(error), text, { timeoutMs, maxBytes: Infinity, cut: late ? 'time' : null });
  };
  const close = async () => {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
    // Ending the connection rolls back; there is nothing to keep.
    await client.end().catch(() => undefined);
  };
  const fetch = (rows: number) =>
    client.query<(string | null)[]>({ text: `fetch ${rows} from kvsweep_query`, rowMode: 'array', types: raw });
  try {
    await client.query('begin read only');
    await client.query(`set local timezone = 'UTC'`);
    await client.query(`set local datestyle = 'ISO, YMD'`);
    await client.query(`set local statement_timeout = ${Math.ceil(timeoutMs)}`);
    await client.query(`set local idle_in_transaction_session_timeout = ${IDLE_MS}`);
    const { rows } = await client.query<{ n: number }>(`select current_setting('server_version_num')::int as n`);
    if (rows[0]!.n >= 170000) await client.query(`set local transaction_timeout = ${Math.ceil(timeoutMs)}`);
    // All rows will be read: the plan is not to hurry to the first tenth.
    await client.query('set local cursor_tuple_fraction = 1');
    await client.query({ text: CURSOR + text, values: [...params], queryMode: 'extended' } as pg.QueryConfig);
    const { fields } = await fetch(0);
    const names = await typeNames(client, fields);
    const columns = fields.map((field, i) => ({ ...names[i]!, oid: field.dataTypeID }));
    return { columns, batches: () => batches(fetch, refuse, signal), [Symbol.asyncDispose]: close };
  } catch (error) {
    await close();
    throw refuse(error);
  }
}

async function* batches(
  fetch: (rows: number) => Promise<pg.QueryResult<(string | null)[]>>,
  refuse: (error: unknown) => Error,
  signal: AbortSignal | undefined,
): AsyncGenerator<(string | null)[][]> {
  let want = FIRST_BATCH;
  for (;;) {
    signal?.throwIfAborted();
    const { rows } = await fetch(want).catch((error: unknown) => {
      throw refuse(error);
    });
    if (rows.length > 0) yield rows;
    if (rows.length < want) return;
    const bytes = rows.reduce((sum, row) => sum + row.reduce((n, value) => n + (value?.length ?? 0) + 8, 0), 0);
    want = Math.max(1, Math.min(LARGEST_BATCH, 2 * want, Math.floor((BATCH_BYTES * rows.length) / bytes)));
  }
}
