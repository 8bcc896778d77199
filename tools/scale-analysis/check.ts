/** The numbers of some cells, computed once more: by SQL from the raw rows, and by the analysis from rows of one pair each. */
import { isDeepStrictEqual } from 'node:util';
import { type Db, query } from '../../activities/database.ts';
import { pairTimes } from '../../analysis/latency.ts';
import { lengthShifts, type Pair, type SampleSide } from '../../analysis/length-shift.ts';
import { scoreAnswer } from '../../analysis/metrics/index.ts';
import { type MergeableSummary, summarise } from '../../analysis/summaries.ts';

/** Throws on the first difference; returns the number of cells that were compared. */
export async function checkCells(db: Db, sweepNo: number, n: number): Promise<number> {
  const cells = await query<{ cell_no: number; base_no: number; stats: MergeableSummary }>(
    db,
    `select c.cell_no, b.cell_no as base_no, t.stats
       from cell c
       join cell b on b.sweep_no = c.sweep_no and b.key = c.baseline_key
       join cell_stats t on t.sweep_no = c.sweep_no and t.cell_no = c.cell_no and t.task_type = ''
      where c.sweep_no = $1 and c.compressor <> 'none'
      order by md5(c.cell_no::text) limit $2`,
    [sweepNo, n],
  );
  for (const cell of cells) {
    await checkLengths(db, sweepNo, cell);
    await checkScores(db, sweepNo, cell.cell_no);
    await checkNegatives(db, sweepNo, cell.cell_no, cell.base_no);
  }
  return cells.length;
}

async function checkLengths(
  db: Db,
  sweepNo: number,
  { cell_no, base_no, stats }: { cell_no: number; base_no: number; stats: MergeableSummary },
): Promise<void> {
  const [base, comp] = await Promise.all([sides(db, sweepNo, base_no), sides(db, sweepNo, cell_no)]);
  const pairs: Pair[] = [...base].map(([promptKey, side]) => ({
    promptKey,
    replicate: 0,
    base: side,
    comp: comp.get(promptKey) ?? null,
  }));
  const plain = summarise(lengthShifts(pairs), pairTimes(pairs));
  for (const [name, value] of Object.entries(plain)) {
    const stored = stats[name as keyof MergeableSummary];
    const isEqual =
      typeof value === 'number'
        ? Math.abs((stored as number) - value) <= 1e-9 * Math.max(1, Math.abs(value))
        : isDeepStrictEqual(stored, value);
    if (!isEqual)
      throw new Error(`cell ${cell_no}: ${name} is stored as ${JSON.stringify(stored)}, not ${JSON.stringify(value)}`);
  }
}

async function sides(db: Db, sweepNo: number, cellNo: number): Promise<Map<string, SampleSide>> {
  const rows = await query<SampleSide & { key: string }>(
    db,
    `select p.key, s.new_tokens as "newTokens", (array['stop', 'length', 'context', 'error'])[s.finish + 1] as finish,
            s.stop_id as "stopId", encode(s.prompt_sha, 'hex') as "promptSha", encode(s.out_sha, 'hex') as "tokensSha",
            null as "tokenIds", s.queue_us / 1000.0::float8 as "queueMs", s.prefill_us / 1000.0::float8 as "prefillMs",
            s.decode_us / 1000.0::float8 as "decodeMs"
       from sample s join cell c using (sweep_no, cell_no)
       join prompt p on p.prompt_set = c.prompt_set and p.idx = s.sample_idx
      where s.sweep_no = $1 and s.cell_no = $2`,
    [sweepNo, cellNo],
  );
  return new Map(rows.map(({ key, ...side }) => [key, side]));
}

async function checkScores(db: Db, sweepNo: number, cellNo: number): Promise<void> {
  const rows = await query<{ text: string; answers: string[]; score: number | null }>(
    db,
    `select convert_from(o.bytes, 'UTF8') as text, p.answers, x.score
       from sample s join cell c using (sweep_no, cell_no)
       join prompt p on p.prompt_set = c.prompt_set and p.idx = s.sample_idx
       join output o on o.sha = s.text_sha
       left join score x using (sweep_no, cell_no, sample_idx, rep)
      where s.sweep_no = $1 and s.cell_no = $2`,
    [sweepNo, cellNo],
  );
  if (rows.length === 0) throw new Error(`cell ${cellNo}: no answer found`);
  const wrong = rows.find((row) => scoreAnswer(row.text, row.answers, 'qa_f1')[0]?.score !== row.score);
  if (wrong) throw new Error(`cell ${cellNo}: ${JSON.stringify(wrong)}`);
}

/** Rule `default` at 10 %, as section 4.1 of the design writes it. */
async function checkNegatives(db: Db, sweepNo: number, cellNo: number, baseNo: number): Promise<void> {
  const [row] = await query<{ plain: number; stored: number | null }>(
    db,
    `with b as (select sample_idx, score from score where sweep_no = $1 and cell_no = $3),
          thr as (select percentile_cont(0.5) within group (order by score) as t from b)
     select (select count(*) from b join score s on s.sweep_no = $1 and s.cell_no = $2 and s.sample_idx = b.sample_idx, thr
              where b.score >= thr.t and b.score > 0 and not (b.score * (1 - 0.1::float8) < s.score)) as plain,
            (select v.negatives from kv.negatives_summary v join cell c on v.cell_key = encode(c.key, 'hex')
              where c.sweep_no = $1 and c.cell_no = $2 and v.task_type = '' and v.rule = 'default' and v.theta = 0.1) as stored`,
    [sweepNo, cellNo, baseNo],
  );
  const isInert = row!.stored === null;
  if (!isInert && row!.plain !== row!.stored)
    throw new Error(`cell ${cellNo}: ${row!.stored} negatives, not ${row!.plain}`);
}
