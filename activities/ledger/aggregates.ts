/**
 * What aggregation reads and writes. A cell that reuses a run of another sweep has no rows of its own: everything here
 * is about runs (`RunRef`), and the views lead every cell to its run.
 */

import type { JsonObject } from '../../workflows/contracts.ts';
import { type Db, query } from '../database.ts';
import { toHexOrNull, toJsonb, tokensOf } from './bytes.ts';
import {
  type EstimateRow,
  FINISHES,
  type LengthShiftRow,
  type PairRow,
  type PairSide,
  type RunRef,
  type StaleCell,
} from './types.ts';

/**
 * Done runs of the sweep's `generate` and `score` cells whose aggregation (by this `version`) is older than their
 * rows, their baseline's or a noise cell's; runs of other sweeps that this one reuses are included.
 */
export async function staleCells(db: Db, sweepNo: number, version: string): Promise<StaleCell[]> {
  return await query(
    db,
    `with run as (
       select r.*
         from cell c
         join newest_run r on r.key = c.key
        where c.sweep_no = $1 and c.status = 'done' and c.workload in ('generate', 'score')
     )
     select r.sweep_no as "sweepNo", r.cell_no as "cellNo", encode(r.key, 'hex') as key, r.label, r.workload,
            r.is_baseline as "isBaseline", r.noise_kind as "noiseKind",
            coalesce((r.summary ->> 'inert')::boolean, false) as inert,
            case when b.key is not null
                 then jsonb_build_object('sweepNo', b.sweep_no, 'cellNo', b.cell_no) end as baseline,
            coalesce(n.cells, '[]') as noise
       from run r
       left join newest_run b on b.key = r.baseline_key
       left join lateral (
            select jsonb_agg(jsonb_build_object('sweepNo', m.sweep_no, 'cellNo', m.cell_no, 'noiseKind', m.noise_kind)
                             order by m.noise_kind, m.noise_no) as cells,
                   max(m.finished_at) as finished_at
              from newest_run m
             where m.baseline_key = r.baseline_key and m.noise_kind is not null and m.key <> r.key) n on true
      where not exists (
            select from cell_stats t
             where t.sweep_no = r.sweep_no and t.cell_no = r.cell_no and t.version = $2
               and t.computed_at > greatest(r.finished_at, b.finished_at, n.finished_at))
      order by r.noise_kind is null, r.sweep_no, r.cell_no`,
    [sweepNo, version],
  );
}

type SideColumns = {
  newTokens: number | null;
  finish: number | null;
  errorKind: string | null;
  stopId: number | null;
  promptSha: Buffer | null;
  outSha: Buffer | null;
  tokens: Buffer | null;
  queueUs: number | null;
  prefillUs: number | null;
  decodeUs: number | null;
  extra: JsonObject | null;
};

const side = (alias: string) => `
  json_build_object('newTokens', ${alias}.new_tokens, 'finish', ${alias}.finish, 'errorKind', ${alias}.error_kind,
    'stopId', ${alias}.stop_id, 'queueUs', ${alias}.queue_us, 'prefillUs', ${alias}.prefill_us,
    'decodeUs', ${alias}.decode_us, 'extra', ${alias}.extra) as "${alias}",
  ${alias}.prompt_sha as "${alias}PromptSha", ${alias}.out_sha as "${alias}OutSha", ${alias}_out.bytes as "${alias}Tokens"`;

/**
 * Samples of a run beside those of its baseline, by prompt and replicate; a sample that one side lacks has null
 * there. Without a baseline every `base` is null.
 */
export async function readPairs(db: Db, comp: RunRef, base: RunRef | null): Promise<PairRow[]> {
  const rows = await query<
    Record<string, unknown> & { sampleIdx: number; rep: number; promptKey: string; taskType: string | null }
  >(
    db,
    `with comp as (
       select * from sample where sweep_no = $1 and cell_no = $2
     ), base as (
       select * from sample where sweep_no = $3 and cell_no = $4
     )
     select coalesce(comp.sample_idx, base.sample_idx) as "sampleIdx", coalesce(comp.rep, base.rep) as rep,
            p.key as "promptKey", p.task_type as "taskType", ${side('comp')}, ${side('base')}
       from comp
       full join base on base.sample_idx = comp.sample_idx and base.rep = comp.rep
       left join output comp_out on comp_out.sha = comp.out_sha
       left join output base_out on base_out.sha = base.out_sha
       join cell c on c.sweep_no = $1 and c.cell_no = $2
       join prompt p on p.prompt_set = c.prompt_set and p.idx = coalesce(comp.sample_idx, base.sample_idx)
      order by p.key collate "C", 2`,
    [comp.sweepNo, comp.cellNo, base?.sweepNo ?? null, base?.cellNo ?? null],
  );
  return rows.map((row) => ({
    sampleIdx: row.sampleIdx,
    rep: row.rep,
    promptKey: row.promptKey,
    taskType: row.taskType,
    base: pairSide(row, 'base'),
    comp: pairSide(row, 'comp'),
  }));
}

