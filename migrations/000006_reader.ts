import { type Kysely, sql } from 'kysely';

/** Functions of pg_catalog that change a session or the database, take locks, or end sessions; all open by default. */
const WALLED = sql.raw(`(
             p.proname in ('set_config', 'pg_notify', 'pg_terminate_backend', 'pg_cancel_backend', 'lo_creat',
                           'lo_create', 'lo_from_bytea', 'lo_put', 'lowrite', 'lo_truncate', 'lo_truncate64', 'lo_unlink',
                           'pg_logical_emit_message')
             or starts_with(p.proname, 'pg_advisory_') or starts_with(p.proname, 'pg_try_advisory_'))`);

/**
 * The role that users' SQL runs as. Settings are no wall (a session may change them); privileges are: it owns nothing,
 * may select from the views of schema `kv`, and may not call what changes a session, takes locks or ends sessions.
 *
 * Roles belong to the cluster, not to the database: the name carries the database's, and another database of the same
 * cluster may be migrated at the same moment.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    do $$
    begin
      execute format('create function reader_role() returns text language sql immutable return %L::text',
                     'kv_reader_' || left(md5(current_database()), 10));
    end $$`.execute(db);
  await sql`
    do $$
    begin
      execute format('create role %I', reader_role());
    exception
      -- "duplicate" when it is there, "unique" when a concurrent migration has just made it.
      when duplicate_object or unique_violation then null;
    end $$`.execute(db);
  await sql`
    do $$
    declare
      setting text;
    begin
      execute format('alter role %I login nosuperuser nocreatedb nocreaterole noinherit connection limit 16', reader_role());
      foreach setting in array array[
        'default_transaction_read_only = on', 'statement_timeout = ''10min''', 'transaction_timeout = ''11min''',
        'idle_in_transaction_session_timeout = ''1min''', 'lock_timeout = ''5s''', 'search_path = kv',
        -- The only one that a session cannot change: it is for superusers.
        'temp_file_limit = ''2GB'''] loop
        begin
          execute format('alter role %I set %s', reader_role(), setting);
        exception
          -- transaction_timeout came with Postgres 17; temp_file_limit takes a superuser, who may be absent in a cloud.
          when undefined_object or insufficient_privilege then raise notice 'not set for %: %', reader_role(), setting;
        end;
      end loop;
      execute format('grant usage on schema kv to %I', reader_role());
      execute format('grant select on all tables in schema kv to %I', reader_role());
    end $$`.execute(db);
  await sql`
    do $$
    declare
      f regprocedure;
    begin
      for f in
        select p.oid from pg_proc p
         where p.pronamespace = 'pg_catalog'::regnamespace
           and ${WALLED}
      loop
        execute format('revoke execute on function %s from public', f);
        begin
          execute format('grant execute on function %s to current_user', f);
        exception
          when insufficient_privilege then raise notice 'not granted: %', f;
        end;
      end loop;
    end $$`.execute(db);
  await closeDatabase(db);
}

/**
 * The walls that belong to the database itself, which a clone of it does not inherit. Safe to repeat.
 */
export async function closeDatabase(db: Kysely<unknown>): Promise<void> {
  await sql`
    do $$
    begin
      execute format('revoke temporary on database %I from public', current_database());
      execute format('grant temporary on database %I to current_user', current_database());
    end $$`.execute(db);
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql`
    do $$
    declare
      f regprocedure;
      reader text := reader_role();
    begin
      for f in
        select p.oid from pg_proc p
         where p.pronamespace = 'pg_catalog'::regnamespace and p.proacl is not null
           and ${WALLED}
      loop
        execute format('grant execute on function %s to public', f);
      end loop;
      execute format('grant temporary on database %I to public', current_database());
      execute format('drop owned by %I', reader);
      begin
        execute format('drop role %I', reader);
      exception
        -- A copy of this database still grants it something.
        when dependent_objects_still_exist then null;
      end;
    end $$`.execute(db);
  await sql`drop function reader_role`.execute(db);
}
