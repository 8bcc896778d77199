import { type Kysely, sql } from 'kysely';

/**
 * Rows named by their content, shared by all sweeps: models, prompt sets, outputs, artefacts; and who ran what.
 * Digests are bytea here and hex everywhere outside the tables.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table model (
      sha bytea not null,
      name text not null,
      path text not null,
      meta jsonb not null,
      constraint model_pkey primary key (sha),
      constraint model_sha_is_sha256 check (octet_length(sha) = 32)
    )`.execute(db);
  await sql`
    create table prompt_set (
      sha bytea not null,
      dataset text not null,
      size int not null,
      meta jsonb not null,
      constraint prompt_set_pkey primary key (sha),
      constraint prompt_set_sha_is_sha256 check (octet_length(sha) = 32)
    )`.execute(db);
  await sql`
    create table prompt (
      prompt_set bytea not null,
      idx int not null,
      key text not null,
      prompt text,
      messages jsonb,
      tokens int[],
      continuation text,
      answers text[],
      metric text,
      variant text,
      task_type text,
      max_new_tokens int,
      meta jsonb,
      constraint prompt_pkey primary key (prompt_set, idx),
      constraint prompt_key_once unique (prompt_set, key),
      constraint prompt_of_set foreign key (prompt_set) references prompt_set (sha),
      constraint prompt_has_one_form check (num_nonnulls(prompt, messages, tokens) = 1)
    )`.execute(db);
  await sql`
    create table output (
      sha bytea not null,
      size int not null,
      bytes bytea,
      uri text,
      constraint output_pkey primary key (sha),
      constraint output_has_one_place check (num_nonnulls(bytes, uri) = 1)
    )`.execute(db);
  await sql`
    create table artefact (
      sha bytea not null,
      kind text not null,
      bytes bytea not null,
      constraint artefact_pkey primary key (sha)
    )`.execute(db);
  await sql`
    create table engine_build (
      id int generated always as identity,
      sha bytea not null,
      version text not null,
      build text not null,
      numerics jsonb not null,
      constraint engine_build_pkey primary key (id),
      constraint engine_build_sha_once unique (sha)
    )`.execute(db);
  // md5 only makes a short unique key out of the facts; a host with a new driver is another row.
  await sql`
    create table host (
      id int generated always as identity,
      name text not null,
      facts jsonb not null,
      facts_md5 text not null generated always as (md5(facts::text)) stored,
      constraint host_pkey primary key (id),
      constraint host_facts_once unique (name, facts_md5)
    )`.execute(db);
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql`drop table host, engine_build, artefact, output, prompt, prompt_set, model`.execute(db);
}
