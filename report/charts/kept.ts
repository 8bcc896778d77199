/**
 * Which tokens a cache still held: layers from top to bottom, token positions from left to right, darker = held by more
 * kv heads. Drawn by hand, one path per level: a mark per cell would make megabytes.
 */

import { escapeHtml, Markup } from '../markup.ts';
import type { KeptMap } from '../model-scores.ts';
import { percent, plural, whole } from '../words.ts';

/** Shares of held tokens are told apart in so many steps. */
const LEVELS = 5;

/** @param cell width and height of one cell, px */
function draw(map: KeptMap, width: number, row: number): string {
  const layers = map.share.length;
  const columns = map.share[0]?.length ?? 1;
  const left = 30;
  const cell = (width - left - 2) / columns;
  const height = layers * row;
  const n = (x: number) => String(Math.round(x * 100) / 100);
  const paths = new Array<string>(LEVELS + 1).fill('');
  for (const [layer, shares] of map.share.entries()) {
    let start = 0;
    const level = (i: number) => (shares[i]! === 0 ? 0 : Math.max(1, Math.round(shares[i]! * LEVELS)));
    for (let i = 1; i <= columns; i++) {
      if (i < columns && level(i) === level(start)) continue;
      paths[level(start)] +=
        `M${n(left + start * cell)} ${n(layer * row)}h${n((i - start) * cell)}v${n(row)}h${n((start - i) * cell)}z`;
      start = i;
    }
  }
  const text = (x: number, y: number, anchor: string, words: string) =>
    `<text x="${n(x)}" y="${n(y)}" text-anchor="${anchor}" font-size="11" fill="var(--soft)" font-family="system-ui, sans-serif">${words}</text>`;
  const ticks = [0, 0.5, 1].map((share) =>
    text(
      left + share * columns * cell,
      height + 14,
      share === 0 ? 'start' : share === 1 ? 'end' : 'middle',
      whole(share * (map.seen - 1)),
    ),
  );
  const rows = [0, layers - 1].map((layer) => text(left - 5, layer * row + row / 2 + 4, 'end', String(layer)));
  const body = paths.map((d, level) =>
    d === '' || level === 0 ? '' : `<path d="${d}" fill="var(--series-1)" fill-opacity="${level / LEVELS}"/>`,
  );
  return `<svg role="img" aria-label="${escapeHtml(keptWords(map))}" viewBox="0 0 ${width} ${n(height + 18)}" width="${width}" height="${n(height + 18)}"><rect x="${left}" y="0" width="${n(columns * cell)}" height="${n(height)}" fill="var(--panel)" stroke="var(--rule)"/>${body.join('')}${rows.join('')}${ticks.join('')}</svg>`;
}

export function keptDrawing(map: KeptMap): { wide: Markup; narrow: Markup } {
  const row = Math.max(3, Math.min(7, 220 / map.share.length));
  return { wide: new Markup(draw(map, 830, row)), narrow: new Markup(draw(map, 326, row)) };
}

/** Means of the map over thirds of the positions: beginning, middle and end of what was seen. */
export function keptThirds(map: KeptMap): [number, number, number] {
  const columns = map.share[0]?.length ?? 0;
  const mean = (from: number, to: number) => {
    let sum = 0;
    for (const shares of map.share) for (let i = from; i < to; i++) sum += shares[i]!;
    return sum / Math.max(1, map.share.length * (to - from));
  };
  const [a, b] = [Math.floor(columns / 3), Math.floor((2 * columns) / 3)];
  return [mean(0, a), mean(a, b), mean(b, columns)];
}

export function keptWords(map: KeptMap): string {
  const layers = map.share.map((shares) => shares.reduce((sum, s) => sum + s, 0) / shares.length);
  const [lo, hi] = [Math.min(...layers), Math.max(...layers)];
  const [first, middle, last] = keptThirds(map);
  const spread = hi - lo < 0.02 ? 'alike in all layers' : `${percent(lo)} to ${percent(hi)} by layer`;
  return `${map.label} held ${percent(map.keptMean / map.seen)} of ${plural(map.seen, 'token')} of one sample (${spread}): ${percent(first)} of the first third, ${percent(middle)} of the middle, ${percent(last)} of the last.`;
}
