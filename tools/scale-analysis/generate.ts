/**
 * A sweep as engines would have left it, written by Postgres itself: lengths, cut answers, times, answers to questions.
 * Everything follows from the seed and a sample's place; answers repeat as they do in reality (most are the baseline's).
 */
import { availableParallelism } from 'node:os';
import { type Db, query } from '../../activities/database.ts';
import { insertPlan } from '../../activities/ledger.ts';
import { cellPlan, promptSet, sweepPlan } from '../../test/support/plans.ts';
import type { CellPlan, PromptSetPlan } from '../../workflows/plan.ts';

export interface Shape {
  cells: number;
  prompts: number;
  /** Compressors beside each baseline; with its noise cell they make a family. */
  labels: number;
  /** Data sets; families of one set differ in batch size. */
  datasets: number;
  seed: number;
}

const CAP = 512;
/** Cells that one statement fills. */
const CELLS_PER_INSERT = 100;
/** Cells whose token ids are stored too, from the first: what the cost of diagnostics is measured on. */
export const CELLS_WITH_TOKENS = 20;

/** Writes the sweep; returns its number. */
export async function generate(db: Db, shape: Shape): Promise<number> {
  const sets = Array.from({ length: shape.datasets }, (_, d) => questions(shape.prompts, d));
  const cells = Array.from({ length: shape.cells }, (_, i) => plannedCell(i, shape, sets));
  const { sweepNo } = await insertPlan(db, sweepPlan('scale-analysis', [cells], { promptSets: sets }));
  await query(
    db,
    'create function h(a bigint, b bigint) returns bigint language sql immutable parallel safe return hashint8extended(a, b) & 1099511627775',
  );
  await query(
    db,
    `create unlogged table made as
     select c.cell_no, c.cell_no / $2 as family, c.cell_no % $2 as member, d.n as dataset, c.prompt_set
       from cell c join (select prompt_set, row_number() over (order by min(cell_no)) - 1 as n from cell group by 1) d using (prompt_set)
      where c.sweep_no = $1`,
    [sweepNo, shape.labels + 2],
  );
  await query(db, 'create unique index on made (cell_no)');
  await query(db, 'analyze made');
  // Built once over all rows instead of row by row.
  await query(db, 'alter table output drop constraint output_pkey');
  const starts = Array.from({ length: Math.ceil(shape.cells / CELLS_PER_INSERT) }, (_, i) => i * CELLS_PER_INSERT);
  const fill = async () => {
    for (let from = starts.shift(); from !== undefined; from = starts.shift()) {
      await query(db, SAMPLES, [sweepNo, from, from + CELLS_PER_INSERT, shape.prompts, shape.seed]);
      await query(db, OWN_TEXTS, [from, from + CELLS_PER_INSERT, shape.prompts, shape.seed]);
    }
  };
  await Promise.all(Array.from({ length: Math.min(2, availableParallelism()) }, fill));
  await query(db, COMMON_TEXTS, [shape.datasets, shape.prompts]);
  await query(db, TOKENS, [sweepNo, CELLS_WITH_TOKENS]);
  await query(db, 'alter table output add constraint output_pkey primary key (sha)');
  await query(
    db,
    `update cell set status = 'done', started_at = now(), finished_at = clock_timestamp(),
            summary = jsonb_build_object('inert', compressor = 'kivi' and cell_no % 97 = 5, 'batch', batch, 'tokens', 1),
            provenance = '{"engine": "0.1.0", "device": {"name": "scale"}}'
      where sweep_no = $1`,
    [sweepNo],
  );
  await query(db, 'drop table made');
  await query(db, 'vacuum (analyze) sample, output, cell, prompt');
  await query(db, 'checkpoint');
  return sweepNo;
}

function questions(n: number, dataset: number): PromptSetPlan {
  const set = promptSet(n, `qa${dataset}`);
  const types = ['QA', 'Few-shot', 'Synthetic'];
  return {
    ...set,
    prompts: set.prompts.map((prompt, i) => ({
      ...prompt,
      metric: 'qa_f1',
      references: [`answer ${dataset} of question ${i}`, `question ${i}`],
      // two data sets of three hold one task type, as LongBench's do
      taskType: types[dataset % 3 === 2 ? i % 3 : dataset % 3]!,
    })),
  };
}

