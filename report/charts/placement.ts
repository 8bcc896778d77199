/** Names beside the points of a scatter plot, placed so that they cover neither each other nor a point. */

import { textWidth } from '../text-width.ts';

export interface Dot {
  name: string;
  /** Pixels from the left and the top of the plot. */
  x: number;
  y: number;
}

export interface PlacedName extends Dot {
  align: 'left' | 'right' | 'center';
}

interface Box {
  left: number;
  right: number;
  top: number;
  bottom: number;
}

const FONT = 11;
const HEIGHT = 13;
const GAP = 12;

const overlaps = (a: Box, b: Box) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;

function boxOf({ name, x, y, align }: PlacedName): Box {
  const width = textWidth(name, FONT);
  const left = align === 'left' ? x : align === 'right' ? x - width : x - width / 2;
  return { left, right: left + width, top: y - HEIGHT / 2, bottom: y + HEIGHT / 2 };
}

/** Small boxes along the line through the given points. */
function alongLine(line: readonly { x: number; y: number }[]): Box[] {
  return line.slice(1).flatMap((to, i) => {
    const from = line[i]!;
    const steps = Math.max(1, Math.ceil(Math.hypot(to.x - from.x, to.y - from.y) / 6));
    return Array.from({ length: steps + 1 }, (_, k) => {
      const x = from.x + ((to.x - from.x) * k) / steps;
      const y = from.y + ((to.y - from.y) * k) / steps;
      return { left: x - 1, right: x + 1, top: y - 1, bottom: y + 1 };
    });
  });
}

/**
 * The first free of eight places around each dot; a name that finds none is left out, for the table has it.
 * @param line no name is written over the line through these points
 */
export function placeNames(
  dots: readonly Dot[],
  line: readonly { x: number; y: number }[],
  width: number,
  height: number,
): PlacedName[] {
  const taken: Box[] = dots.map(({ x, y }) => ({ left: x - 5, right: x + 5, top: y - 5, bottom: y + 5 }));
  taken.push(...alongLine(line));
  const out: PlacedName[] = [];
  for (const { name, x, y } of dots) {
    const places: PlacedName[] = [
      { name, x: x + GAP, y, align: 'left' },
      { name, x: x - GAP, y, align: 'right' },
      { name, x, y: y - 16, align: 'center' },
      { name, x, y: y + 17, align: 'center' },
      { name, x: x + 7, y: y - 12, align: 'left' },
      { name, x: x + 7, y: y + 13, align: 'left' },
      { name, x: x - 7, y: y - 12, align: 'right' },
      { name, x: x - 7, y: y + 13, align: 'right' },
    ];
    const free = places.find((place) => {
      const box = boxOf(place);
      const inside = box.left >= 0 && box.right <= width && box.top >= -4 && box.bottom <= height + 2;
      return inside && !taken.some((other) => overlaps(box, other));
    });
    if (!free) continue;
    taken.push(boxOf(free));
    out.push(free);
  }
  return out;
}
