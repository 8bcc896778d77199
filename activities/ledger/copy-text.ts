/** The text format of COPY: one line a row, tab between columns, `\N` for null, bytea as `\x` hex. */
import type { ColumnValue } from './sample-columns.ts';

const ESCAPES: Record<string, string> = {
  '\\': '\\\\',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
};

export function copyField(value: ColumnValue): string {
  if (value === null) return '\\N';
  if (Buffer.isBuffer(value)) return `\\\\x${value.toString('hex')}`;
  if (typeof value === 'boolean') return value ? 't' : 'f';
  // Infinity and NaN are spelt by Postgres as by JavaScript.
  if (typeof value === 'number') return String(value);
  return value.replace(/[\\\b\f\n\r\t\v]/g, (char) => ESCAPES[char]!);
}

export function copyLine(values: readonly ColumnValue[]): string {
  return `${values.map(copyField).join('\t')}\n`;
}
