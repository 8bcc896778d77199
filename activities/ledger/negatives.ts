/** Reading negatives with all that belongs to them: prompt, references, both answers. */
import type { JsonObject } from '../../workflows/contracts.ts';
import { type Db, query } from '../database.ts';

/** A compressed cell that has a baseline: what negatives are looked for in. */
export interface ComparedCell {
  cellKey: string;
  baselineKey: string;
  label: string;
  batch: number | null;
  dataset: string | null;
  kind: string;
}

/** The compared cells of a sweep, in the order in which they are listed. */
export async function comparedCells(db: Db, sweepId: string): Promise<ComparedCell[]> {
  return await query(
    db,
    `select c.cell_key as "cellKey", p.baseline_cell_key as "baselineKey", c.label, c.batch_size as batch, c.dataset, c.kind
       from kv.cells c
       join kv.pairs p on p.cell_key = c.cell_key
      where c.sweep = $1 and c.status = 'done' and c.kind in ('generate', 'import') and p.baseline_cell_key is not null
      order by c.batch_size, c.dataset, p.baseline_cell_key, c.label, c.cell_key`,
    [sweepId],
  );
}

/** What a list of negatives is about. */
export interface NegativeFilter {
  /** A fraction. */
  theta: number;
  rule: string;
  task: string | null;
  metric: string | null;
  replicate: number | null;
}

export interface LostBy {
  cellKey: string;
  label: string;
  score: number;
  negative: boolean;
  stable: boolean | null;
  robust: boolean | null;
}

export interface NegativeRow {
  promptKey: string;
  replicate: number;
  taskType: string | null;
  metric: string;
  variant: string;
  baseScore: number;
  threshold: number;
  answers: LostBy[];
}

/**
 * Samples of cells of one baseline that `all` of them lose, or `any`; with one cell both mean the same.
 * Rows come in the order of their keys.
 */
export async function readNegatives(
  db: Db,
  cellKeys: readonly string[],
  filter: NegativeFilter,
  which: 'all' | 'any',
): Promise<NegativeRow[]> {
  return await query(
    db,
    `select n.prompt_key as "promptKey", n.replicate, min(n.task_type) as "taskType", n.metric, n.variant,
            min(n.base_score) as "baseScore", min(n.threshold) as threshold,
            jsonb_agg(jsonb_build_object('cellKey', n.cell_key, 'label', n.label, 'score', n.score, 'negative', n.negative,
                                         'stable', n.stable, 'robust', n.robust_negative) order by n.label, n.cell_key)
              as answers
       from kv.negative_rows($1, $2) n
      where n.cell_key = any($3) and ($4::text is null or n.task_type = $4) and ($5::text is null or n.metric = $5)
        and ($6::int is null or n.replicate = $6)
      group by n.prompt_key, n.replicate, n.metric, n.variant
     having ${which === 'all' ? 'bool_and(n.negative) and count(*) = cardinality($3)' : 'bool_or(n.negative)'}
      order by n.prompt_key, n.replicate, n.metric, n.variant`,
    [filter.theta, filter.rule, cellKeys, filter.task, filter.metric, filter.replicate],
  );
}

export interface NegativeCount {
  n: number;
  eligible: number;
  negatives: number;
  mirrored: number;
  /** null without replicates. */
  robust: number | null;
}

