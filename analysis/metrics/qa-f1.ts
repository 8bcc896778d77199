/**
 * `qa_f1`: F1 of the words of answer and reference, after lower-casing, deleting ASCII punctuation and dropping
 * articles. Most answers are short ASCII, and there are millions of them: that path makes no regular expression and no
 * intermediate text.
 */
import { splitWhite, WORD_CLASS } from './text.ts';

/** A list of words as a multiset, made once per reference. */
export interface Bag {
  index: Map<string, number>;
  counts: number[];
  size: number;
}

const WORD = 1;
const WHITE = 2;
const PUNCTUATION = 3;
/** What an ASCII character is; 0 = a control character, which the fast path leaves to the slow one. */
const KIND = new Uint8Array(128);
for (let c = 0; c < 128; c++) {
  if ((c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20)) KIND[c] = WHITE;
  else if (c > 0x20 && c < 0x7f) KIND[c] = /[a-z0-9]/i.test(String.fromCharCode(c)) ? WORD : PUNCTUATION;
}

const PUNCTUATION_ALL = /[!-/:-@[-`{-~]/g;
const ARTICLES = new RegExp(`(?<![${WORD_CLASS}])(?:an?|the)(?![${WORD_CLASS}])`, 'gu');

/** The normal form: words in order. */
export function normalWords(text: string): string[] {
  const lower = text.toLowerCase();
  const words: string[] = [];
  let begun = '';
  let from = 0;
  for (let i = 0; i <= lower.length; i++) {
    const c = i < lower.length ? lower.charCodeAt(i) : 0x20;
    const kind = c < 128 ? KIND[c] : 0;
    if (kind === WORD) continue;
    if (kind === 0) return slowWords(lower);
    if (i > from) begun = begun === '' ? lower.slice(from, i) : begun + lower.slice(from, i);
    from = i + 1;
    if (kind === WHITE && begun !== '') {
      if (begun !== 'a' && begun !== 'an' && begun !== 'the') words.push(begun);
      begun = '';
    }
  }
  return words;
}

/** Any script: an article may stand beside a dash or a combining mark, which are no word characters. */
function slowWords(lower: string): string[] {
  return splitWhite(lower.replace(PUNCTUATION_ALL, '').replace(ARTICLES, ' '));
}

export function bagOf(words: readonly string[]): Bag {
  const index = new Map<string, number>();
  const counts: number[] = [];
  for (const word of words) {
    const at = index.get(word);
    if (at === undefined) {
      index.set(word, counts.length);
      counts.push(1);
    } else counts[at]!++;
  }
  return { index, counts, size: words.length };
}

/** F1 of two multisets of words; 0 without a common word, also if both are empty. */
export function bagF1(words: readonly string[], reference: Bag): number {
  let same = 0;
  let used: number[] | null = null;
  for (const word of words) {
    const at = reference.index.get(word);
    if (at === undefined) continue;
    used ??= new Array<number>(reference.counts.length).fill(0);
    if (used[at]! < reference.counts[at]!) {
      used[at]!++;
      same++;
    }
  }
  if (same === 0) return 0;
  const precision = same / words.length;
  const recall = same / reference.size;
  return (2 * precision * recall) / (precision + recall);
}

/** References come again with every cell of a sweep; at so many the memory is emptied. */
const MOST_BAGS = 50_000;

/** Remembers the multiset of each reference. */
export function bags(wordsOf: (reference: string) => readonly string[]): (reference: string) => Bag {
  const known = new Map<string, Bag>();
  return (reference) => {
    let bag = known.get(reference);
    if (bag === undefined) {
      if (known.size >= MOST_BAGS) known.clear();
      bag = bagOf(wordsOf(reference));
      known.set(reference, bag);
    }
    return bag;
  };
}

const referenceBag = bags(normalWords);

export function qaF1(prediction: string): (reference: string) => number {
  const words = normalWords(prediction);
  return (reference) => bagF1(words, referenceBag(reference));
}

/** `exact_norm`: equal normal forms, not empty. */
export function exactNorm(prediction: string): (reference: string) => number {
  const words = normalWords(prediction).join(' ');
  return (reference) => (words !== '' && words === normalWords(reference).join(' ') ? 1 : 0);
}
