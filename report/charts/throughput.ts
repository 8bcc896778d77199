/** Rates of a few batch sizes: one panel for each prompt length and batch, one bar per compressor, named at the axis. */
import type { ThroughputSetting } from '../model.ts';
import { color } from '../palette.ts';
import { whole } from '../words.ts';
import { type Chart, CONFIG, type Colors, colorScale, drawnLabels, labelWidth, spec } from './base.ts';

export type Phase = 'prefill' | 'decode';

/** Bounds far above the rates would press the bars of a panel flat; then they are told in the table alone. */
const MIN_OF_BOUND = 0.15;

export function throughputChart(settings: readonly ThroughputSetting[], phase: Phase, colors: Colors): Chart {
  const all = [...settings]
    .sort((a, b) => a.promptTokens - b.promptTokens)
    .flatMap(({ promptTokens, points }) =>
      points
        .filter((p) => p.phase === phase && !p.isMax)
        .sort((a, b) => a.batch - b.batch)
        .map((p) => ({
          label: p.label,
          tokS: p.tokS,
          lo: p.tokSQ25,
          hi: p.tokSQ75,
          ofBound: p.ofBound,
          panel: `${whole(promptTokens)} prompt tokens, batch ${p.batch}`,
        })),
    );
  const labels = drawnLabels(all, colors);
  const isFar = new Set(all.filter((v) => (v.ofBound ?? 1) < MIN_OF_BOUND).map((v) => v.panel));
  const values = all
    .filter((v) => labels.includes(v.label))
    .map((v) => ({ ...v, bound: v.ofBound === null || isFar.has(v.panel) ? null : v.tokS / v.ofBound }));
  const panels = [...new Set(values.map((v) => v.panel))];
  const y = {
    field: 'label',
    type: 'nominal',
    sort: labels,
    title: null,
    axis: { labelColor: color('ink'), labelLimit: 400, ticks: false, domain: false },
  };
  const x = (title: string | null) => ({
    field: 'tokS',
    type: 'quantitative',
    title,
    axis: { format: ',~f', tickCount: 4, labelOverlap: true },
  });
  const layer = (title: string | null) => [
    {
      mark: { type: 'bar', height: { band: 0.72 } },
      encoding: {
        x: x(title),
        y,
        color: { field: 'label', type: 'nominal', legend: null, scale: colorScale(labels, colors) },
      },
    },
    {
      mark: { type: 'rule', color: color('ink'), strokeWidth: 1.6 },
      encoding: { x: { field: 'lo', type: 'quantitative' }, x2: { field: 'hi' }, y },
    },
    {
      transform: [{ filter: 'datum.bound !== null' }],
      mark: { type: 'tick', orient: 'vertical', thickness: 2, height: 15, color: color('soft') },
      encoding: { x: { field: 'bound', type: 'quantitative' }, y },
    },
  ];
  const draw = (columns: number, width: number, title: string) =>
    spec({
      data: { values },
      facet: { field: 'panel', type: 'nominal', sort: panels, title: null, header: { labelAnchor: 'start' } },
      columns,
      spec: { width, height: { step: 21 }, layer: layer(title) },
      resolve: { scale: { x: 'independent' }, axis: { x: 'independent' } },
      config: { ...CONFIG, axisY: { grid: false } },
    });
  // four panels are two by two: prompt lengths below one another
  const columns = panels.length === 4 ? 2 : Math.min(panels.length, 3);
  return {
    alt: `Bars of the ${phase} rate in tokens per second, one per compressor, in ${panels.length} panels by prompt length and batch size. A line across the end of a bar spans the middle half of the repeats, an upright stroke is the attainable bound. Each panel has a scale of its own.`,
    wide: draw(columns, Math.floor((850 - labelWidth(labels)) / columns) - 22, `${phase}, tokens/s`),
    narrow: draw(1, 340 - labelWidth(labels), `${phase}, tokens/s`),
  };
}
