/** What is left to do, as ranges and slices of group numbers; and when a sweep has to stop by itself. */
import type { ShardPlan, Slice } from '../../workflows/contracts.ts';
import { type Db, query } from '../database.ts';
import { applyFailurePolicy } from './policy.ts';

const MAX_SHARDS = 64;
const GROUPS_PER_SHARD = 200;
const MAX_IN_FLIGHT = 500;
const MINUTE = 60_000;

/** Open cells of groups whose engine key has passed its canary, or are the canary itself. */
const OPEN_GROUP = `
  exists (select from cell c
           where c.sweep_no = g.sweep_no and c.group_no = g.group_no
             and c.status in ('pending', 'leased', 'lost'))
  and not exists (select from cell_group k
                    join cell f on f.sweep_no = k.sweep_no and f.group_no = k.group_no and f.status = 'failed'
                   where k.sweep_no = g.sweep_no and k.canary and not g.canary and k.engine_key = g.engine_key)`;

interface Island {
  queue: string;
  lo: number;
  hi: number;
  groups: number;
  timeoutMs: number;
}

/**
 * Ranges of group numbers for one pass, each on one queue. Canary groups (one cell per engine key) go alone in a first
 * pass; the groups of an engine key whose canary failed are left out. Group order is canary, queue, engine key, so
 * ranges follow engine keys; a queue with few slots gets few shards, or warm models would be swapped for each other.
 */
export async function planShards(
  db: Db,
  sweepNo: number,
  slotsByQueue: Readonly<Record<string, number>>,
): Promise<ShardPlan[]> {
  const islands = await query<Island>(
    db,
    `with open as (
       select g.group_no, g.queue, g.canary, g.est_ms,
              (select count(*) from cell c where c.sweep_no = g.sweep_no and c.group_no = g.group_no
                                             and c.status in ('pending', 'leased', 'lost')) as cells
         from cell_group g
        where g.sweep_no = $1 and ${OPEN_GROUP}
     ), numbered as (
       -- An island ends where the next open group has another queue or another turn.
       select o.*, row_number() over (order by group_no)
                   - row_number() over (partition by queue, canary order by group_no) as island
         from open o
     )
     select n.queue, min(n.group_no) as lo, max(n.group_no) + 1 as hi, count(*) as groups,
            greatest(15 * ${MINUTE}, 10 * max(coalesce(n.est_ms, 0)),
                     least(24 * 60 * ${MINUTE}, max(n.cells) * 3 * max((s.limits ->> 'cellTimeoutMs')::bigint))
            ) as "timeoutMs"
       from numbered n, sweep s
      where s.sweep_no = $1 and n.canary = (select bool_or(canary) from open)
      group by n.queue, n.canary, n.island
      order by lo`,
    [sweepNo],
  );
  // More islands than shards can only come from many amendments of one sweep; the rest has its turn in the next pass.
  const chosen = islands.slice(0, MAX_SHARDS);
  return chosen.flatMap((island) => cut(island, chosen, slotsByQueue[island.queue] ?? 1));
}

/** An island as shards of about equal length, so that the inFlight of a queue sums to twice its slots or more. */
function cut(island: Island, all: readonly Island[], slots: number): ShardPlan[] {
  const mates = all.filter((other) => other.queue === island.queue).length;
  const room = Math.max(1, Math.floor(MAX_SHARDS / all.length));
  const count = Math.min(room, Math.ceil(island.groups / GROUPS_PER_SHARD), Math.max(1, Math.floor(slots / 2)));
  const inFlight = Math.min(MAX_IN_FLIGHT, Math.max(1, Math.ceil((2 * slots) / (count * mates))));
  const width = Math.ceil((island.hi - island.lo) / count);
  return Array.from({ length: count }, (_, i) => ({
    queue: island.queue,
    lo: island.lo + i * width,
    hi: Math.min(island.hi, island.lo + (i + 1) * width),
    inFlight,
    timeoutMs: island.timeoutMs,
  })).filter((shard) => shard.lo < shard.hi);
}

/**
 * The next open groups at or after `cursor`, in order, at most `limit`, and whether to go on: the failure policy is
 * looked at here. `next` is the cursor of the following call, `hi` when the range is exhausted.
 */
export async function nextGroups(db: Db, sweepNo: number, cursor: number, hi: number, limit: number): Promise<Slice> {
  await applyFailurePolicy(db, sweepNo);
  const [row] = await query<{ status: string; groups: number[] }>(
    db,
    `select s.status,
            array(select g.group_no from cell_group g
                   where g.sweep_no = $1 and g.group_no >= $2 and g.group_no < $3 and ${OPEN_GROUP}
                   order by g.group_no limit $4) as groups
       from sweep s
      where s.sweep_no = $1`,
    [sweepNo, cursor, hi, limit],
  );
  const groups = row?.groups ?? [];
  const next = groups.length < limit ? hi : groups.at(-1)! + 1;
  if (row?.status === 'running') return { control: 'run', groups, next };
  return { control: row?.status === 'paused' ? 'pause' : 'stop', groups: [], next: cursor };
}

/** Cells that are neither done nor failed. */
export async function countOpen(db: Db, sweepNo: number): Promise<number> {
  const [row] = await query<{ n: number }>(
    db,
    `select count(*) as n from cell where sweep_no = $1 and status in ('pending', 'leased', 'lost')`,
    [sweepNo],
  );
  return row!.n;
}

/** Queues of a sweep's open cells with their number, for the check that each has a worker. */
export async function readOpenQueues(db: Db, sweepNo: number): Promise<{ queue: string; cells: number }[]> {
  return await query(
    db,
    `select g.queue, count(*) as cells
       from cell_group g join cell c using (sweep_no, group_no)
      where g.sweep_no = $1 and c.status in ('pending', 'leased', 'lost')
      group by g.queue order by g.queue`,
    [sweepNo],
  );
}
