/**
 * The one way to Postgres: a pool, Kysely over it, one parser for int8, and errors as sentences. Every module that
 * needs rows takes the `Db` made here as its first argument.
 */
import { createHash } from 'node:crypto';
import { ApplicationFailure } from '@temporalio/common';
import { CompiledQuery, Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import type { DB } from './database-types.ts';

export type { DB } from './database-types.ts';
export type Db = Kysely<DB>;

const INT8 = 20;

/** Counts, times and byte sizes fit a double exactly up to 2^53; anything beyond is refused rather than rounded. */
export function parseInt8(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new Error(`The integer ${text} from Postgres is beyond 2^53.`);
  return value;
}

const types: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary') =>
    oid === INT8 && format !== 'binary'
      ? parseInt8
      : pg.types.getTypeParser(oid, format as 'text')) as pg.CustomTypesConfig['getTypeParser'],
};

/**
 * Statements that begin with `-- name` are prepared once per connection: the hot ones of the ledger cost a third of
 * their time in parsing and planning otherwise. The hash keeps two texts of one name apart.
 */
class PreparingClient extends pg.Client {
  constructor(config?: string | pg.ClientConfig) {
    super(config);
    // Without a listener a connection that breaks while it is checked out ends the process; its query rejects anyway.
    this.on('error', () => undefined);
  }

  // biome-ignore lint/suspicious/noExplicitAny: the overloads of pg.Client.query have no common return type
  override query(...args: unknown[]): any {
    const [text, values, ...rest] = args;
    const isHot = typeof text === 'string' && text.startsWith('-- ');
    const result = (super.query as (...a: unknown[]) => unknown)(
      ...(isHot ? [{ name: preparedName(text), text, values }, ...rest] : args),
    );
    if (result instanceof Promise) {
      result.catch((error: { severity?: string }) => {
        // The server has said goodbye, but the socket may not have closed yet: never back into the pool with it.
        if (error.severity === 'FATAL') void this.end().catch(() => undefined);
      });
    }
    return result;
  }
}

/** Names by text. Hot statements have few texts: one each, and of a commit one for each set of tables it writes. */
const preparedNames = new Map<string, string>();

function preparedName(text: string): string {
  let name = preparedNames.get(text);
  if (name === undefined) {
    name = `${text.slice(3, text.indexOf('\n'))} ${createHash('md5').update(text).digest('hex').slice(0, 8)}`;
    preparedNames.set(text, name);
  }
  return name;
}

const pools = new WeakMap<Db, pg.Pool>();

/** The pool under `db`, for COPY, which Kysely has no word for. */
export function poolOf(db: Db): pg.Pool {
  const pool = pools.get(db);
  if (pool === undefined) throw new Error('This database handle was not made by openDatabase.');
  return pool;
}

export interface DatabaseOptions {
  /** Connections of this process; 4-8, because a hundred hosts share the server's limit. */
  max?: number;
  applicationName?: string;
  /**
   * Plans a prepared statement once instead of for each set of values: right where all statements go by key, as those
   * of engine workers do, wrong for analysis.
   */
  genericPlans?: boolean;
}

/** Opens a pool on `url` and Kysely over it; `destroy()` of the result closes it. Connects on first use. */
export function openDatabase(url: string, options: DatabaseOptions = {}): Db {
  const pool = new pg.Pool({
    connectionString: url,
    max: options.max ?? 6,
    application_name: options.applicationName ?? 'kvsweep',
    Client: PreparingClient,
    types,
  } as pg.PoolConfig);
  // An idle connection that the server closes must not end the process; the next query opens another one.
  pool.on('error', () => undefined);
  if (options.genericPlans) {
    // Sent before the connection's first statement; if the connection breaks, that statement says so.
    pool.on('connect', (client) => {
      client.query('set plan_cache_mode = force_generic_plan').catch(() => undefined);
    });
  }
  const db = new Kysely<DB>({ dialect: new PostgresDialect({ pool }) });
  pools.set(db, pool);
  return db;
}

/** Runs one statement with its parameters; for the statements that are clearer as SQL than as a builder. */
export async function query<Row>(db: Db, text: string, values: readonly unknown[] = []): Promise<Row[]> {
  const result = await db.executeQuery<Row>(CompiledQuery.raw(text, [...values]));
  return result.rows;
}

/** Whatever was thrown, as an Error. */
export function coerceError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

export function sqlState(error: unknown): string | null {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? code : null;
}

/** Classes of SQLSTATE where the same statement fails for ever: 22 data exception, 42 syntax or access rule. */
export function isHopeless(error: unknown): boolean {
  const state = sqlState(error);
  return state !== null && (state.startsWith('22') || state.startsWith('42'));
}

/** True when the connection broke, so that nobody knows whether the last COMMIT took place. */
export function isConnectionLoss(error: unknown): boolean {
  const state = sqlState(error);
  if (state !== null) return state.startsWith('08') || state.startsWith('57P');
  const { code, message } = coerceError(error) as Error & { code?: string };
  return (
    ['ECONNRESET', 'ECONNREFUSED', 'EPIPE', 'ETIMEDOUT'].includes(code ?? '') ||
    /Connection terminated|Client has encountered a connection error|not queryable/.test(message)
  );
}

/** Deadlock or serialization failure: the transaction did nothing and may simply run again. */
export function isTransient(error: unknown): boolean {
  return ['40001', '40P01'].includes(sqlState(error) ?? '');
}

/** The failure that an activity throws for a database error: without this map a bug is retried for ever. */
export function databaseFailure(thrown: unknown): Error {
  const error = coerceError(thrown);
  return isHopeless(error)
    ? ApplicationFailure.nonRetryable(
        `Postgres refused a statement (${sqlState(error)}): ${error.message}`,
        'DatabaseBug',
      )
    : error;
}
