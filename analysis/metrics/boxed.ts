/** `boxed` and `boxed_answered`: the content of the last `\boxed{...}` whose braces balance. */
import { withoutWhite } from './text.ts';

const OPENING = '\\boxed{';

/** Null if there is none. */
export function lastBoxed(text: string): string | null {
  for (let at = text.lastIndexOf(OPENING); at >= 0; at = at === 0 ? -1 : text.lastIndexOf(OPENING, at - 1)) {
    const from = at + OPENING.length;
    let depth = 1;
    for (let i = from; i < text.length; i++) {
      if (text[i] === '{') depth++;
      else if (text[i] === '}' && --depth === 0) return text.slice(from, i);
    }
  }
  return null;
}

export function boxed(prediction: string): (reference: string) => number {
  const said = lastBoxed(prediction);
  const bare = said === null ? null : withoutWhite(said);
  return (reference) => (bare !== null && bare === withoutWhite(lastBoxed(reference) ?? reference) ? 1 : 0);
}

export function boxedAnswered(prediction: string): number {
  return lastBoxed(prediction) === null ? 0 : 1;
}
