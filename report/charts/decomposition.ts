/** The headline as a picture: tokens x faster, answers y longer, requests z slower, one row per compressor. */
import { color } from '../palette.ts';
import { type Chart, CONFIG, labelWidth, ratioAxis, spec } from './base.ts';

export interface DecompositionRow {
  name: string;
  x: number;
  y: number;
  serviceRatio: number;
}

/** In the order of the sentence; a shape each, so that no reader needs the colours. */
const FACTORS = [
  { key: 'x', says: 'token rate', shape: 'triangle-up', tint: 'series-3' },
  { key: 'y', says: 'answer length', shape: 'square', tint: 'series-2' },
  { key: 'serviceRatio', says: 'request time', shape: 'diamond', tint: 'ink' },
] as const;

export function decompositionChart(rows: readonly DecompositionRow[]): Chart {
  const values = rows.flatMap((row) =>
    FACTORS.map(({ key, says }) => ({ row: row.name, what: says, ratio: row[key] })),
  );
  const names = rows.map((row) => row.name);
  const says = FACTORS.map((f) => f.says);
  const y = (onTop: boolean) => ({
    field: 'row',
    type: 'nominal',
    sort: names,
    title: null,
    axis: { labelColor: color('ink'), labelLimit: 900, ticks: false, domain: false, grid: true, ...(onTop ? TOP : {}) },
  });
  const axis = (title: string) =>
    ratioAxis(
      values.map((v) => v.ratio),
      title,
    );
  const domain = [...says];
  const draw = (width: number, title: string, onTop: boolean) =>
    spec({
      width,
      height: { step: onTop ? 46 : 30 },
      layer: [
        {
          data: { values: [{}] },
          mark: { type: 'rule', color: color('soft'), strokeDash: [3, 3] },
          encoding: { x: { datum: 1, type: 'quantitative' } },
        },
        {
          data: { values },
          mark: { type: 'point', filled: true, size: 110, opacity: 1 },
          encoding: {
            x: { ...axis(title), field: 'ratio' },
            y: y(onTop),
            color: {
              field: 'what',
              type: 'nominal',
              sort: domain,
              scale: { domain, range: FACTORS.map((f) => color(f.tint)) },
            },
            shape: {
              field: 'what',
              type: 'nominal',
              sort: domain,
              scale: { domain, range: FACTORS.map((f) => f.shape) },
            },
          },
        },
      ],
      config: { ...CONFIG, legend: { ...CONFIG.legend, columns: 3, columnPadding: 10 } },
    });
  return {
    alt: `For ${rows.length} compressors and batch sizes three marks on a logarithmic axis, all relative to the uncompressed run: a triangle for the token rate (right of 1 is faster), a square for the answer length (right of 1 is longer), a diamond for the request time (right of 1 is slower).`,
    wide: draw(Math.max(360, 840 - labelWidth(names)), 'relative to the uncompressed run', false),
    narrow: draw(336, 'relative to uncompressed', true),
  };
}

/** Labels above their row, where a phone has no room beside it. */
const TOP = { labelAlign: 'left', labelBaseline: 'bottom', labelOffset: -9, labelPadding: -4 };
