/**
 * `code_sim`: how alike the first usable line of an answer and the reference are, in whole percent. Published tables
 * differ by what was installed: `difflib` is fuzzywuzzy on its own, `indel` fuzzywuzzy with python-Levenshtein.
 */
import { difflibRatio } from './difflib.ts';
import { codePoints, roundHalfEven, withoutLeadingBreaks } from './text.ts';

export const CODE_VARIANTS = ['difflib', 'indel'] as const;
export type CodeVariant = (typeof CODE_VARIANTS)[number];

/** The first line without a backtick, `#` or `//`, not trimmed; empty if there is none. */
export function usableLine(answer: string): string {
  for (const line of withoutLeadingBreaks(answer).split('\n')) {
    if (!line.includes('`') && !line.includes('#') && !line.includes('//')) return line;
  }
  return '';
}

/** Whole percent: 100 for equal texts, else 0 if one is empty. */
export function likeness(a: string, b: string, variant: CodeVariant): number {
  if (a === b) return 100;
  if (a === '' || b === '') return 0;
  return roundHalfEven(100 * (variant === 'difflib' ? difflibRatio(a, b) : indelRatio(a, b)));
}

export function codeSim(prediction: string, variant: CodeVariant): (reference: string) => number {
  const line = usableLine(prediction);
  return (reference) => likeness(line, reference, variant) / 100;
}

/** 2 * (longest common subsequence) / (|a| + |b|), in code points. */
function indelRatio(textA: string, textB: string): number {
  const a = codePoints(textA);
  const b = codePoints(textB);
  let row = new Int32Array(b.length + 1);
  let next = new Int32Array(b.length + 1);
  for (const point of a) {
    for (let j = 1; j <= b.length; j++) {
      const up = row[j]!;
      const left = next[j - 1]!;
      next[j] = point === b[j - 1] ? row[j - 1]! + 1 : Math.max(up, left);
    }
    [row, next] = [next, row];
  }
  return (2 * row[b.length]!) / (a.length + b.length);
}
