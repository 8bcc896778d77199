import { type Kysely, sql } from 'kysely';
import { kept as before } from './000005/samples.ts';

/**
 * The bits of one store are cut out of a sample's bitmap once. Asking the whole bitmap for each bit unpacked it from its
 * compressed form every time: a trace of 40 samples took half a minute to read. `offset 0` keeps the cut from being
 * repeated per bit; the count alone opens no position.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  const columns = sql.join(Object.keys(before.columns).map((column) => sql.id(column)));
  await sql`
    create or replace view kv.kept (${columns}) as
    select encode(r.key, 'hex'), p.key, k.rep::int, l.layer, h.head, k.seen, bit_count(b.bits)::int,
           array(select at from generate_series(0, k.seen - 1) as at where get_bit(b.bits, at::bigint) = 1 order by at)
      from newest_run r
      join kept k using (sweep_no, cell_no)
      join prompt p on p.prompt_set = r.prompt_set and p.idx = k.sample_idx
     cross join lateral generate_series(0, k.layers - 1) as l (layer)
     cross join lateral generate_series(0, k.kv_heads - 1) as h (head)
     cross join lateral (
           select substring(k.bitmap from 1 + (l.layer * k.kv_heads + h.head) * ((k.seen + 7) / 8) for (k.seen + 7) / 8) as bits
           offset 0) b`.execute(db);
}

export async function down(db: Kysely<unknown>): Promise<void> {
  const columns = sql.join(Object.keys(before.columns).map((column) => sql.id(column)));
  await sql`create or replace view kv.kept (${columns}) as ${sql.raw(before.text)}`.execute(db);
}
