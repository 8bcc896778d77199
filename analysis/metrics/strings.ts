/** Exact and string matches. Comparisons without case are of `toLowerCase`, which knows no locale. */
import { codePoints, trimWhite } from './text.ts';

type Rate = (reference: string) => number;

export function exact(prediction: string): Rate {
  const said = trimWhite(prediction);
  return (reference) => (said === trimWhite(reference) ? 1 : 0);
}

export function contains(prediction: string): Rate {
  const said = prediction.toLowerCase();
  return (reference) => (reference !== '' && said.includes(reference.toLowerCase()) ? 1 : 0);
}

/** As RULER cleans an answer: control characters become line breaks, ends are trimmed. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters to be replaced
const cleaned = (answer: string) => trimWhite(answer.replace(/[\u0000-\u001f]/g, '\n'));

export function stringPart(prediction: string): Rate {
  return contains(cleaned(prediction));
}

/** Share of the references that the answer contains: the list is one answer. */
export function stringAll(prediction: string, references: readonly string[]): number {
  const found = contains(cleaned(prediction));
  let sum = 0;
  for (const reference of references) sum += found(reference);
  return sum / references.length;
}

/** Longest common run of characters, as a share of the key's length. */
export function passkeyPartial(prediction: string): Rate {
  const said = codePoints(prediction);
  return (reference) => {
    const key = codePoints(reference);
    return key.length === 0 ? 0 : longestCommon(said, key) / key.length;
  };
}

function longestCommon(a: Int32Array, b: Int32Array): number {
  let best = 0;
  const row = new Int32Array(b.length + 1);
  for (const point of a) {
    // From the end: the value one to the left is still that of the row before.
    for (let j = b.length; j > 0; j--) {
      row[j] = point === b[j - 1] ? row[j - 1]! + 1 : 0;
      if (row[j]! > best) best = row[j]!;
    }
  }
  return best;
}
