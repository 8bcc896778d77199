/** JSON objects of a file, one a line: what every line-wise loader does first. Mistakes name file and line. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { DatasetError } from './prompt-set.ts';

/** Ends the reading with a sentence that begins with the place of the line. */
export type Fail = (why: string) => never;

export type Fields = Record<string, unknown>;

/**
 * Calls `each` with every line that is not blank, its number from 1, and how to complain about it.
 * @returns sha256 hex of the file
 */
export async function readObjects(
  path: string,
  each: (record: Fields, line: number, fail: Fail) => void,
): Promise<string> {
  const hash = createHash('sha256');
  const stream = createReadStream(path).on('data', (chunk) => hash.update(chunk));
  let line = 0;
  const fail: Fail = (why) => {
    throw new DatasetError(`${path}, line ${line}: ${why}`);
  };
  try {
    for await (const raw of createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY })) {
      line++;
      const text = line === 1 ? raw.replace(/^\uFEFF/, '') : raw;
      if (text.trim() !== '') each(object(text, fail), line, fail);
    }
  } catch (error) {
    if (error instanceof DatasetError) throw error;
    throw new DatasetError(`cannot read the data set ${path}: ${(error as Error).message}`, { cause: error });
  }
  return hash.digest('hex');
}

function object(text: string, fail: Fail): Fields {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    fail(`not valid JSON (${(error as Error).message})`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) fail('not a JSON object');
  return value as Fields;
}

/** A field with text. */
export function textField(record: Fields, field: string, fail: Fail): string {
  const value = record[field];
  if (typeof value !== 'string') fail(`"${field}" must be a string${value === undefined ? ', it is missing' : ''}`);
  return value as string;
}

/** An array of strings; undefined if it is absent. */
export function textsField(record: Fields, field: string, fail: Fail): string[] | undefined {
  const value = record[field];
  if (value === undefined) return undefined;
  if (!Array.isArray(value) || value.some((item) => typeof item !== 'string'))
    fail(`"${field}" must be an array of strings`);
  return value as string[];
}
