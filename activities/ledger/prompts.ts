/** Prompt sets: content-addressed, written once, read by workers in the order of sample_idx. */
import type { PromptSetPlan } from '../../workflows/plan.ts';
import { type Db, query } from '../database.ts';
import { fromHex, toJsonb } from './bytes.ts';
import { LedgerRefusal } from './errors.ts';
import type { PromptRow } from './types.ts';

const ROWS_PER_STATEMENT = 1000;

/** Stores a set and its prompts; one that exists is left as it is, since the same hash is the same content. */
export async function savePromptSet(db: Db, set: PromptSetPlan): Promise<void> {
  await db.transaction().execute(async (trx) => {
    const added = await query(
      trx,
      `insert into prompt_set (sha, dataset, size, meta) values ($1, $2, $3, $4)
           on conflict do nothing
       returning sha`,
      [fromHex(set.sha), set.dataset, set.prompts.length, toJsonb(set.meta)],
    );
    if (added.length === 0) return;
    for (let at = 0; at < set.prompts.length; at += ROWS_PER_STATEMENT) {
      const rows = set.prompts.slice(at, at + ROWS_PER_STATEMENT).map((prompt, i) => ({
        idx: at + i,
        key: prompt.key,
        prompt: prompt.prompt,
        messages: prompt.messages,
        tokens: prompt.tokens,
        continuation: prompt.continuation,
        answers: prompt.references,
        metric: prompt.metric,
        variant: prompt.variant,
        task_type: prompt.taskType,
        max_new_tokens: prompt.maxNewTokens,
        meta: prompt.meta,
      }));
      await query(
        trx,
        `insert into prompt (prompt_set, idx, key, prompt, messages, tokens, continuation, answers, metric, variant,
                             task_type, max_new_tokens, meta)
         select $1, idx, key, prompt, messages, tokens, continuation, answers, metric, variant, task_type,
                max_new_tokens, meta
           from jsonb_to_recordset($2) as u (idx int, key text, prompt text, messages jsonb, tokens int[],
                continuation text, answers text[], metric text, variant text, task_type text, max_new_tokens int,
                meta jsonb)`,
        [fromHex(set.sha), jsonText(rows)],
      );
    }
  });
}

/** A prompt with a NUL would reach the engine changed: refused, unlike in messages of the engine. */
function jsonText(rows: readonly { key: string }[]): string {
  const hasNul = (value: unknown): boolean =>
    typeof value === 'string'
      ? value.includes('\0')
      : typeof value === 'object' && value !== null && Object.values(value).some(hasNul);
  const bad = rows.find(hasNul);
  if (bad !== undefined) {
    throw new LedgerRefusal(`Prompt ${bad.key} holds a NUL character, which Postgres cannot store; remove it.`);
  }
  return toJsonb(rows);
}

/** All prompts of a set, in order. */
export async function loadPrompts(db: Db, sha: string): Promise<PromptRow[]> {
  const rows = await query<PromptRow>(
    db,
    `select idx as "sampleIdx", key, prompt, messages, tokens, continuation, answers, metric, variant,
            task_type as "taskType", max_new_tokens as "maxNewTokens", meta
       from prompt
      where prompt_set = $1
      order by idx`,
    [fromHex(sha)],
  );
  if (rows.length === 0) throw new LedgerRefusal(`No prompt set ${sha} is stored.`);
  return rows;
}
