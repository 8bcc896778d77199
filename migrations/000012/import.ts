import { type Kysely, sql } from 'kysely';

const WORKLOAD = sql.raw(`
  case when run -> 'workload' ? 'generate' then 'generate'
       when run -> 'workload' ? 'throughput' then 'throughput'
       when run -> 'workload' ? 'score' then 'score'
       when run -> 'workload' ? 'import' then 'import' end`);
const WORKLOAD_BEFORE = sql.raw(`
  case when run -> 'workload' ? 'generate' then 'generate'
       when run -> 'workload' ? 'throughput' then 'throughput'
       when run -> 'workload' ? 'score' then 'score' end`);

/** Columns that the import of published scores cannot fill: nobody knows the file, the device or the settings. */
const UNKNOWN = ['model_sha', 'backend', 'invariant', 'effective'] as const;

/** Cells and prompts that came as scores alone: without an engine, without texts. */
export async function allowImports(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table prompt
      drop constraint prompt_has_one_form,
      add constraint prompt_has_one_form check (num_nonnulls(prompt, messages, tokens) <= 1)`.execute(db);
  for (const column of UNKNOWN) await sql`alter table cell alter column ${sql.id(column)} drop not null`.execute(db);
  await setWorkload(db, await serverVersion(db));
}

/**
 * Postgres 17 can change the expression of a generated column. Before, it has to become a plain one, which a trigger
 * fills: dropping the column would take every view with it. Exported for the test of both ways.
 */
export async function setWorkload(db: Kysely<unknown>, version: number): Promise<void> {
  if (version >= 170000) {
    await sql`alter table cell alter column workload set expression as (${WORKLOAD})`.execute(db);
    return;
  }
  await sql`alter table cell alter column workload drop expression`.execute(db);
  await sql`
    create or replace function cell_workload() returns trigger language plpgsql as $$
    declare
      run constant jsonb := new.run;
    begin
      new.workload := ${WORKLOAD};
      return new;
    end $$`.execute(db);
  await sql`
    create trigger cell_workload before insert or update of run on cell
       for each row execute function cell_workload()`.execute(db);
}

/** Imported sweeps are dropped: the older schema has no place for them. */
export async function disallowImports(db: Kysely<unknown>): Promise<void> {
  await sql`
    with gone as (delete from cell where workload = 'import' returning sweep_no, cell_no)
    delete from score using gone where score.sweep_no = gone.sweep_no and score.cell_no = gone.cell_no`.execute(db);
  await sql`delete from prompt where num_nonnulls(prompt, messages, tokens) = 0`.execute(db);
  await sql`
    delete from prompt_set s
     where size > 0 and not exists (select from prompt p where p.prompt_set = s.sha)`.execute(db);
  if ((await serverVersion(db)) >= 170000) {
    await sql`alter table cell alter column workload set expression as (${WORKLOAD_BEFORE})`.execute(db);
  } else {
    await sql`drop function cell_workload cascade`.execute(db);
  }
  for (const column of UNKNOWN) await sql`alter table cell alter column ${sql.id(column)} set not null`.execute(db);
  await sql`
    alter table prompt
      drop constraint prompt_has_one_form,
      add constraint prompt_has_one_form check (num_nonnulls(prompt, messages, tokens) = 1)`.execute(db);
}

async function serverVersion(db: Kysely<unknown>): Promise<number> {
  const { rows } = await sql<{ n: number }>`select current_setting('server_version_num')::int as n`.execute(db);
  return rows[0]!.n;
}
