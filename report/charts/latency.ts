/** What single requests cost in time, one dot per prompt. */
import type { LatencyEntry } from '../model.ts';
import { color } from '../palette.ts';
import { type Chart, CONFIG, type Colors, colorScale, labelWidth, ratioAxis, shapeScale, spec } from './base.ts';

/** Dots of one row; more would be a bar of ink, and the table has the quantiles. */
export const MAX_DOTS = 250;

/** Every n-th of the sorted ratios, the ends always among them: the shape of the row stays. */
export function thin(ratios: readonly number[], most = MAX_DOTS): number[] {
  if (ratios.length <= most) return [...ratios];
  const sorted = [...ratios].sort((a, b) => a - b);
  return Array.from({ length: most }, (_, i) => sorted[Math.round((i * (sorted.length - 1)) / (most - 1))]!);
}

/** Each prompt's time ratio on a log axis, with the ratio of all requests together. */
export function latencyChart(entries: readonly LatencyEntry[], colors: Colors): Chart {
  const name = (entry: LatencyEntry) => `${entry.label} · batch ${entry.batch}`;
  const rows = entries.map(name);
  const labels = [...new Set(entries.map((e) => e.label))];
  const points = entries.flatMap((entry) =>
    thin(entry.ratios).map((ratio) => ({ row: name(entry), label: entry.label, ratio })),
  );
  const totals = entries.map((entry) => ({ row: name(entry), label: entry.label, ratio: entry.summary.serviceRatio }));
  const axis = (title: string) => ratioAxis(points.map((p) => p.ratio).concat(totals.map((t) => t.ratio)), title);
  const y = (onTop: boolean) => ({
    field: 'row',
    type: 'nominal',
    sort: rows,
    title: null,
    axis: {
      labelColor: color('ink'),
      labelLimit: 900,
      ticks: false,
      domain: false,
      grid: false,
      ...(onTop ? { labelAlign: 'left', labelBaseline: 'bottom', labelOffset: -10, labelPadding: -4 } : {}),
    },
  });
  const draw = (width: number, title: string, onTop: boolean) =>
    spec({
      width,
      height: { step: onTop ? 44 : 32 },
      layer: [
        {
          data: { values: [{}] },
          mark: { type: 'rule', color: color('soft'), strokeDash: [3, 3] },
          encoding: { x: { datum: 1, type: 'quantitative' } },
        },
        {
          data: { values: points },
          mark: { type: 'point', filled: true, size: 40, opacity: 0.45 },
          encoding: {
            x: { ...axis(title), field: 'ratio' },
            y: y(onTop),
            color: { field: 'label', type: 'nominal', legend: null, scale: colorScale(labels, colors) },
            shape: { field: 'label', type: 'nominal', legend: null, scale: shapeScale(labels, colors) },
          },
        },
        {
          data: { values: totals },
          mark: { type: 'tick', orient: 'vertical', thickness: 3, height: 22 },
          encoding: { x: { ...axis(title), field: 'ratio' }, y: y(onTop), color: { value: color('ink') } },
        },
      ],
      config: CONFIG,
    });
  return {
    alt: 'Service time of each request relative to the same request without compression, one mark per prompt on a logarithmic axis, one row per compressor and batch size; right of 1 is slower. A bar marks all requests together.',
    wide: draw(Math.max(360, 840 - labelWidth(rows)), 'request time ÷ uncompressed; right of 1× is slower', false),
    narrow: draw(336, 'request time ÷ uncompressed', true),
  };
}
