/**
 * The query wall: one statement of a user, run as the read-only role. What keeps it harmless is, in this order: the
 * role's privileges (migration 6); a cursor in a read-only transaction, which takes a query and nothing else; limits
 * on time, rows and bytes that are kept on this side too.
 */
import { createHmac } from 'node:crypto';
import { createConnection } from 'node:net';
import pg from 'pg';
import { coerceError, parseInt8, sqlState } from './database.ts';

export interface QueryLimits {
  maxRows?: number;
  /** Of what the server sends: a result is cut there; a single row far beyond it is an error. */
  maxBytes?: number;
  timeoutMs?: number;
  /** Values of $1, $2 ... */
  params?: readonly unknown[];
}

export interface QueryColumn {
  name: string;
  /** As Postgres writes it: `double precision`, `text[]`. */
  type: string;
}

export interface QueryResult {
  columns: QueryColumn[];
  rows: unknown[][];
  /** Which limit cut the result short; null = these are all rows. */
  truncated: 'rows' | 'bytes' | null;
  ms: number;
}

/** The query was refused, failed or took too long; the message is for its author. */
export class QueryRefusal extends Error {
  override name = 'QueryRefusal';
  /** SQLSTATE, when the server said it. */
  readonly code: string | null;

  constructor(message: string, code: string | null, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** What a user's query runs behind: a cursor takes one query and nothing else. */
export const CURSOR = 'declare kvsweep_query no scroll cursor for ';
const FIRST_CHUNK = 100;
const LARGEST_CHUNK = 2000;
/** How long after the server's own limits this side waits before it cancels, and then before it hangs up. */
const CANCEL_GRACE_MS = 500;
const HANGUP_GRACE_MS = 2000;

/** Runs one query on `url`, which has to be the reader's (`readerUrl`). A query that begins with EXPLAIN is explained. */
export async function runReadOnly(url: string, text: string, limits: QueryLimits = {}): Promise<QueryResult> {
  const { maxRows = 10_000, maxBytes = 64 * 2 ** 20, timeoutMs = 30_000, params = [] } = limits;
  const started = performance.now();
  const client = new pg.Client({ connectionString: url, application_name: 'kvsweep query', types: readerTypes });
  client.on('error', () => undefined);
  await client.connect();
  const guard = watch(client, url, timeoutMs, maxBytes);
  try {
    await client.query('begin read only');
    const { rows: version } = await client.query<{ n: number }>(
      `select current_setting('server_version_num')::int as n`,
    );
    await client.query(`set local statement_timeout = ${Math.ceil(timeoutMs)}`);
    // statement_timeout starts anew with each FETCH; only this one bounds the whole.
    if (version[0]!.n >= 170000) await client.query(`set local transaction_timeout = ${Math.ceil(timeoutMs)}`);
    const isExplain = /^\s*explain\b/i.test(text);
    const result = isExplain
      ? await explain(client, text, params)
      : await fetchAll(client, text, params, maxRows, guard);
    return { ...result, columns: await typeNames(client, result.fields), ms: performance.now() - started };
  } catch (error) {
    throw refusal(coerceError(error), text, { timeoutMs, maxBytes, cut: guard.cut() });
  } finally {
    guard.stop();
    // Ending the connection rolls back; there is nothing to keep.
    await client.end().catch(() => undefined);
  }
}

interface Fetched {
  fields: pg.FieldDef[];
  rows: unknown[][];
  truncated: QueryResult['truncated'];
}

async function fetchAll(
  client: pg.Client,
  text: string,
  params: readonly unknown[],
  maxRows: number,
  guard: Guard,
): Promise<Fetched> {
  // The extended protocol takes one command: a second one behind ";" is refused by the server.
  await client.query({ text: CURSOR + text, values: [...params], queryMode: 'extended' } as pg.QueryConfig);
  const rows: unknown[][] = [];
  for (let chunk = FIRST_CHUNK; ; chunk = guard.nextChunk(rows.length)) {
    const want = Math.min(chunk, maxRows + 1 - rows.length);
    const result = await client.query<unknown[]>({ text: `fetch ${want} from kvsweep_query`, rowMode: 'array' });
    rows.push(...result.rows);
    const { fields } = result;
    if (rows.length > maxRows) return { fields, rows: rows.slice(0, maxRows), truncated: 'rows' };
    if (result.rows.length < want) return { fields, rows, truncated: null };
    if (guard.isFull()) return { fields, rows, truncated: 'bytes' };
  }
}

async function explain(client: pg.Client, text: string, params: readonly unknown[]): Promise<Fetched> {
  const config = { text, values: [...params], rowMode: 'array', queryMode: 'extended' } as pg.QueryArrayConfig;
  const { fields, rows } = await client.query<unknown[]>(config);
  return { fields, rows, truncated: null };
}

/** Names and types of a result's columns. */
export async function typeNames(client: pg.Client, fields: readonly pg.FieldDef[]): Promise<QueryColumn[]> {
  const { rows } = await client.query<{ type: string }>({
    text: `select format_type(t.oid, t.mod) as type
             from unnest($1::oid[], $2::int[]) with ordinality as t (oid, mod, n) order by t.n`,
    values: [fields.map((field) => field.dataTypeID), fields.map((field) => field.dataTypeModifier)],
  });
  return fields.map((field, i) => ({ name: field.name, type: rows[i]!.type }));
}

interface Guard {
  /** The rows so far make up the limit: stop between two chunks, with whole rows. */
  isFull(): boolean;
  /** How many more rows of the mean size fit. */
  nextChunk(rowsSoFar: number): number;
  /** Which limit this side enforced, if any. */
  cut(): 'time' | 'bytes' | null;
  stop(): void;
}

/** The socket of a node-pg client: not in its types, needed to count bytes before rows are parsed, and to hang up. */
interface ClientInternals {
  connection: { stream: NodeJS.ReadableStream & { destroy(): void } };
  processID: number;
  secretKey: number;
}

function watch(client: pg.Client, url: string, timeoutMs: number, maxBytes: number): Guard {
  const { connection, processID, secretKey } = client as unknown as ClientInternals;
  let bytes = 0;
  let cut: 'time' | 'bytes' | null = null;
  const onData = (chunk: Buffer) => {
    bytes += chunk.length;
    // One row may hold a gigabyte, and node-pg keeps it whole: far over the limit, hang up.
    if (bytes > 2 * maxBytes && cut === null) {
      cut = 'bytes';
      sendCancel(url, processID, secretKey);
      connection.stream.destroy();
    }
  };
  connection.stream.on('data', onData);
  const cancel = setTimeout(() => {
    cut = 'time';
    sendCancel(url, processID, secretKey);
  }, timeoutMs + CANCEL_GRACE_MS);
  const hangUp = setTimeout(() => connection.stream.destroy(), timeoutMs + CANCEL_GRACE_MS + HANGUP_GRACE_MS);
  return {
    isFull: () => bytes >= maxBytes,
    nextChunk: (rowsSoFar) =>
      Math.max(1, Math.min(LARGEST_CHUNK, Math.floor((maxBytes - bytes) / (bytes / Math.max(1, rowsSoFar))))),
    cut: () => cut,
    stop: () => {
      clearTimeout(cancel);
      clearTimeout(hangUp);
      connection.stream.removeListener('data', onData);
    },
  };
}

/** Asks the server to stop what `client` waits for. */
export function cancelQuery(url: string, client: pg.Client): void {
  const { processID, secretKey } = client as unknown as ClientInternals;
  sendCancel(url, processID, secretKey);
}

/** A cancel request of the wire protocol: the one message that needs no login, so no right to end sessions either. */
function sendCancel(url: string, processID: number, secretKey: number): void {
  const { hostname, port } = new URL(url);
  const message = Buffer.alloc(16);
  message.writeInt32BE(16, 0);
  message.writeInt32BE(80877102, 4);
  message.writeInt32BE(processID, 8);
  message.writeInt32BE(secretKey, 12);
  const socket = createConnection({ host: hostname, port: Number(port || 5432) });
  socket.on('error', () => undefined).end(message);
}

/** Integers beyond 2^53 come as text: a user may look at anything, and nothing is rounded. */
const readerTypes: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary') =>
    oid === pg.types.builtins.INT8
      ? (text: string) => (Number.isSafeInteger(Number(text)) ? parseInt8(text) : text)
      : pg.types.getTypeParser(oid, format as 'text')) as pg.CustomTypesConfig['getTypeParser'],
};