/** Sums over samples of cells of one baseline: of each sample what `all` of the cells say, or `any`. */
export async function countNegativeRows(
  db: Db,
  cellKeys: readonly string[],
  filter: NegativeFilter,
  which: 'all' | 'any',
): Promise<NegativeCount> {
  const fold = which === 'all' ? 'bool_and' : 'bool_or';
  const [row] = await query<NegativeCount>(
    db,
    `select coalesce(sum(weight), 0)::int as n, coalesce(sum(weight) filter (where eligible), 0)::int as eligible,
            coalesce(sum(weight) filter (where negative), 0)::int as negatives,
            coalesce(sum(weight) filter (where mirrored), 0)::int as mirrored,
            case when count(robust) > 0 then coalesce(sum(weight) filter (where robust), 0)::int end as robust
       from (select max(n.weight) as weight, bool_or(n.eligible) as eligible, ${fold}(n.negative) as negative,
                    ${fold}(n.mirrored) as mirrored, ${fold}(n.robust_negative) as robust
               from kv.negative_rows($1, $2) n
              where n.cell_key = any($3) and ($4::text is null or n.task_type = $4) and ($5::text is null or n.metric = $5)
                and ($6::int is null or n.replicate = $6)
              group by n.prompt_key, n.replicate, n.metric, n.variant) t`,
    [filter.theta, filter.rule, cellKeys, filter.task, filter.metric, filter.replicate],
  );
  return row!;
}

/** The same per cell from what aggregation stored; for a theta of the grid and without a filter by replicate. */
export async function storedCounts(
  db: Db,
  cellKeys: readonly string[],
  filter: NegativeFilter,
): Promise<Map<string, NegativeCount>> {
  const rows = await query<NegativeCount & { cellKey: string }>(
    db,
    `select cell_key as "cellKey", sum(n)::int as n, sum(eligible)::int as eligible, sum(negatives)::int as negatives,
            sum(mirrored)::int as mirrored, sum(robust)::int as robust
       from kv.negatives_summary
      where cell_key = any($1) and theta = $2 and rule = $3 and task_type = coalesce($4::text, '')
        and ($5::text is null or metric = $5)
      group by cell_key`,
    [cellKeys, filter.theta, filter.rule, filter.task, filter.metric],
  );
  return new Map(rows.map(({ cellKey, ...count }) => [cellKey, count]));
}

export interface PromptText {
  key: string;
  prompt: string | null;
  messages: { role: string; content: string }[] | null;
  references: string[] | null;
  metric: string | null;
  variant: string | null;
  taskType: string | null;
  /** The prompt's own, else the workload's. */
  maxNewTokens: number | null;
  meta: JsonObject | null;
}

/** Prompts of a cell by their keys. */
export async function promptsOfCell(
  db: Db,
  cellKey: string,
  promptKeys: readonly string[],
): Promise<Map<string, PromptText>> {
  const rows = await query<PromptText>(
    db,
    `select p.key, p.prompt, p.messages, p.answers as references, p.metric, p.variant, p.task_type as "taskType",
            coalesce(p.max_new_tokens, (r.run #>> '{workload,generate,max_new_tokens}')::int) as "maxNewTokens", p.meta
       from newest_run r
       join prompt p on p.prompt_set = r.prompt_set
      where r.key = decode($1, 'hex') and p.key = any($2)`,
    [cellKey, promptKeys],
  );
  return new Map(rows.map((row) => [row.key, row]));
}

/** Answers by cell key, prompt key and replicate, joined by a line break each. A sample without a text is absent. */
export async function answerTexts(
  db: Db,
  cellKeys: readonly string[],
  promptKeys: readonly string[],
): Promise<Map<string, string>> {
  const rows = await query<{ cellKey: string; promptKey: string; replicate: number; text: string }>(
    db,
    `select encode(r.key, 'hex') as "cellKey", p.key as "promptKey", s.rep as replicate, convert_from(t.bytes, 'UTF8') as text
       from newest_run r
       join prompt p on p.prompt_set = r.prompt_set
       join sample s on s.sweep_no = r.sweep_no and s.cell_no = r.cell_no and s.sample_idx = p.idx
       join output t on t.sha = s.text_sha
      where r.key in (select decode(key, 'hex') from unnest($1::text[]) as u (key)) and p.key = any($2)`,
    [cellKeys, promptKeys],
  );
  return new Map(rows.map((row) => [answerKey(row.cellKey, row.promptKey, row.replicate), row.text]));
}

export function answerKey(cellKey: string, promptKey: string, replicate: number): string {
  return `${cellKey}\n${promptKey}\n${replicate}`;
}
