/** Texts of the prompts that are told one by one. */
import type { Db } from '../../activities/database.ts';
import type { GenerateCell } from '../assemble.ts';
import type { Story } from '../model.ts';
import { pickStories } from '../pick-stories.ts';
import * as queries from '../queries.ts';

export async function readStories(db: Db, cells: readonly GenerateCell[], promptSet: string | null): Promise<Story[]> {
  const picks = pickStories(cells);
  if (picks.length === 0 || promptSet === null) return [];
  const wanted = picks.flatMap(({ cellKey, baselineKey, promptKey, replicate }) => [
    { cellKey, promptKey, replicate },
    { cellKey: baselineKey, promptKey, replicate },
  ]);
  const texts = await queries.textLines(db, wanted);
  const prompts = await queries.promptLines(
    db,
    promptSet,
    picks.map((pick) => pick.promptKey),
  );
  return picks.flatMap(({ cellKey, baselineKey, replicate, ...pick }) => {
    const answer = (key: string) => {
      const row = texts.find((t) => t.cell_key === key && t.prompt_key === pick.promptKey && t.replicate === replicate);
      return row && { text: row.text ?? '', tokens: row.new_tokens, finish: row.finish, serviceMs: row.service_ms };
    };
    const [base, comp] = [answer(baselineKey), answer(cellKey)];
    const prompt = prompts.find((p) => p.key === pick.promptKey);
    if (!base || !comp || !prompt) return [];
    return [{ ...pick, prompt: promptText(prompt) ?? '(token ids)', base, comp }];
  });
}

/** Null for a prompt of token ids, and for one that came as a score alone. */
export function promptText({ prompt, messages }: queries.PromptLine): string | null {
  return prompt ?? messages?.map(({ role, content }) => `${role}: ${content}`).join('\n\n') ?? null;
}
