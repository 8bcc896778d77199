/**
 * Classes of characters that scores depend on, written out: JavaScript's own `\s`, `\b` and `trim` know others. All
 * white space lies below U+10000, so scanning UTF-16 units finds it.
 */

/** White space, as the inside of a character class. */
export const WHITE_CLASS =
  '\\u0009-\\u000d\\u001c-\\u0020\\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';

/** Word characters (letters, numbers, underscore), as the inside of a character class of a `u` expression. */
export const WORD_CLASS = '\\p{L}\\p{N}_';

const WHITE_RUN = new RegExp(`[${WHITE_CLASS}]+`);
const WHITE_RUNS = new RegExp(`[${WHITE_CLASS}]+`, 'g');

export function isWhite(unit: number): boolean {
  if (unit < 0x80) return (unit >= 0x09 && unit <= 0x0d) || (unit >= 0x1c && unit <= 0x20);
  if (unit < 0x1680) return unit === 0x85 || unit === 0xa0;
  return (
    (unit >= 0x2000 && unit <= 0x200a) ||
    unit === 0x1680 ||
    unit === 0x2028 ||
    unit === 0x2029 ||
    unit === 0x202f ||
    unit === 0x205f ||
    unit === 0x3000
  );
}

/** Without white space at both ends. */
export function trimWhite(text: string): string {
  let from = 0;
  let to = text.length;
  while (from < to && isWhite(text.charCodeAt(from))) from++;
  while (to > from && isWhite(text.charCodeAt(to - 1))) to--;
  return text.slice(from, to);
}

/** The words between runs of white space; none of them is empty. */
export function splitWhite(text: string): string[] {
  const bare = trimWhite(text);
  return bare === '' ? [] : bare.split(WHITE_RUN);
}

export function withoutWhite(text: string): string {
  return text.replace(WHITE_RUNS, '');
}

/** Maximal runs of decimal digits of any script. */
export function digitRuns(text: string): string[] {
  return text.match(/\p{Nd}+/gu) ?? [];
}

/** Leading line breaks away, then the text before the next one: what a few-shot answer is before it goes on. */
export function firstLine(text: string): string {
  const bare = withoutLeadingBreaks(text);
  const end = bare.indexOf('\n');
  return end < 0 ? bare : bare.slice(0, end);
}

export function withoutLeadingBreaks(text: string): string {
  let from = 0;
  while (text.charCodeAt(from) === 0x0a) from++;
  return from === 0 ? text : text.slice(from);
}

/** Code points; a pair of surrogates is one. */
export function codePoints(text: string): Int32Array {
  const out = new Int32Array(text.length);
  let n = 0;
  for (let i = 0; i < text.length; i++) {
    const point = text.codePointAt(i)!;
    if (point > 0xffff) i++;
    out[n++] = point;
  }
  return out.subarray(0, n);
}

/** Rounds a number above 0 to the nearest integer, halves to the even one. */
export function roundHalfEven(x: number): number {
  const floor = Math.floor(x);
  const rest = x - floor;
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}
