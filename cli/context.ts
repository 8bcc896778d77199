/** What a command gets: configuration, where to write, and connections that are opened on first use. */
import { Client, Connection } from '@temporalio/client';
import { type Db, openDatabase } from '../activities/database.ts';
import { type EngineCommands, engineCommands } from '../activities/engine-commands.ts';
import { type Addresses, readAddresses } from '../workers/addresses.ts';
import type { Config } from '../workers/config.ts';
import { renderTable } from './table.ts';

export interface Context extends AsyncDisposable {
  config: Config;
  /** `--json`: results are one JSON value on stdout. */
  json: boolean;
  /** Aborted by Ctrl-C or SIGTERM. */
  interrupted: AbortSignal;
  /** A result, to stdout. */
  print(text: string): void;
  /** Progress, to stderr. */
  note(text: string): void;
  /** Rows as a table, or as JSON with `--json`. */
  rows(rows: Record<string, unknown>[], columns?: string[]): void;
  /** `value` with `--json`, else `text`. */
  result(value: unknown, text: string): void;
  engine: EngineCommands;
  addresses(): Promise<Addresses>;
  db(): Promise<Db>;
  temporal(): Promise<Client>;
}

export interface ContextOptions {
  config: Config;
  json: boolean;
  interrupted: AbortSignal;
  stdout: { write(text: string): unknown };
  stderr: { write(text: string): unknown };
}

export function createContext(options: ContextOptions): Context {
  const { config, json } = options;
  const print = (text: string) => void options.stdout.write(text.endsWith('\n') ? text : `${text}\n`);
  let addresses: Promise<Addresses> | undefined;
  let db: Db | undefined;
  let connection: Connection | undefined;
  const context: Context = {
    config,
    json,
    interrupted: options.interrupted,
    print,
    note: (text) => void options.stderr.write(text.endsWith('\n') ? text : `${text}\n`),
    rows: (rows, columns) => print(json ? JSON.stringify(rows, null, 2) : renderTable(rows, columns)),
    result: (value, text) => print(json ? JSON.stringify(value, null, 2) : text),
    engine: engineCommands(config.enginePath, config.engineEnvironment),
    addresses: () => {
      addresses ??= readAddresses(config);
      return addresses;
    },
    async db() {
      // Rows alone need no Temporal: DATABASE_URL is enough.
      const url = config.databaseUrl ?? (await context.addresses()).databaseUrl;
      db ??= openDatabase(url, { max: 2, applicationName: 'kvsweep-cli' });
      return db;
    },
    async temporal() {
      const { temporal } = await context.addresses();
      connection ??= await Connection.connect({ ...temporal.connectionOptions, connectTimeout: 5_000 });
      return new Client({ connection, namespace: temporal.namespace ?? 'default' });
    },
    async [Symbol.asyncDispose]() {
      await db?.destroy();
      await connection?.close();
    },
  };
  return context;
}
