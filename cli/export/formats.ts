/** The formats of an export: each turns batches of rows into bytes, one batch after the other. */
import type { StreamColumn } from '../../activities/reader-stream.ts';
import { parquetFormat } from './parquet.ts';
import { typeOf } from './types.ts';

export type Row = readonly (string | null)[];

/** Where bytes go; resolves when more may follow. */
export type Sink = (bytes: string | Uint8Array) => Promise<void>;

export interface Encoder {
  rows(rows: readonly Row[]): Promise<void>;
  end(): Promise<void>;
}

export interface Format {
  /** Last part of a file's name, by which the format is guessed. */
  extension: string;
  /** May go to a terminal or a pipe. */
  isText: boolean;
  encoder(columns: readonly StreamColumn[], sink: Sink): Encoder;
}

/** RFC 4180 with a header. A null is an empty field, an empty text a quoted one. */
const csv: Format = {
  extension: '.csv',
  isText: true,
  encoder(columns, sink) {
    const types = columns.map((column) => typeOf(column.oid));
    const quoted = (text: string) => (text === '' || /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
    let head = `${columns.map((column) => quoted(column.name)).join(',')}\r\n`;
    const line = (row: Row) => row.map((text, i) => (text === null ? '' : quoted(types[i]!.csv(text)))).join(',');
    return {
      async rows(rows) {
        await sink(`${head}${rows.map((row) => `${line(row)}\r\n`).join('')}`);
        head = '';
      },
      async end() {
        if (head !== '') await sink(head);
      },
    };
  },
};

/** One JSON object a line. */
const jsonl: Format = {
  extension: '.jsonl',
  isText: true,
  encoder(columns, sink) {
    const types = columns.map((column) => typeOf(column.oid));
    const names = columns.map((column) => JSON.stringify(column.name));
    const line = (row: Row) =>
      `{${row.map((text, i) => `${names[i]}:${text === null ? 'null' : types[i]!.json(text)}`).join(',')}}\n`;
    return { rows: (rows) => sink(rows.map(line).join('')), end: async () => {} };
  },
};

export const FORMATS = { csv, jsonl, parquet: parquetFormat } satisfies Record<string, Format>;
export type FormatName = keyof typeof FORMATS;
