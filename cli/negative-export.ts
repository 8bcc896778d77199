/** Negatives as a data set: generic JSONL that a sweep can name, one line a prompt. */

import type { NegativeFilter } from '../activities/ledger/negatives.ts';
import type { JsonObject } from '../workflows/contracts.ts';
import type { NegativeEntry } from './negative-entries.ts';

/** null: the prompt has no text, as those of an import. */
export function exportLine(entry: NegativeEntry, { theta, rule }: NegativeFilter): JsonObject | null {
  const { prompt } = entry;
  if (!prompt || (prompt.prompt === null && prompt.messages === null)) return null;
  const { all_classes: classes, ...meta } = prompt.meta ?? {};
  const lost = entry.answers.filter((answer) => answer.negative);
  const [only] = lost;
  const of = <T>(pick: (answer: (typeof lost)[number]) => T) =>
    lost.length === 1 ? pick(only!) : Object.fromEntries(lost.map((answer) => [answer.label, pick(answer)]));
  return {
    id: entry.promptKey,
    ...(prompt.prompt === null ? { messages: prompt.messages! } : { prompt: prompt.prompt }),
    ...(prompt.references && { references: prompt.references }),
    // The prompt's own metric: one prompt may have scores of several that follow from it.
    ...(prompt.metric !== null && { metric: prompt.metric }),
    ...(prompt.variant !== null && { variant: prompt.variant }),
    ...(classes !== undefined && { all_classes: classes }),
    ...(prompt.maxNewTokens !== null && { max_new_tokens: prompt.maxNewTokens }),
    ...(prompt.taskType !== null && { task_type: prompt.taskType }),
    meta: {
      ...meta,
      base_score: entry.baseScore,
      score: of((answer) => answer.score),
      compressor: lost.length === 1 ? only!.label : lost.map((answer) => answer.label),
      theta,
      rule,
      robust: of((answer) => answer.robust),
    },
  } as JsonObject;
}
