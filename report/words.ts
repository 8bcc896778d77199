/** Numbers and comparisons in words. Only here are values rounded; halves go to the even digit. */
import { roundHalfEven } from '../analysis/artifact-form.ts';

export function fixed(x: number, digits: number): string {
  const scale = 10 ** digits;
  return (roundHalfEven(x * scale) / scale).toFixed(digits);
}

/** A count or a length in tokens. */
export function whole(n: number): string {
  return roundHalfEven(n).toLocaleString('en-GB');
}

/** Three figures, thousands grouped: 0.123, 4.56, 78.9, 1,234. */
export function figure(x: number): string {
  if (!Number.isFinite(x)) return '–';
  const size = Math.abs(x);
  if (size >= 100) return roundHalfEven(x).toLocaleString('en-GB');
  return fixed(x, size >= 10 ? 1 : size >= 1 ? 2 : 3);
}

export function percent(share: number, digits = 0): string {
  return `${fixed(share * 100, digits)}\u00a0%`;
}

export function ratio(x: number): string {
  return `${fixed(x, 2)}×`;
}

export function bytes(n: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = n;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : figure(value)} ${units[unit]}`;
}

export function milliseconds(ms: number): string {
  return ms >= 1000 ? `${figure(ms / 1000)} s` : `${figure(ms)} ms`;
}

export function pValue(p: number): string {
  return p < 0.001 ? '< 0.001' : fixed(p, 3);
}

/** `p = 0.137`, `p < 0.001`; in one piece, also at the end of a line. */
export function pWords(p: number): string {
  const text = pValue(p);
  return (text.startsWith('<') ? `p ${text}` : `p = ${text}`).replaceAll(' ', '\u00a0');
}

/** `1.33× faster`, `1.25× slower`, `as fast`: the factor is always >= 1, the word says which way. */
export function compared(factor: number, more: string, less: string, level: string): string {
  if (fixed(factor, 2) === '1.00') return level;
  return factor > 1 ? `${ratio(factor)} ${more}` : `${ratio(1 / factor)} ${less}`;
}

/** The headline of a compressor: x tokens faster, y answers longer, requests slower or faster. */
export function headline(l: { x: number; y: number; serviceRatio: number }): string {
  const tokens = compared(l.x, 'faster', 'slower', 'as fast');
  const answers = compared(l.y, 'longer', 'shorter', 'as long');
  const requests = compared(l.serviceRatio, 'slower', 'faster', 'as fast');
  return `tokens ${tokens}, answers ${answers}, requests ${requests}`;
}

export function list(items: readonly (string | number)[]): string {
  if (items.length < 2) return items.join('');
  return `${items.slice(0, -1).join(', ')} and ${items.at(-1)}`;
}

export function plural(n: number, one: string, many = `${one}s`): string {
  return `${n.toLocaleString('en-GB')} ${n === 1 ? one : many}`;
}

/** A minus sign instead of a hyphen. */
export function minus(text: string): string {
  return text.replace('-', '−');
}

/** `greedy`, or `temperature 0.8, top_p 0.95`. */
export function samplingWords(sampling: object): string {
  if ('greedy' in sampling) return 'greedy';
  const used = Object.entries(sampling).filter(
    ([name, value]) => name === 'temperature' || (value !== 0 && value !== 1),
  );
  return used.map(([name, value]) => `${name} ${value}`).join(', ');
}
