/**
 * `qa_f1_zh` and `rouge_l_zh`: Chinese text is cut into words by jieba's accurate mode first, with the dictionary that
 * the package brings. It is loaded at the first use; where it cannot be loaded these metrics are unavailable.
 */
import { createRequire } from 'node:module';
import { bagF1, bags } from './qa-f1.ts';
import { isLongPair, rougeL } from './rouge-l.ts';
import { withoutWhite } from './text.ts';

type Cut = (text: string) => string[];

/** Words of a text, or a sentence that says why there are none. */
export type Segmenter = { cut: Cut; unavailable: null } | { cut: null; unavailable: string };

function loadJieba(): Cut {
  const require = createRequire(import.meta.url);
  const { Jieba } = require('@node-rs/jieba') as typeof import('@node-rs/jieba');
  const { dict } = require('@node-rs/jieba/dict.js') as typeof import('@node-rs/jieba/dict.js');
  const jieba = Jieba.withDict(dict);
  return (text) => jieba.cut(text, true);
}

export function makeSegmenter(load: () => Cut): Segmenter {
  try {
    return { cut: load(), unavailable: null };
  } catch (error) {
    const why = (error as Error).message.split('\n')[0];
    return {
      cut: null,
      unavailable: `Chinese text cannot be cut into words: the package @node-rs/jieba does not load (${why}); \`npm ci\` installs it where there is a build of it for the platform`,
    };
  }
}

let loaded: Segmenter | null = null;

function segmenter(): Segmenter {
  loaded ??= makeSegmenter(loadJieba);
  return loaded;
}

/** Null if the Chinese metrics can be computed here, else a sentence. */
export function chineseUnavailable(): string | null {
  return segmenter().unavailable;
}

function cut(text: string): string[] {
  const { cut, unavailable } = segmenter();
  if (cut === null) throw new Error(unavailable);
  return cut(text);
}

/** ASCII punctuation, and the wide and CJK signs that published scores of LongBench delete (U+FF0E is not one). */
const SIGNS =
  /[!-/:-@[-`{-~\uff01-\uff0d\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff64\u3001-\u3003\u300b-\u3011\u3014-\u301f\u3030\u303e\u303f\u2013\u2014\u2018\u2019\u201b-\u201f\u2026\u2027\ufe4f]/g;

function chineseWords(text: string): string[] {
  return cut(text)
    .map((word) => withoutWhite(word.toLowerCase().replace(SIGNS, '')))
    .filter((word) => word !== '');
}

const referenceBag = bags(chineseWords);

export function qaF1Zh(prediction: string): (reference: string) => number {
  const words = chineseWords(prediction);
  return (reference) => bagF1(words, referenceBag(reference));
}

const spaced = (text: string) => cut(text).join(' ');

export function rougeLZh(prediction: string): (reference: string) => number {
  const rate = rougeL(spaced(prediction));
  return (reference) => rate(spaced(reference));
}

export function isLongPairZh(prediction: string, reference: string): boolean {
  // A word takes a character and a space here, so a pair that is too short for the check is seen before it is cut.
  if (prediction.length + reference.length < 900) return false;
  return isLongPair(spaced(prediction), spaced(reference));
}
