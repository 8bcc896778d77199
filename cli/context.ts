/** What a command gets: configuration, where to write, and connections that are opened on first use. */
import { once } from 'node:events';
import { Writable } from 'node:stream';
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
  /** A part of a long result, to stdout as it is; resolves when the reader can take more. */
  write(text: string): Promise<void>;
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

/** The reader of standard output is gone (`| head`): nothing more is wanted, and nothing is wrong. */
export class ClosedPipe extends Error {
  override name = 'ClosedPipe';
}

function writer(stdout: ContextOptions['stdout']): Context['write'] {
  const stream = stdout instanceof Writable ? stdout : null;
  let broken: NodeJS.ErrnoException | undefined;
  let listens = false;
  return async (text) => {
    if (stream && !listens) {
      listens = true;
      // Without a listener a closed pipe ends the process with a stack trace.
      stream.on('error', (error) => {
        broken = error;
      });
    }
    if (stdout.write(text) === false && stream && !broken) {
      await once(stream, 'drain').catch((error: NodeJS.ErrnoException) => {
        broken = error;
      });
    }
    if (broken) throw broken.code === 'EPIPE' ? new ClosedPipe(broken.message) : broken;
  };
}

export function createContext(options: ContextOptions): Context {
  const { config, json } = options;
  const print = (text: string) => void options.stdout.write(text.endsWith('\n') ? text : `${text}\n`);
  const write = writer(options.stdout);
  let addresses: Promise<Addresses> | undefined;
  let db: Db | undefined;
  let connection: Connection | undefined;
  const context: Context = {
    config,
    json,
    interrupted: options.interrupted,
    print,
    write,
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
