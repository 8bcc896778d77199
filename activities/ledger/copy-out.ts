/**
 * Bulk reads: COPY in its binary form, the only one that hands bytes over as bytes. Parameters do not exist there; what
 * goes into the statement is made of numbers and digests that came from tables.
 */
import { to as copyTo } from 'pg-copy-streams';
import { type Db, poolOf } from '../database.ts';
import type { RunRef } from './types.ts';

/** Signature (11 bytes), flags and length of an extension, which Postgres leaves empty. */
const HEADER = 19;

/**
 * Everything here is found by key. Where many keys are asked for at once the planner would rather read a whole table of
 * millions; and compiling the statement takes longer than running it.
 */
const BY_KEY = 'begin; set local enable_hashjoin = off; set local enable_mergejoin = off; set local jit = off';

/** Rows of a select as the bytes of their columns, in network byte order; null = SQL null. */
export async function copyOut(db: Db, select: string): Promise<(Buffer | null)[][]> {
  const client = await poolOf(db).connect();
  let broken: Error | undefined;
  try {
    await client.query(BY_KEY);
    const chunks: Buffer[] = [];
    for await (const chunk of client.query(copyTo(`copy (${select}) to stdout (format binary)`))) {
      chunks.push(chunk as Buffer);
    }
    await client.query('commit');
    return rowsOf(Buffer.concat(chunks));
  } catch (error) {
    broken = error as Error;
    throw error;
  } finally {
    // A connection in an unknown state is closed.
    client.release(broken);
  }
}

function rowsOf(bytes: Buffer): (Buffer | null)[][] {
  const rows: (Buffer | null)[][] = [];
  let at = HEADER;
  for (;;) {
    const width = bytes.readInt16BE(at);
    at += 2;
    if (width < 0) return rows;
    const row: (Buffer | null)[] = [];
    for (let i = 0; i < width; i++) {
      const length = bytes.readInt32BE(at);
      at += 4;
      row.push(length < 0 ? null : bytes.subarray(at, at + length));
      if (length > 0) at += length;
    }
    rows.push(row);
  }
}

/** A relation `run (sweep_no, cell_no)` of these runs, for the `from` of a bulk read. */
export function runsAsRelation(runs: readonly RunRef[]): string {
  return `(values ${runs.map(({ sweepNo, cellNo }) => `(${sweepNo}, ${cellNo})`).join(', ')}) as run (sweep_no, cell_no)`;
}