function pairSide(row: Record<string, unknown>, name: 'base' | 'comp'): PairSide | null {
  const { finish, ...rest } = row[name] as SideColumns;
  if (finish === null) return null;
  const tokens = row[`${name}Tokens`] as Buffer | null;
  return {
    ...rest,
    finish: FINISHES[finish]!,
    promptSha: toHexOrNull(row[`${name}PromptSha`] as Buffer | null),
    outSha: toHexOrNull(row[`${name}OutSha`] as Buffer | null),
    tokens: tokens === null ? null : tokensOf(tokens),
  };
}

/** Replaces all length shifts of a run, in one statement: a reader sees the old ones or the new ones. */
export async function replaceLengthShift(
  db: Db,
  run: RunRef,
  base: RunRef,
  rows: readonly LengthShiftRow[],
): Promise<void> {
  await db.transaction().execute(async (trx) => {
    await query(trx, 'delete from length_shift where sweep_no = $1 and cell_no = $2', [run.sweepNo, run.cellNo]);
    const column = <K extends keyof LengthShiftRow>(name: K) => rows.map((row) => row[name]);
    await query(
      trx,
      `insert into length_shift (sweep_no, cell_no, base_sweep_no, base_cell_no, sample_idx, rep, l_base, l_comp, d,
                                 d_lo, d_hi, censor, same, first_diff, stop_missed, stop_early, beyond_noise)
       select $1, $2, $3, $4, u.*
         from unnest($5::int[], $6::smallint[], $7::int[], $8::int[], $9::float8[], $10::float8[], $11::float8[],
                     $12::text[], $13::boolean[], $14::int[], $15::boolean[], $16::boolean[], $17::boolean[]) as u`,
      [
        run.sweepNo,
        run.cellNo,
        base.sweepNo,
        base.cellNo,
        column('sampleIdx'),
        column('rep'),
        column('lBase'),
        column('lComp'),
        column('d'),
        column('dLo'),
        column('dHi'),
        column('censor'),
        column('same'),
        column('firstDiff'),
        column('stopMissed'),
        column('stopEarly'),
        column('beyondNoise'),
      ],
    );
  });
}

export interface CellStatsRow {
  /** '' = all task types together. */
  taskType: string;
  stats: JsonObject;
}

/** Replaces the summaries of a run. Marks it as aggregated by `version`: write this last. */
export async function upsertCellStats(
  db: Db,
  run: RunRef,
  version: string,
  rows: readonly CellStatsRow[],
): Promise<void> {
  await db.transaction().execute(async (trx) => {
    await query(trx, 'delete from cell_stats where sweep_no = $1 and cell_no = $2', [run.sweepNo, run.cellNo]);
    await query(
      trx,
      `insert into cell_stats (sweep_no, cell_no, task_type, stats, version)
       select $1, $2, u.task_type, u.stats, $5
         from unnest($3::text[], $4::jsonb[]) as u (task_type, stats)`,
      [run.sweepNo, run.cellNo, rows.map((row) => row.taskType), rows.map((row) => toJsonb(row.stats)), version],
    );
  });
}

/** Adds or replaces estimates of a run by the name of their statistic. */
export async function upsertEstimates(db: Db, run: RunRef, rows: readonly EstimateRow[]): Promise<void> {
  const column = <K extends keyof EstimateRow>(name: K) => rows.map((row) => row[name]);
  await query(
    db,
    `insert into estimate (sweep_no, cell_no, statistic, value, lo, hi, p, n, n_clusters, b, seed, version)
     select $1, $2, u.*
       from unnest($3::text[], $4::float8[], $5::float8[], $6::float8[], $7::float8[], $8::int[], $9::int[],
                   $10::int[], $11::bigint[], $12::text[]) as u
         on conflict (sweep_no, cell_no, statistic) do update
        set value = excluded.value, lo = excluded.lo, hi = excluded.hi, p = excluded.p, n = excluded.n,
            n_clusters = excluded.n_clusters, b = excluded.b, seed = excluded.seed, version = excluded.version`,
    [
      run.sweepNo,
      run.cellNo,
      column('statistic'),
      column('value'),
      column('lo'),
      column('hi'),
      column('p'),
      column('n'),
      column('nClusters'),
      column('b'),
      column('seed'),
      column('version'),
    ],
  );
}
