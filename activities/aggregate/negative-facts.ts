/** What the negatives of a cell need to know besides scores: its data set, its replicates, the task types of its prompts. */
import { type Db, query } from '../database.ts';
import { type RunRef, runKey } from '../ledger.ts';

export interface CellFacts {
  promptSet: string | null;
  /** It repeats another compressed cell: it serves that cell and is none of its own. */
  isReplicate: boolean;
  /** Done runs that repeat this compressed cell. */
  twins: RunRef[];
}

export async function cellFacts(db: Db, cells: readonly RunRef[]): Promise<Map<string, CellFacts>> {
  const rows = await query<RunRef & CellFacts>(
    db,
    `select c.sweep_no as "sweepNo", c.cell_no as "cellNo", encode(c.prompt_set, 'hex') as "promptSet",
            c.replicate_of is not null as "isReplicate",
            coalesce((select jsonb_agg(jsonb_build_object('sweepNo', t.sweep_no, 'cellNo', t.cell_no)
                                       order by t.sweep_no, t.cell_no)
                        from (select distinct on (key) * from cell t
                               where t.replicate_of = c.key and t.status = 'done' and t.reused_from is null
                               order by key, finished_at desc, sweep_no desc) t), '[]') as twins
       from unnest($1::int[], $2::int[]) as u (sweep_no, cell_no)
       join cell c on c.sweep_no = u.sweep_no and c.cell_no = u.cell_no`,
    [cells.map((cell) => cell.sweepNo), cells.map((cell) => cell.cellNo)],
  );
  return new Map(rows.map((row) => [runKey(row), row]));
}

export interface NoiseRun extends RunRef {
  kind: string;
  no: number;
}

/** Done noise cells by baseline, in a fixed order. A rerun changes nothing, so it says nothing about noise. */
export async function noiseRuns(db: Db, baselines: readonly RunRef[]): Promise<Map<string, NoiseRun[]>> {
  const rows = await query<{ sweepNo: number; cellNo: number; runs: NoiseRun[] }>(
    db,
    `select b.sweep_no as "sweepNo", b.cell_no as "cellNo",
            jsonb_agg(jsonb_build_object('sweepNo', n.sweep_no, 'cellNo', n.cell_no, 'kind', n.noise_kind, 'no', n.noise_no)
                      order by n.noise_kind, n.noise_no, n.key) as runs
       from unnest($1::int[], $2::int[]) as u (sweep_no, cell_no)
       join cell b on b.sweep_no = u.sweep_no and b.cell_no = u.cell_no
       join (select distinct on (key) key, baseline_key, sweep_no, cell_no, noise_kind, noise_no
               from cell
              where noise_kind <> 'rerun' and compressor = 'none' and status = 'done' and reused_from is null
              order by key, finished_at desc, sweep_no desc) n on n.baseline_key = b.key
      group by b.sweep_no, b.cell_no`,
    [baselines.map((run) => run.sweepNo), baselines.map((run) => run.cellNo)],
  );
  return new Map(rows.map(({ runs, ...run }) => [runKey(run), runs]));
}

/** Task types by prompt set: each name once, and per sample_idx its number; -1 = none. */
export interface TaskTypes {
  of(promptSet: string | null): { names: string[]; at: Int16Array } | null;
}

export async function taskTypesOf(db: Db, facts: ReadonlyMap<string, CellFacts>): Promise<TaskTypes> {
  const sets = [...new Set([...facts.values()].flatMap((f) => f.promptSet ?? []))];
  const rows = await query<{ promptSet: string; types: (string | null)[] }>(
    db,
    `select encode(prompt_set, 'hex') as "promptSet", array_agg(task_type order by idx) as types
       from prompt
      where prompt_set in (select decode(sha, 'hex') from unnest($1::text[]) as u (sha))
      group by prompt_set
     having count(task_type) > 0`,
    [sets],
  );
  const known = new Map(
    rows.map(({ promptSet, types }) => {
      const names = [...new Set(types.flatMap((type) => type ?? []))].sort();
      const numbers = new Map<string | null, number>(names.map((name, i) => [name, i]));
      return [promptSet, { names, at: Int16Array.from(types, (type) => numbers.get(type) ?? -1) }] as const;
    }),
  );
  return { of: (promptSet) => known.get(promptSet ?? '') ?? null };
}
