/**
 * Which cells an aggregation stage has to compute. A stage remembers for every run of a cell by which version and from
 * which runs it was computed; a cell is stale if either has changed since. Everything here is about runs (`RunRef`): a
 * cell that reuses a run of another sweep has no rows of its own, and the views lead every cell to its run.
 */
import { type Db, query } from '../database.ts';
import type { RunRef, StageName, StageNeeds, StaleCell } from './types.ts';

/** What the numbers of a cell rest on, by the stage's needs: a text that changes when one of these runs does. */
const INPUTS: Record<StageNeeds, string> = {
  own: 'r.stamp',
  baseline: "concat_ws('|', r.stamp, coalesce(b.stamp, '-'))",
  family: "concat_ws('|', r.stamp, coalesce(b.stamp, '-'), n.stamps, t.stamps)",
};

/**
 * Done runs of the sweep's cells of these workloads whose stage is missing or out of date, those of one baseline side by
 * side; runs of other sweeps that this one reuses are included.
 */
export async function staleCells(
  db: Db,
  sweepNo: number,
  stage: { name: StageName; version: string; needs: StageNeeds; workloads: readonly string[] },
): Promise<StaleCell[]> {
  return await query(
    db,
    `with done as materialized (
       select distinct on (key) sweep_no, cell_no, key, baseline_key, workload, compressor, label, is_baseline, noise_kind, noise_no,
              replicate_of, prompt_set, n_planned, coalesce((summary ->> 'inert')::boolean, false) as inert,
              coalesce(provenance #>> '{device,name}', '') as device,
              format('%s/%s@%s', sweep_no, cell_no, extract(epoch from finished_at)) as stamp
         from cell
        where status = 'done' and reused_from is null
        order by key, finished_at desc, sweep_no desc
     ), noise as (
       select baseline_key, string_agg(stamp, ',' order by noise_kind, noise_no) as stamps,
              jsonb_agg(jsonb_build_object('sweepNo', sweep_no, 'cellNo', cell_no, 'noiseKind', noise_kind)
                        order by noise_kind, noise_no) as cells
         from done
        where noise_kind is not null and compressor = 'none' and baseline_key is not null
        group by baseline_key
     ), twins as (
       select replicate_of, string_agg(stamp, ',' order by key) as stamps from done where replicate_of is not null group by replicate_of
     ), stamped as (
       select r.*, b.sweep_no as base_sweep_no, b.cell_no as base_cell_no, b.device as base_device, n.cells as noise,
              ${INPUTS[stage.needs]} as inputs
         from done r
         left join done b on b.key = r.baseline_key
         left join noise n on n.baseline_key = r.baseline_key and r.noise_kind is null
         left join twins t on t.replicate_of = r.key
     )
     select s.sweep_no as "sweepNo", s.cell_no as "cellNo", encode(s.key, 'hex') as key, s.label, s.compressor, s.workload,
            s.is_baseline as "isBaseline", s.noise_kind as "noiseKind", s.inert, encode(s.prompt_set, 'hex') as "promptSet",
            s.n_planned as "nPlanned",
            case when s.base_cell_no is not null
                 then jsonb_build_object('sweepNo', s.base_sweep_no, 'cellNo', s.base_cell_no) end as baseline,
            coalesce(s.device = s.base_device, false) as "sameDevice", coalesce(s.noise, '[]') as noise, s.inputs
       from stamped s
       left join cell_stage t on t.sweep_no = s.sweep_no and t.cell_no = s.cell_no and t.stage = $2
      where s.key in (select key from cell where sweep_no = $1 and status = 'done') and s.workload = any($4)
        and (t.version, t.inputs) is distinct from ($3, s.inputs)
      order by coalesce(s.base_sweep_no, s.sweep_no), coalesce(s.base_cell_no, s.cell_no), s.sweep_no, s.cell_no`,
    [sweepNo, stage.name, stage.version, stage.workloads],
  );
}

/** Marks cells as computed by this stage from the inputs that they were read with. Written last. */
export async function markStage(
  db: Db,
  stage: { name: StageName; version: string },
  cells: readonly (RunRef & { inputs: string })[],
): Promise<void> {
  await query(
    db,
    `insert into cell_stage (sweep_no, cell_no, stage, version, inputs)
     select u.sweep_no, u.cell_no, $1, $2, u.inputs
       from unnest($3::int[], $4::int[], $5::text[]) as u (sweep_no, cell_no, inputs)
      order by 1, 2
         on conflict (sweep_no, cell_no, stage) do update
        set version = excluded.version, inputs = excluded.inputs, computed_at = excluded.computed_at`,
    [
      stage.name,
      stage.version,
      cells.map((cell) => cell.sweepNo),
      cells.map((cell) => cell.cellNo),
      cells.map((cell) => cell.inputs),
    ],
  );
}

/**
 * Takes the cells for the rest of a transaction: two aggregations at once write one after the other, so that the second
 * deletes what the first one wrote. In one order everywhere, or two batches would wait for each other.
 */
export const LOCK_CELLS = `
  select from cell c
    join unnest($1::int[], $2::int[]) as u (sweep_no, cell_no) using (sweep_no, cell_no)
   order by c.sweep_no, c.cell_no
     for no key update of c`;

export function runArrays(runs: readonly RunRef[]): [sweepNos: number[], cellNos: number[]] {
  return [runs.map((run) => run.sweepNo), runs.map((run) => run.cellNo)];
}
