/** Names beside the points of a scatter plot, placed so that they cover neither each other nor a point. */

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

const HEIGHT = 13;
const LETTER = 6.4;
const GAP = 9;

const overlaps = (a: Box, b: Box) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;

function boxOf({ name, x, y, align }: PlacedName): Box {
  const width = name.length * LETTER;
  const left = align === 'left' ? x : align === 'right' ? x - width : x - width / 2;
  return { left, right: left + width, top: y - HEIGHT / 2, bottom: y + HEIGHT / 2 };
}

/** The first free of eight places around each dot; a name that finds none is left out, for the table has it. */
export function placeNames(dots: readonly Dot[], width: number, height: number): PlacedName[] {
  const taken: Box[] = dots.map(({ x, y }) => ({ left: x - 5, right: x + 5, top: y - 5, bottom: y + 5 }));
  const out: PlacedName[] = [];
  for (const { name, x, y } of dots) {
    const places: PlacedName[] = [
      { name, x: x + GAP, y, align: 'left' },
      { name, x: x - GAP, y, align: 'right' },
      { name, x, y: y - 13, align: 'center' },
      { name, x, y: y + 14, align: 'center' },
      { name, x: x + 6, y: y - 11, align: 'left' },
      { name, x: x + 6, y: y + 12, align: 'left' },
      { name, x: x - 6, y: y - 11, align: 'right' },
      { name, x: x - 6, y: y + 12, align: 'right' },
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