interface Circumstances {
  timeoutMs: number;
  maxBytes: number;
  cut: 'time' | 'bytes' | null;
}

/** What failed, as a sentence for the author of the query. */
export function refusal(cause: Error, text: string, { timeoutMs, maxBytes, cut }: Circumstances): QueryRefusal {
  const code = sqlState(cause);
  const refuse = (message: string) => new QueryRefusal(message, code, { cause });
  if (cut === 'bytes') {
    return refuse(
      `The result is larger than ${Math.round(maxBytes / 2 ** 20)} MiB; select fewer columns or rows, or export it.`,
    );
  }
  if (cut === 'time' || code === '57014' || code === '25P04') {
    return refuse(`The query took longer than ${timeoutMs / 1000} s and was stopped; narrow it, or raise --timeout.`);
  }
  if (code === '42601') {
    return refuse(
      `Not a single query: ${cause.message}${place(cause, text)}. Write one SELECT, WITH, VALUES or EXPLAIN.`,
    );
  }
  if (code === '42501')
    return refuse(`The read-only role may not do this: ${cause.message}. Views are in schema kv (\`kvsweep schema\`).`);
  if (code === '25006') return refuse(`A query may only read: ${cause.message}.`);
  if (code === '42P01' || code === '42703') {
    return refuse(
      `${sentence(cause.message)}${place(cause, text)}; \`kvsweep schema\` lists the views and their columns.`,
    );
  }
  return refuse(`${sentence(cause.message)}${place(cause, text)}.`);
}

