/** Who runs cells: hosts with their devices, and builds of the engine. Registered once, named by number. */
import type { JsonObject } from '../../workflows/contracts.ts';
import { type Db, query } from '../database.ts';
import { fromHex, toJsonb } from './bytes.ts';

/** The number of a host with these facts (device, memory, driver ...); other facts are another host. */
export async function registerHost(db: Db, host: { name: string; facts: JsonObject }): Promise<number> {
  return await register(
    db,
    `with added as (
       insert into host (name, facts) values ($1, $2)
           on conflict (name, facts_md5) do nothing
       returning id
     )
     select id from added
     union all
     select id from host where name = $1 and facts_md5 = md5($2::jsonb::text)
      limit 1`,
    [host.name, toJsonb(host.facts)],
  );
}

export interface EngineBuild {
  /** sha256 of the engine binary, hex. */
  sha: string;
  version: string;
  build: string;
  numerics: JsonObject;
}

export async function registerEngineBuild(db: Db, engine: EngineBuild): Promise<number> {
  return await register(
    db,
    `with added as (
       insert into engine_build (sha, version, build, numerics) values ($1, $2, $3, $4)
           on conflict (sha) do nothing
       returning id
     )
     select id from added
     union all
     select id from engine_build where sha = $1
      limit 1`,
    [fromHex(engine.sha), engine.version, engine.build, toJsonb(engine.numerics)],
  );
}

/** A concurrent first registration is invisible to the statement that lost to it: the second look finds it. */
async function register(db: Db, text: string, values: unknown[]): Promise<number> {
  for (let look = 0; look < 3; look++) {
    const [row] = await query<{ id: number }>(db, text, values);
    if (row !== undefined) return row.id;
  }
  throw new Error('A row that exists cannot be read; was it deleted?');
}
