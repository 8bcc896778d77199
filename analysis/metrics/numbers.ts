/** `retrieval` and `count`: the share of the numbers in an answer that are the right one, compared as strings. */
import { digitRuns } from './text.ts';

/** What stands before the number in a reference of `retrieval`, by variant. */
const LABELS = { '': /Paragraph (\p{Nd}+)/u, zh: /段落(\p{Nd}+)/u } as const;
export type RetrievalVariant = keyof typeof LABELS;

/** The number that a reference of `retrieval` asks for; null if it has none. */
export function goldNumber(reference: string, variant: RetrievalVariant): string | null {
  return LABELS[variant].exec(reference)?.[1] ?? null;
}

export function retrieval(prediction: string, variant: RetrievalVariant): (reference: string) => number {
  const share = count(prediction);
  return (reference) => {
    const gold = goldNumber(reference, variant);
    return gold === null ? 0 : share(gold);
  };
}

export function count(prediction: string): (reference: string) => number {
  const numbers = digitRuns(prediction);
  return (gold) => (numbers.length === 0 ? 0 : numbers.filter((n) => n === gold).length / numbers.length);
}
