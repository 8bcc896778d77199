import { type Kysely, sql } from 'kysely';
import { cells, estimates, pairs } from './000005/cells.ts';
import { latency, latencySummary } from './000005/latency.ts';
import { lengthShift, lengthShiftSummary, noiseFloor } from './000005/lengths.ts';
import { kept, perplexity, samples } from './000005/samples.ts';
import { throughput } from './000005/throughput.ts';
import type { View } from './000005/view.ts';

/** In the order in which they use each other. */
const VIEWS: readonly View[] = [
  cells,
  pairs,
  samples,
  kept,
  throughput,
  perplexity,
  estimates,
  lengthShift,
  lengthShiftSummary,
  noiseFloor,
  latency,
  latencySummary,
];

/**
 * The stable interface of what users query: schema `kv`. Tables are not the interface. All views but `cells` show one
 * run per cell key, the newest done one, in whichever sweep it ran.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create view newest_run as
    select distinct on (key) *
      from cell
     where status = 'done' and reused_from is null
     order by key, finished_at desc, sweep_no desc`.execute(db);
  await sql`
    create function finish_name(finish smallint) returns text
      language sql immutable strict parallel safe
      return (array['stop', 'length', 'context', 'error'])[finish + 1]`.execute(db);
  // The first token comes from prefill; an end id costs a step and is not counted; a stop string's tokens are.
  await sql`
    create function decode_steps(new_tokens int, stop_id int) returns int
      language sql immutable parallel safe
      return new_tokens - 1 + (stop_id is not null)::int`.execute(db);
  // null for `none`: there is nothing that could have acted.
  await sql`
    create function not_inert(compressor text, summary jsonb) returns boolean
      language sql immutable parallel safe
      return case when compressor <> 'none' then not coalesce((summary ->> 'inert')::boolean, false) end`.execute(db);
  await sql`
    create function token_ids(bytes bytea) returns int[]
      language sql immutable strict parallel safe
      return array(select get_byte(bytes, 4 * i) + (get_byte(bytes, 4 * i + 1) << 8)
                          + (get_byte(bytes, 4 * i + 2) << 16) + (get_byte(bytes, 4 * i + 3) << 24)
                     from generate_series(0, octet_length(bytes) / 4 - 1) as i
                    order by i)`.execute(db);
  await sql`create schema kv`.execute(db);
  await sql`comment on schema kv is 'What kvsweep measured: the stable views for queries and reports'`.execute(db);
  for (const view of VIEWS) await createView(db, view);
}

async function createView(db: Kysely<unknown>, view: View): Promise<void> {
  const name = sql.id('kv', view.name);
  const columns = sql.join(Object.keys(view.columns).map((column) => sql.id(column)));
  await sql`create view ${name} (${columns}) as ${sql.raw(view.text)}`.execute(db);
  await sql`comment on view ${name} is ${sql.lit(view.comment)}`.execute(db);
  for (const [column, comment] of Object.entries(view.columns)) {
    await sql`comment on column ${sql.id('kv', view.name, column)} is ${sql.lit(comment)}`.execute(db);
  }
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql`drop schema kv cascade`.execute(db);
  await sql`drop function token_ids, not_inert, decode_steps, finish_name`.execute(db);
  await sql`drop view newest_run`.execute(db);
}
