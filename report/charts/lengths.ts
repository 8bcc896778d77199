/** The distribution of D: exact histogram bins per compressor, with the noise floor as an outline. */
import { D_BINS, UNDERFLOW } from '../../analysis/histogram.ts';
import type { LengthEntry } from '../model.ts';
import { entryName } from '../names.ts';
import { color } from '../palette.ts';
import { type Chart, type Colors, colorScale, spec } from './base.ts';

/** Few prompts in bins of 0.05 would show a comb: neighbouring exact bins are added up until there is a shape. */
function binsPerBar(n: number): number {
  if (n >= 400) return 1;
  return n >= 100 ? 2 : 5;
}

/** Shares of pairs per bar, from the 61 exact counts of a histogram. Bars of D < -2 stand left of the axis break. */
export function histogramBars(
  histogram: readonly number[],
  merge: number,
): { start: number; end: number; share: number }[] {
  const total = histogram.reduce((sum, n) => sum + n, 0);
  if (total === 0) return [];
  const out: { start: number; end: number; share: number }[] = [];
  const width = merge / 20;
  out.push({ start: -2 - width, end: -2, share: histogram[UNDERFLOW]! / total });
  for (let bin = 0; bin < D_BINS; bin += merge) {
    const count = histogram.slice(bin, bin + merge).reduce((sum, n) => sum + n, 0);
    out.push({ start: (bin - 40) / 20, end: (bin - 40 + merge) / 20, share: count / total });
  }
  return out;
}

/** Closes the outline of the last bar; a step drawn forward would leave it open. */
function outline(bars: ReturnType<typeof histogramBars>): ReturnType<typeof histogramBars> {
  const last = bars.at(-1);
  return last ? [...bars, { start: last.end, end: last.end, share: 0 }] : [];
}

/** One panel per compressor: bars for the compressor, a dark outline for the noise floor, a tick per prompt. */
export function lengthChart(entries: readonly LengthEntry[], colors: Colors): Chart {
  const merge = binsPerBar(Math.max(...entries.map((entry) => entry.summary.n)));
  const width = merge / 20;
  const name = (entry: LengthEntry) => entryName(entry, entries);
  const bars = entries.flatMap((entry) => [
    ...histogramBars(entry.histogram, merge).map((bar) => ({
      ...bar,
      panel: name(entry),
      label: entry.label,
      of: 'comp',
    })),
    ...outline(histogramBars(entry.noise?.histogram ?? [], merge)).map((bar) => ({
      ...bar,
      panel: name(entry),
      label: entry.label,
      of: 'noise',
    })),
  ]);
  const ticks = entries.flatMap((entry) =>
    entry.ds.length > 300
      ? []
      : entry.ds.map((d) => ({ d: Math.max(d, -2 - width / 2), panel: name(entry), label: entry.label, of: 'tick' })),
  );
  const panels = entries.map(name);
  const top = Math.max(...bars.map((bar) => bar.share), 0.05);
  const x = {
    type: 'quantitative',
    scale: { domain: [-2 - width, 1], nice: false },
    title: 'D = (baseline − compressed) / baseline length; left of 0 the answer is longer',
    axis: {
      values: [-2, -1.5, -1, -0.5, 0, 0.5, 1],
      labelExpr: "datum.value === -2 ? '≤ −2' : replace(datum.label, '-', '−')",
      grid: false,
    },
  };
  const y = {
    field: 'share',
    type: 'quantitative',
    title: null,
    scale: { domain: [-0.09 * top, top] },
    axis: { format: '.0%', tickCount: 3, labelExpr: "datum.value < 0 ? '' : datum.label" },
  };
  const edges = { x: { ...x, field: 'start' }, x2: { field: 'end' } };
  const layer = [
    {
      transform: [{ filter: "datum.of === 'comp' && datum.share > 0" }],
      mark: { type: 'bar', stroke: color('paper'), strokeWidth: 1 },
      encoding: {
        ...edges,
        y,
        y2: { datum: 0 },
        color: {
          field: 'label',
          type: 'nominal',
          legend: null,
          scale: colorScale([...new Set(entries.map((e) => e.label))], colors),
        },
      },
    },
    {
      transform: [{ filter: "datum.of === 'noise'" }],
      mark: { type: 'line', interpolate: 'step-after', stroke: color('ink'), strokeWidth: 1.4 },
      encoding: { x: { ...x, field: 'start' }, y },
    },
    {
      data: { values: [{}] },
      mark: { type: 'rule', color: color('soft'), strokeDash: [3, 3] },
      encoding: { x: { ...x, datum: 0 } },
    },
    {
      transform: [{ filter: "datum.of === 'tick'" }],
      mark: {
        type: 'tick',
        orient: 'vertical',
        thickness: 1.4,
        height: 7,
        color: color('ink'),
        opacity: 0.55,
        yOffset: 0,
      },
      encoding: { x: { ...x, field: 'd' }, y: { ...y, datum: -0.05 * top, field: undefined } },
    },
  ];
  const draw = (panelWidth: number, title: string) =>
    spec({
      // one data set, or the panels would share what a layer brings along
      data: { values: [...bars, ...ticks] },
      facet: {
        row: {
          field: 'panel',
          type: 'nominal',
          sort: panels,
          title: 'share of prompts',
          header: { labelAngle: 0, labelAlign: 'left', labelAnchor: 'start', labelOrient: 'top' },
        },
      },
      spec: {
        width: panelWidth,
        height: 96,
        layer: layer.map((l) => ({ ...l, encoding: { ...l.encoding, x: { ...l.encoding.x, title } } })),
      },
      spacing: 14,
    });
  return {
    alt: `Histograms of the length difference D, one panel per compressor, in bins of ${width}; bars left of zero are prompts whose compressed answer is longer. An outline shows the same for two uncompressed runs, the noise floor. The table below has shares and intervals.`,
    wide: draw(790, x.title),
    narrow: draw(286, 'D; left of 0 the answer is longer'),
  };
}
