/**
 * What a `generate` workload needs of its prompts and of the model before it can run: caps of the prompts' own, the id
 * of a text that ends answers, and the certainty that a chat model's turn can end.
 */
import type { EngineWorkload } from '../workflows/contracts.ts';
import type { PromptPlan } from '../workflows/plan.ts';
import { encodeTexts } from './count-tokens.ts';
import { PlanError } from './plan-error.ts';
import type { FoundModel, PlanningDeps } from './planning.ts';
import { tokenizerOf } from './planning.ts';

type Generate = Extract<EngineWorkload, { generate: unknown }>['generate'];

export interface GenerateWishes {
  /** The cap of an answer is that of its prompt; the workload's is the largest of them. */
  capsOfPrompts: boolean;
  /** An answer also ends at the token of this text, though not at its first token. */
  stop: string | null;
  /** Run a chat model even if nothing would end its turn. */
  allowNoEot: boolean;
}

export async function completeGenerate(
  generate: Generate,
  wishes: GenerateWishes,
  prompts: readonly PromptPlan[],
  model: FoundModel,
  deps: Pick<PlanningDeps, 'engine' | 'engineEnvironment'>,
): Promise<Generate> {
  const done = { ...generate };
  if (wishes.capsOfPrompts) done.max_new_tokens = largestCap(prompts);
  const tokenizer = tokenizerOf(model, deps);
  if (wishes.stop !== null) {
    // A text may be cut into several ids; as in published scores the last one is what ends an answer.
    const id = (await encodeTexts(tokenizer, [wishes.stop], false))[0]!.at(-1)!;
    done.stop_ids = [...new Set([...done.stop_ids, id])];
    done.min_new_tokens = Math.max(1, done.min_new_tokens ?? 0);
  }
  const template = model.ref.chat_template ?? model.facts.chatTemplate;
  if (done.chat && template !== null && model.facts.endIds !== null && !wishes.allowNoEot) {
    const ends = [...model.facts.endIds, ...done.stop_ids];
    const names = turnEnds(template);
    const ids = names.length === 0 ? [] : (await encodeTexts(tokenizer, ['x'], true))[0]!;
    const wrong = noEndOfTurn(names, ids, ends);
    if (wrong) {
      throw new PlanError(
        `model ${model.ref.name}: ${wrong}, so answers would run on to the cap; add the id to stop_ids, or write allow_no_eot: true in the workload`,
      );
    }
  }
  return done;
}

function largestCap(prompts: readonly PromptPlan[]): number {
  const without = prompts.find((p) => p.maxNewTokens === undefined);
  if (without) {
    throw new PlanError(
      `the workload has no max_new_tokens, and prompt ${without.key} has none of its own; write max_new_tokens in the workload`,
    );
  }
  return Math.max(...prompts.map((p) => p.maxNewTokens!));
}

const TURN_ENDS = ['<|im_end|>', '<|eot_id|>', '<|end|>', '<|end_of_turn|>', '<end_of_turn>', '<turn|>', '<|return|>'];

/** Ends of a turn that a chat template writes. */
export function turnEnds(template: string): string[] {
  return TURN_ENDS.filter((text) => template.includes(text));
}

/**
 * What is missing, as the middle of a sentence; null if a turn can end. The user's turn of a rendered prompt ends as
 * the assistant's does, so one of the ids that end an answer must stand in it.
 *
 * @param names the ends of a turn in the template @param ids a prompt of one user message @param ends what ends an answer
 */
export function noEndOfTurn(names: readonly string[], ids: readonly number[], ends: readonly number[]): string | null {
  if (ends.length === 0) return 'its file names no token that ends an answer';
  if (names.length === 0 || ids.some((id) => ends.includes(id))) return null;
  return `the chat template ends a turn with ${names.join(' or ')}, which is not among the ids that end an answer (${ends.join(', ')})`;
}
