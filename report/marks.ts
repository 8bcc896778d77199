/**
 * How a series looks besides its colour: a shape and a dash of its own, so that print, colour-blind readers and forced
 * colours lose nothing. A label keeps both from chart to chart, as it keeps its colour.
 */
import { html, Markup } from './markup.ts';

/** Vega's names, with the same shape as a path in a box of 12. */
const SHAPES = [
  ['circle', 'M6 1.6a4.4 4.4 0 1 0 0 8.8a4.4 4.4 0 1 0 0-8.8z'],
  ['square', 'M2 2h8v8h-8z'],
  ['triangle-up', 'M6 1.2l5 9.4h-10z'],
  ['diamond', 'M6 .6l5 5.4-5 5.4-5-5.4z'],
  ['cross', 'M4.4 1.2h3.2v3.2h3.2v3.2h-3.2v3.2h-3.2v-3.2h-3.2v-3.2h3.2z'],
  ['triangle-down', 'M6 10.8l5-9.4h-10z'],
] as const;

const DASHES = [
  [1, 0],
  [6, 3],
  [2, 2],
  [8, 3, 2, 3],
  [4, 2],
  [1, 3],
] as const;

/** Labels in the order of the report, each with its colour. */
export type Colors = ReadonlyMap<string, string>;

function place(label: string, colors: Colors): number {
  const at = [...colors.keys()].indexOf(label);
  // over again after six, shifted by one: a colour never meets the same shape before the 36th series
  return at < 0 ? 0 : (at + Math.floor(at / SHAPES.length)) % SHAPES.length;
}

export const shapeOf = (label: string, colors: Colors): string => SHAPES[place(label, colors)]![0];
export const dashOf = (label: string, colors: Colors): readonly number[] => DASHES[place(label, colors)]!;

/** A label with the mark that it has in the charts. */
export function swatch(label: string, colors: Colors): Markup {
  const tint = colors.get(label) ?? 'var(--soft)';
  const path = SHAPES[place(label, colors)]![1];
  return html`<span class="label"><svg class="swatch" viewBox="0 0 12 12" width="12" height="12" aria-hidden="true" focusable="false">${new Markup(`<path d="${path}" fill="${tint}"/>`)}</svg>${label}</span>`;
}
