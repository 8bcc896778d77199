import type { Kysely } from 'kysely';
import { latency as latencyBefore } from './000005/latency.ts';
import { throughput as throughputBefore } from './000005/throughput.ts';
import { dropView, putView } from './000011/put-view.ts';
import { latency, latencyAtMax } from './000013/latency.ts';
import { createSpeeds, dropSpeeds } from './000013/speeds.ts';
import { throughput } from './000013/throughput.ts';

/** Latency modelled from measured speeds, also at each method's own largest batch. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await createSpeeds(db);
  await putView(db, throughput, 'create or replace');
  await putView(db, latency, 'create or replace');
  await putView(db, latencyAtMax);
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await dropView(db, latencyAtMax);
  // A view loses columns only by being made anew; nothing else in kv reads these two.
  for (const view of [latencyBefore, throughputBefore]) {
    await dropView(db, view);
    await putView(db, view);
  }
  await dropSpeeds(db);
}
