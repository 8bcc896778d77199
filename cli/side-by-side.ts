/** Texts in columns for a terminal, wrapped at words; a character of East Asian scripts takes two places. */

const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;
/** Control characters could move the cursor or recolour the terminal; an answer is data. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what it is about
const CONTROL = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/g;

export function displayWidth(text: string): number {
  let width = 0;
  for (const char of text) width += WIDE.test(char) ? 2 : 1;
  return width;
}

/** Lines of at most `width` places; breaks at spaces where there are any. */
export function wrap(text: string, width: number): string[] {
  const clean = text.replaceAll('\r\n', '\n').replaceAll('\t', '    ').replaceAll(CONTROL, '\ufffd');
  return clean.split('\n').flatMap((line) => wrapLine(line, width));
}

function wrapLine(line: string, width: number): string[] {
  const lines: string[] = [];
  let current = '';
  let used = 0;
  let breakAt = -1;
  for (const char of line) {
    const places = WIDE.test(char) ? 2 : 1;
    if (used + places > width) {
      const cut = breakAt > 0 && char !== ' ' ? breakAt : current.length;
      lines.push(current.slice(0, cut).trimEnd());
      current = current.slice(cut).trimStart();
      used = displayWidth(current);
      breakAt = -1;
      if (char === ' ') continue;
    }
    current += char;
    used += places;
    if (char === ' ') breakAt = current.length;
  }
  return [...lines, current];
}

export interface Column {
  head: string;
  text: string;
}

const GAP = ' | ';

/** Columns of equal width beside each other. */
export function sideBySide(columns: readonly Column[], width: number): string {
  const each = Math.max(10, Math.floor((width - GAP.length * (columns.length - 1)) / columns.length));
  const parts = columns.map(({ head, text }) => [...wrap(head, each), '-'.repeat(each), ...wrap(text, each)]);
  const height = Math.max(...parts.map((part) => part.length));
  const pad = (line: string) => line + ' '.repeat(Math.max(0, each - displayWidth(line)));
  return Array.from({ length: height }, (_, i) =>
    parts
      .map((part) => pad(part[i] ?? ''))
      .join(GAP)
      .trimEnd(),
  ).join('\n');
}

/** The middle is cut out of a long text, and said to be. */
export function shorten(text: string, limit: number): string {
  const chars = [...text];
  if (chars.length <= limit) return text;
  const half = Math.floor(limit / 2);
  return `${chars.slice(0, half).join('')} [... ${chars.length - 2 * half} characters ...] ${chars.slice(-half).join('')}`;
}