/** Baseline, noise cell, then compressors; a family per data set and batch size. */
function plannedCell(i: number, shape: Shape, sets: readonly PromptSetPlan[]): CellPlan {
  const size = shape.labels + 2;
  const family = Math.floor(i / size);
  const member = i % size;
  const prompts = sets[family % sets.length]!;
  const batch = 1 + Math.floor(family / sets.length);
  const base = cellPlan(`scale ${family}/0`, { prompts, batch });
  if (member === 0) return base;
  if (member === 1)
    return cellPlan(`scale ${family}/1`, { prompts, batch, noise: { kind: 'batch', no: 0 }, baselineKey: base.key });
  const compressor = { kivi: { bits: 2 + (member % 7), group: 32 << Math.floor(member / 7) } };
  return cellPlan(`scale ${family}/${member}`, {
    prompts,
    batch,
    compressor,
    label: `kivi-${member}`,
    baselineKey: base.key,
  });
}

/**
 * The place of a sample decides all: `b` is common to a family and prompt, `o` the cell's own. A noise cell changes 15 %
 * of the answers, a compressor 25 to 60 %; half of the changed texts are one of 15 that others give too.
 */
const DRAWN = (from: string, to: string, prompts: string, seed: string) => `
  select m.cell_no, m.family, m.member, m.dataset, i.idx, h(m.family * 100000::bigint + i.idx, ${seed}) as b,
         h(m.cell_no * 1000003::bigint + i.idx, ${seed} + 1) as o,
         case when m.member = 0 then false
              else h(m.cell_no * 1000003::bigint + i.idx, ${seed} + 2) % 100
                   < case when m.member = 1 then 15 else 25 + 35 * m.member / 20 end end as changed
    from made m, generate_series(0, ${prompts}::int - 1) as i (idx)
   where m.cell_no >= ${from} and m.cell_no < ${to}
   order by m.cell_no, i.idx`;

const SAMPLES = `
  insert into sample (sweep_no, cell_no, sample_idx, rep, finish, truncated, seed, prompt_tokens, new_tokens, stop_id,
                      queue_us, prefill_us, decode_us, prompt_sha, out_sha, text_sha)
  select $1::int, s.cell_no, s.idx, 0, (l.n >= ${CAP})::int, false, 7, 100, l.n, case when l.n < ${CAP} then 2 end,
         1000, 20000 + s.o % 4000, l.n * (1000 - 15 * s.member + s.o % 90),
         sha256(int8send(s.dataset * 1000000 + s.idx)),
         sha256(int8send(case when s.changed then s.o else s.b end)), sha256(convert_to(t.text, 'UTF8'))
    from (${DRAWN('$2::int', '$3::int', '$4', '$5::bigint')}) s
   cross join lateral (
         select least(${CAP}, case when s.changed then b.n * (50 + s.o % 130) / 100 else b.n end)::int as n
           from (select 5 + s.b % 120 + (s.b / 1024 % 20 = 0)::int * 420 as n) b) l
   cross join lateral (
         select format('answer %s of question %s', s.dataset, case when not s.changed then s.idx + s.b % 4 / 3
                       when s.o % 2 = 0 then s.idx + 1 + s.o / 2 % 15 end)
                || case when s.changed and s.o % 2 = 1 then 'for ' || s.o else '' end as text) t`;

const OWN_TEXTS = `
  insert into output (sha, size, bytes)
  select sha256(t.bytes), octet_length(t.bytes), t.bytes
    from (${DRAWN('$1::int', '$2::int', '$3', '$4::bigint')}) s
   cross join lateral (
         select convert_to(format('answer %s of question for %s', s.dataset, s.o), 'UTF8') as bytes) t
   where s.changed and s.o % 2 = 1`;

const COMMON_TEXTS = `
  insert into output (sha, size, bytes)
  select sha256(t.bytes), octet_length(t.bytes), t.bytes
    from generate_series(0, $1::int - 1) as d (no), generate_series(0, $2::int + 16) as i (idx)
   cross join lateral (select convert_to(format('answer %s of question %s', d.no, i.idx), 'UTF8') as bytes) t`;

/** Tokens of an answer: those of the prompt's family, up to where a changed answer parts. */
const TOKENS = `
  insert into output (sha, size, bytes)
  select distinct on (s.out_sha) s.out_sha, 4 * s.new_tokens,
         substring(decode(repeat('01020000', s.new_tokens), 'hex') from 1 for 4 * (s.new_tokens / 3))
         || substring(decode(repeat(encode(substring(s.out_sha from 1 for 2), 'hex') || '0000', s.new_tokens), 'hex')
                      from 1 + 4 * (s.new_tokens / 3))
    from sample s
   where s.sweep_no = $1 and s.cell_no < $2`;
