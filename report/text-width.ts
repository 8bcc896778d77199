/**
 * How wide a text will be, for a renderer that has no font. The widths are those of a wide face (Verdana, DejaVu Sans), in
 * ems: in a narrower one there is a little air, and never an overlap.
 */
const CLASSES: readonly [letters: RegExp, em: number][] = [
  [/[ijlI.,:;'|!·]/, 0.32],
  [/[ frt()[\]-]/, 0.4],
  [/[mMwW%@×÷]/, 0.92],
  [/[A-HJ-LN-VX-Z]/, 0.7],
];

export function textWidth(text: string, fontSize: number): number {
  let ems = 0;
  for (const letter of text) ems += CLASSES.find(([letters]) => letters.test(letter))?.[1] ?? 0.63;
  return ems * fontSize;
}
