/** The commit of a cell with many samples: COPY into a temporary table, then a merge, in one transaction. */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { from as copyFrom } from 'pg-copy-streams';
import { type Db, poolOf } from '../database.ts';
import { toJsonb } from './bytes.ts';
import type { Committed } from './commit.ts';
import { alarmCount, smallInsertions } from './commit-rows.ts';
import { copyLine } from './copy-text.ts';
import { SAMPLE_COLUMNS } from './sample-columns.ts';
import type { CommitInput, SampleRow } from './types.ts';

const ROWS_PER_CHUNK = 2000;

/** null = the lease is lost; nothing was written. */
export async function commitByCopy(db: Db, input: CommitInput): Promise<Committed | null> {
  const names = SAMPLE_COLUMNS.map((column) => column.name).join(', ');
  const client = await poolOf(db).connect();
  let broken: Error | undefined;
  try {
    await client.query('begin');
    // Asynchronous commit: status and rows share the transaction.
    await client.query('set local synchronous_commit = off');
    // The fence goes first, so that a zombie does not even copy; the row lock holds off a concurrent claim.
    const fenced = await client.query(
      `select from cell
        where sweep_no = $1 and cell_no = $2 and lease = $3 and coalesce(status, '') = 'leased'
          for update`,
      [input.sweepNo, input.cellNo, input.lease],
    );
    if (fenced.rowCount !== 1) {
      await client.query('rollback');
      return null;
    }
    const columns = SAMPLE_COLUMNS.map((column) => `${column.name} ${column.type}`).join(', ');
    await client.query(`create temp table incoming (${columns}) on commit drop`);
    await pipeline(Readable.from(chunks(input.samples)), client.query(copyFrom(`copy incoming (${names}) from stdin`)));
    const done = await client.query<Committed>(
      `update cell c
          set status = 'done', finished_at = clock_timestamp(), err_class = null,
              effective = $4, summary = $5, provenance = $6, n_alarms = ${alarmCount('incoming u')}
        where sweep_no = $1 and cell_no = $2 and lease = $3
       returning n_alarms as alarms`,
      [
        input.sweepNo,
        input.cellNo,
        input.lease,
        toJsonb(input.effective),
        toJsonb(input.summary),
        toJsonb(input.provenance),
      ],
    );
    await client.query(
      `insert into sample (sweep_no, cell_no, ${names})
       select $1, $2, ${names} from incoming
           on conflict do nothing`,
      [input.sweepNo, input.cellNo],
    );
    const rest = smallInsertions(input);
    await client.query(rest.text, rest.values);
    await client.query('commit');
    return done.rows[0]!;
  } catch (error) {
    broken = error as Error;
    throw error;
  } finally {
    // A connection in an unknown state is closed, which also rolls back.
    client.release(broken);
  }
}

function* chunks(samples: readonly SampleRow[]): Generator<string> {
  for (let at = 0; at < samples.length; at += ROWS_PER_CHUNK) {
    yield samples
      .slice(at, at + ROWS_PER_CHUNK)
      .map((row) => copyLine(SAMPLE_COLUMNS.map((column) => column.value(row))))
      .join('');
  }
}
