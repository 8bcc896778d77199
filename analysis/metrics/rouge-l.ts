/**
 * `rouge_l`: statistic f of rouge-l as the Python package `rouge` 1.0.1 computes it, which is neither Google's
 * rouge-score nor sentence-level ROUGE: words are split at single spaces within pieces between full stops, and the union
 * of common subsequences counts distinct words. The walk is a loop where the package recurses.
 */
import { splitWhite } from './text.ts';

/** From so many words of a pair of pieces on, the package runs into its recursion limit and is usually scored 0. */
const LONG_PAIR = 900;

/** Words of each piece between full stops; a piece of white space alone is one empty word. */
function pieces(text: string): string[][] {
  const out: string[][] = [];
  for (const piece of text.split('.')) {
    if (piece === '') continue;
    const words = splitWhite(piece);
    out.push(words.length === 0 ? [''] : words);
  }
  return out;
}

let table = new Int32Array(1 << 12);

/** Marks the words on one longest common subsequence of x and y, found from the ends. */
function markCommon(x: Int32Array, y: Int32Array, marked: Uint8Array): void {
  const width = y.length + 1;
  const size = (x.length + 1) * width;
  if (table.length < size) table = new Int32Array(size * 2);
  const L = table;
  L.fill(0, 0, width);
  for (let i = 1; i <= x.length; i++) {
    const row = i * width;
    const word = x[i - 1];
    L[row] = 0;
    for (let j = 1; j <= y.length; j++) {
      const up = L[row - width + j]!;
      const left = L[row + j - 1]!;
      L[row + j] = word === y[j - 1] ? L[row - width + j - 1]! + 1 : Math.max(up, left);
    }
  }
  let i = x.length;
  let j = y.length;
  while (i > 0 && j > 0) {
    if (x[i - 1] === y[j - 1]) {
      marked[x[i - 1]!] = 1;
      i--;
      j--;
    } else if (L[(i - 1) * width + j]! > L[i * width + j - 1]!) i--;
    else j--;
  }
}

function numbered(words: string[][], ids: Map<string, number>): Int32Array[] {
  return words.map((piece) =>
    Int32Array.from(piece, (word) => {
      const known = ids.get(word);
      if (known !== undefined) return known;
      ids.set(word, ids.size);
      return ids.size - 1;
    }),
  );
}

export function rougeL(prediction: string): (reference: string) => number {
  const said = pieces(prediction);
  return (reference) => {
    const wanted = pieces(reference);
    if (said.length === 0 || wanted.length === 0) return 0;
    const ids = new Map<string, number>();
    const xs = numbered(wanted, ids);
    const m = ids.size;
    const ys = numbered(said, ids);
    const n = new Set(said.flat()).size;
    const marked = new Uint8Array(ids.size);
    for (const x of xs) for (const y of ys) markCommon(x, y, marked);
    const union = marked.reduce((sum, mark) => sum + mark, 0);
    const r = union / m;
    const p = union / n;
    return 2 * ((p * r) / (p + r + 1e-8));
  };
}

/** Whether the package would have given up on a pair of pieces of these texts. */
export function isLongPair(prediction: string, reference: string): boolean {
  // Every word but the last of a piece takes two characters.
  if (prediction.length + reference.length < 2 * LONG_PAIR - 2) return false;
  const longest = (text: string) => Math.max(0, ...pieces(text).map((piece) => piece.length));
  return longest(prediction) + longest(reference) > LONG_PAIR;
}
