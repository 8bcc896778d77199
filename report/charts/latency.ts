/** What requests cost in time, one dot per prompt. */
import type { LatencyEntry } from '../model.ts';
import { color } from '../palette.ts';
import { type Chart, CONFIG, type Colors, colorScale, spec } from './base.ts';

/** Width that the renderer allows for a letter of a label; what labels take, the plot does not get. */
const LETTER = 9.6;

/** Each prompt's time ratio on a log axis, with the ratio of all requests together. */
export function latencyChart(entries: readonly LatencyEntry[], colors: Colors): Chart {
  const name = (entry: LatencyEntry) => `${entry.label} · batch ${entry.batch}`;
  const rows = entries.map(name);
  const points = entries.flatMap((entry) =>
    entry.ratios.map((ratio) => ({ row: name(entry), label: entry.label, ratio })),
  );
  const totals = entries.map((entry) => ({ row: name(entry), label: entry.label, ratio: entry.summary.serviceRatio }));
  const ratios = points.map((point) => point.ratio);
  const lo = Math.min(0.8, ...ratios);
  const hi = Math.max(1.25, ...ratios);
  const steps = [1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8, 16, 32].filter((v) => v >= lo / 1.05 && v <= hi * 1.05);
  const values =
    steps.length >= 3 ? steps : [0.5, 0.67, 0.8, 1, 1.25, 1.5, 2].filter((v) => v >= lo / 1.05 && v <= hi * 1.05);
  const x = (title: string) => ({
    field: 'ratio',
    type: 'quantitative',
    scale: { type: 'log', domain: [lo / 1.05, hi * 1.05], nice: false },
    title,
    axis: { values, format: '.3~r', labelExpr: "format(datum.value, '.3~g') + '×'" },
  });
  const y = {
    field: 'row',
    type: 'nominal',
    sort: rows,
    title: null,
    axis: { labelColor: color('ink'), labelLimit: 900, ticks: false, domain: false },
  };
  const tint = {
    field: 'label',
    type: 'nominal',
    legend: null,
    scale: colorScale([...new Set(entries.map((e) => e.label))], colors),
  };
  const draw = (width: number, title: string, labelsOnTop: boolean) =>
    spec({
      width,
      height: { step: labelsOnTop ? 44 : 32 },
      layer: [
        {
          data: { values: [{}] },
          mark: { type: 'rule', color: color('soft'), strokeDash: [3, 3] },
          encoding: { x: { datum: 1, type: 'quantitative' } },
        },
        {
          data: { values: points },
          mark: { type: 'point', filled: true, size: 44, opacity: 0.5 },
          encoding: { x: x(title), y, color: tint },
        },
        {
          data: { values: totals },
          mark: { type: 'tick', orient: 'vertical', thickness: 3, height: 22 },
          encoding: { x: x(title), y, color: { value: color('ink') } },
        },
      ],
      config: labelsOnTop
        ? {
            ...CONFIG,
            axisY: { labelAlign: 'left', labelBaseline: 'bottom', labelOffset: -10, labelPadding: -4, grid: false },
          }
        : { ...CONFIG, axisY: { grid: false } },
    });
  return {
    alt: 'Service time of each request relative to the same request without compression, one dot per prompt on a logarithmic axis, one row per compressor and batch size; right of 1 is slower. A bar marks all requests together. The table below has the numbers.',
    wide: draw(
      Math.max(360, 820 - LETTER * Math.max(...rows.map((row) => row.length))),
      'request time ÷ uncompressed; right of 1× is slower',
      false,
    ),
    narrow: draw(300, 'request time ÷ uncompressed', true),
  };
}