function sentence(message: string): string {
  return message.charAt(0).toUpperCase() + message.slice(1);
}

/** Line and column in the user's own text; the server counts from the start of what it was sent. */
function place(error: Error & { position?: string }, text: string): string {
  const sent = Number(error.position);
  const at = /^\s*explain\b/i.test(text) ? sent - 1 : sent - 1 - CURSOR.length;
  if (!Number.isInteger(at) || at < 0 || at > text.length) return '';
  const before = text.slice(0, at).split('\n');
  return ` (line ${before.length}, column ${before.at(-1)!.length + 1})`;
}

/**
 * The reader's connection string for the database of `databaseUrl`. Its password follows from the application's, so
 * nothing is stored anywhere; it is set on first use.
 */
export async function readerUrl(databaseUrl: string): Promise<string> {
  const url = new URL(databaseUrl);
  if (url.password === '') {
    throw new QueryRefusal(
      'DATABASE_URL holds no password, so none can be made for the read-only role; put one into the URL.',
      null,
    );
  }
  const admin = new pg.Client({ connectionString: databaseUrl, application_name: 'kvsweep query' });
  await admin.connect();
  try {
    const { rows } = await admin.query<{ role: string }>('select public.reader_role() as role');
    const role = rows[0]!.role;
    const password = createHmac('sha256', decodeURIComponent(url.password)).update(role).digest('hex');
    url.username = role;
    url.password = password;
    if (!(await canLogIn(url.href))) await setPassword(admin, role, password);
    return url.href;
  } finally {
    await admin.end();
  }
}

async function canLogIn(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url, application_name: 'kvsweep query' });
  try {
    await client.connect();
    return true;
  } catch (error) {
    if (sqlState(error)?.startsWith('28')) return false;
    throw error;
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function setPassword(admin: pg.Client, role: string, password: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await admin.query(`alter role ${admin.escapeIdentifier(role)} password ${admin.escapeLiteral(password)}`);
      return;
    } catch (error) {
      // "tuple concurrently updated": another first user sets the same password.
      if (sqlState(error) !== 'XX000' || attempt >= 10) throw error;
    }
  }
}
