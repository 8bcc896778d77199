/**
 * Scores of an answer against its references, in [0, 1]. A metric is a pure function and a row; its rules carry a
 * version, because a stored score is compared with scores that were stored earlier.
 */

export const SCORER_VERSION = 'kvsweep-score-1';

export interface Score {
  score: number;
  /** Index of the winning reference, the first on ties; null if the list of references is one answer. */
  refIndex: number | null;
}

type Metric =
  | { over: 'best'; of: (prediction: string, reference: string) => number }
  | { over: 'all'; of: (prediction: string, references: readonly string[]) => number };

/** Code points that count as white space; JavaScript's own `trim` and `\s` know others. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are separators of information, white space by Unicode
const WHITE = /[\u0009-\u000d\u001c-\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/u;

const trim = (text: string) => {
  const chars = [...text];
  let from = 0;
  let to = chars.length;
  while (from < to && WHITE.test(chars[from]!)) from++;
  while (to > from && WHITE.test(chars[to - 1]!)) to--;
  return chars.slice(from, to).join('');
};

/** As RULER cleans an answer: control characters become line breaks, ends are trimmed. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters to be replaced
const cleaned = (text: string) => trim(text.replaceAll(/[\u0000-\u001f]/g, '\n'));

const contains = (prediction: string, reference: string) =>
  reference !== '' && prediction.toLowerCase().includes(reference.toLowerCase()) ? 1 : 0;

const METRICS: Readonly<Record<string, Metric>> = {
  exact: { over: 'best', of: (p, r) => (trim(p) === trim(r) ? 1 : 0) },
  contains: { over: 'best', of: contains },
  string_all: {
    over: 'all',
    of: (p, references) => {
      const answer = cleaned(p);
      return references.reduce((sum, r) => sum + contains(answer, r), 0) / references.length;
    },
  },
  string_part: { over: 'best', of: (p, r) => contains(cleaned(p), r) },
  passkey_partial: { over: 'best', of: (p, r) => (r === '' ? 0 : longestCommon([...p], [...r]) / [...r].length) },
  number_final: { over: 'best', of: (p, r) => (sameNumber(finalNumber(p), afterHashes(r) ?? r) ? 1 : 0) },
};

/** The metrics that are computed; a data set may name others, whose answers then stay without a score. */
export const SCORED_METRICS: readonly string[] = Object.keys(METRICS);

/** Null without references, or if the metric is not computed here. */
export function scoreAnswer(prediction: string, references: readonly string[], metric: string): Score | null {
  const row = METRICS[metric];
  if (!row || references.length === 0) return null;
  if (row.over === 'all') return { score: row.of(prediction, references), refIndex: null };
  const scores = references.map((reference) => row.of(prediction, reference));
  const score = Math.max(...scores);
  return { score, refIndex: scores.indexOf(score) };
}

/** Length of the longest run of characters that both have. */
function longestCommon(a: readonly string[], b: readonly string[]): number {
  let best = 0;
  let row = new Array<number>(b.length + 1).fill(0);
  for (const char of a) {
    const next = [0];
    for (let j = 1; j <= b.length; j++) {
      next.push(char === b[j - 1] ? row[j - 1]! + 1 : 0);
      best = Math.max(best, next[j]!);
    }
    row = next;
  }
  return best;
}

function afterHashes(text: string): string | null {
  const at = text.lastIndexOf('####');
  return at < 0 ? null : text.slice(at + 4);
}

function finalNumber(text: string): string {
  return afterHashes(text) ?? text.match(/-?[0-9][0-9,]*(\.[0-9]+)?/g)?.at(-1) ?? '';
}

/** Equal as decimals, not as doubles: 0.1 is 0.10, and no digit is lost. */
function sameNumber(a: string, b: string): boolean {
  const [x, y] = [decimal(a), decimal(b)];
  return x !== null && x === y;
}

function decimal(text: string): string | null {
  const bare = [...text]
    .filter((c) => !WHITE.test(c) && c !== ',' && c !== '$')
    .join('')
    .replace(/\.$/, '');
  const parts = /^(-?)0*([0-9]*)(?:\.([0-9]*))?$/.exec(bare);
  if (!parts || (parts[2] === '' && !/[0-9]/.test(bare))) return null;
  const fraction = (parts[3] ?? '').replace(/0+$/, '');
  const whole = parts[2] === '' ? '0' : parts[2]!;
  return `${whole === '0' && fraction === '' ? '' : parts[1]}${whole}${fraction === '' ? '' : `.${fraction}`}`;
}
