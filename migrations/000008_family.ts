import { type Kysely, sql } from 'kysely';
import { perplexity as oldPerplexity, samples as oldSamples } from './000005/samples.ts';
import type { View } from './000005/view.ts';
import { samples } from './000008/samples.ts';
import { calibrations, perplexity, scoreSummary, scores } from './000008/scores.ts';

/** Views that get further columns, and new ones. */
const WIDENED: readonly View[] = [samples, perplexity];
const NEW: readonly View[] = [scores, scoreSummary, calibrations];

/**
 * What the compressor family needs: which calibration an artefact answers, scores of answers, and what a sample's
 * compressor did to each layer.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  // key = sha256 over canonical JSON of model, compressor, parameters, token set and numerics.
  await sql`
    create table calibration (
      key bytea not null,
      artefact_sha bytea not null,
      compressor text not null,
      parameters jsonb not null,
      model_sha bytea not null,
      token_set bytea not null,
      numerics text not null,
      made_at timestamptz not null default clock_timestamp(),
      constraint calibration_pkey primary key (key),
      constraint calibration_key_is_sha256 check (octet_length(key) = 32),
      constraint calibration_artefact foreign key (artefact_sha) references artefact (sha),
      constraint calibration_tokens foreign key (token_set) references prompt_set (sha)
    )`.execute(db);
  for (const view of WIDENED) await putView(db, 'create or replace', view);
  for (const view of NEW) {
    await putView(db, 'create', view);
    await sql`do $$ begin execute format('grant select on ${sql.id('kv', view.name)} to %I', reader_role()); end $$`.execute(
      db,
    );
  }
}

async function putView(db: Kysely<unknown>, verb: 'create' | 'create or replace', view: View): Promise<void> {
  const name = sql.id('kv', view.name);
  const columns = sql.join(Object.keys(view.columns).map((column) => sql.id(column)));
  await sql`${sql.raw(verb)} view ${name} (${columns}) as ${sql.raw(view.text)}`.execute(db);
  await sql`comment on view ${name} is ${sql.lit(view.comment)}`.execute(db);
  for (const [column, comment] of Object.entries(view.columns)) {
    await sql`comment on column ${sql.id('kv', view.name, column)} is ${sql.lit(comment)}`.execute(db);
  }
}

export async function down(db: Kysely<unknown>): Promise<void> {
  for (const view of [...NEW].reverse()) await sql`drop view ${sql.id('kv', view.name)}`.execute(db);
  // A view loses columns only by being made anew; nothing else in kv reads these two.
  for (const view of [oldSamples, oldPerplexity]) {
    await sql`drop view ${sql.id('kv', view.name)}`.execute(db);
    await putView(db, 'create', view);
    await sql`do $$ begin execute format('grant select on ${sql.id('kv', view.name)} to %I', reader_role()); end $$`.execute(
      db,
    );
  }
  await sql`drop table calibration`.execute(db);
}
