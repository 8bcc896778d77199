/**
 * How a value of Postgres stands in each format: one table by type. Values arrive as Postgres's text, so nothing is rounded
 * on the way: a bigint stays exact, a double keeps all its digits.
 */
import type { ParquetWriter } from 'hyparquet-writer';
import pg from 'pg';

type SchemaElement = ConstructorParameters<typeof ParquetWriter>[0]['schema'][number];

export interface ValueType {
  /** Text of a CSV field, before quoting. */
  csv(text: string): string;
  /** JSON of the value. */
  json(text: string): string;
  /** The value as the Parquet writer takes it. */
  parquet(text: string): unknown;
  /** The Parquet column, nullable. */
  schema(name: string): SchemaElement[];
}

const optional = (element: Omit<SchemaElement, 'name' | 'repetition_type'>) => (name: string) => [
  { ...element, name, repetition_type: 'OPTIONAL' } as SchemaElement,
];
const same = (text: string) => text;

const STRING: ValueType = {
  csv: same,
  json: JSON.stringify,
  parquet: same,
  schema: optional({ type: 'BYTE_ARRAY', converted_type: 'UTF8', logical_type: { type: 'STRING' } }),
};

const INT32: ValueType = { csv: same, json: same, parquet: Number, schema: optional({ type: 'INT32' }) };

const INT64: ValueType = { csv: same, json: same, parquet: BigInt, schema: optional({ type: 'INT64' }) };

/** JSON has no infinity: it and NaN stand as strings, as Postgres's own to_json writes them. */
const DOUBLE: ValueType = {
  csv: same,
  json: (text) => (/^-?(Infinity|NaN)$/.test(text) ? JSON.stringify(text) : text),
  parquet: Number,
  schema: optional({ type: 'DOUBLE' }),
};

const BOOLEAN: ValueType = {
  csv: (text) => String(text === 't'),
  json: (text) => String(text === 't'),
  parquet: (text) => text === 't',
  schema: optional({ type: 'BOOLEAN' }),
};

const JSON_TEXT: ValueType = {
  csv: same,
  json: same,
  // As text: the writer would parse and write it anew, which changes integers beyond 2^53; and a column of logical type JSON
  // alone is bytes to DuckDB.
  parquet: same,
  schema: STRING.schema,
};

/** `2026-11-25 21:30:00.123456+00` -> `2026-11-25T21:30:00.123456Z`; the session's zone is UTC. */
const isoTime = (text: string) => text.replace(' ', 'T').replace(/\+00$/, 'Z');

function microseconds(text: string): bigint {
  const iso = isoTime(text).replace(/Z$/, '');
  const [whole, fraction = ''] = iso.split('.') as [string, string?];
  return BigInt(epochMs(`${whole}Z`, text)) * 1000n + BigInt(fraction.padEnd(6, '0'));
}

function epochMs(iso: string, text: string): number {
  const ms = Date.parse(iso);
  if (Number.isNaN(ms)) throw new RangeError(`the time ${text} has no place in Parquet; export it as text (::text)`);
  return ms;
}

const timestamp = (isAdjustedToUTC: boolean): ValueType => ({
  csv: isoTime,
  json: (text) => JSON.stringify(isoTime(text)),
  parquet: microseconds,
  schema: optional({ type: 'INT64', logical_type: { type: 'TIMESTAMP', isAdjustedToUTC, unit: 'MICROS' } }),
});

const DATE: ValueType = {
  ...STRING,
  parquet: (text) => epochMs(`${text}T00:00:00Z`, text) / 86_400_000,
  schema: optional({ type: 'INT32', converted_type: 'DATE', logical_type: { type: 'DATE' } }),
};

/** The text form of an array, its elements as text. */
const elementsOf = pg.types.getTypeParser(1009 as number) as (text: string) => (string | null | unknown[])[];

function listOf(element: ValueType): ValueType {
  const json = (text: string): string => jsonOf(elementsOf(text));
  const jsonOf = (items: unknown[]): string =>
    `[${items.map((item) => (item === null ? 'null' : Array.isArray(item) ? jsonOf(item) : element.json(item as string))).join(',')}]`;
  return {
    csv: json,
    json,
    parquet: (text) =>
      elementsOf(text).map((item) => {
        if (Array.isArray(item)) {
          throw new RangeError('an array of more than one dimension has no Parquet column; export it as to_json(...)');
        }
        return item === null ? null : element.parquet(item as string);
      }),
    schema: (name) => [
      {
        name,
        repetition_type: 'OPTIONAL',
        num_children: 1,
        converted_type: 'LIST',
        logical_type: { type: 'LIST' },
      } as SchemaElement,
      { name: 'list', repetition_type: 'REPEATED', num_children: 1 } as SchemaElement,
      ...element.schema('element'),
    ],
  };
}

const TIMESTAMPTZ = timestamp(true);
const TIMESTAMP = timestamp(false);

/** By type number of Postgres's catalogue; any other type is its text. Numbers of any precision become doubles. */
const TYPES: Record<number, ValueType> = {
  16: BOOLEAN,
  20: INT64,
  21: INT32,
  23: INT32,
  700: DOUBLE,
  701: DOUBLE,
  1700: DOUBLE,
  114: JSON_TEXT,
  3802: JSON_TEXT,
  1082: DATE,
  1114: TIMESTAMP,
  1184: TIMESTAMPTZ,
  1000: listOf(BOOLEAN),
  1005: listOf(INT32),
  1007: listOf(INT32),
  1016: listOf(INT64),
  1021: listOf(DOUBLE),
  1022: listOf(DOUBLE),
  1231: listOf(DOUBLE),
  1009: listOf(STRING),
  1015: listOf(STRING),
  1185: listOf(TIMESTAMPTZ),
  199: listOf(JSON_TEXT),
  3807: listOf(JSON_TEXT),
};

export function typeOf(oid: number): ValueType {
  return TYPES[oid] ?? STRING;
}
