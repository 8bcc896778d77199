/**
 * Charts as data: Vega-Lite specs without a renderer. Each comes in a wide form and in one narrow enough for a phone,
 * where text keeps its size instead of shrinking with the picture.
 */
import type { TopLevelSpec } from 'vega-lite';
import { D_BINS, UNDERFLOW } from '../analysis/histogram.ts';
import type { LatencyEntry, LengthEntry, ThroughputSetting } from './model.ts';
import { color } from './palette.ts';

export interface Chart {
  /** What the picture shows, for readers who do not see it. */
  alt: string;
  wide: TopLevelSpec;
  narrow: TopLevelSpec;
}

type Colors = ReadonlyMap<string, string>;

export const CONFIG = {
  aria: false,
  background: 'transparent',
  font: 'system-ui, sans-serif',
  view: { stroke: null },
  axis: {
    labelColor: color('soft'),
    titleColor: color('soft'),
    titleFontWeight: 'normal',
    titleFontSize: 12,
    labelFontSize: 12,
    gridColor: color('rule'),
    domainColor: color('rule'),
    tickColor: color('rule'),
    titlePadding: 8,
  },
  header: {
    labelColor: color('ink'),
    labelFontSize: 13,
    labelFontWeight: 600,
    titleColor: color('soft'),
    titleFontWeight: 'normal',
    titleFontSize: 12,
  },
  legend: {
    labelColor: color('ink'),
    labelFontSize: 12,
    title: null,
    orient: 'top',
    symbolType: 'square',
    labelLimit: 300,
  },
  title: { color: color('ink'), fontSize: 13, fontWeight: 600, anchor: 'start' },
} as const;

function colorScale(labels: readonly string[], colors: Colors) {
  return { domain: [...labels], range: labels.map((label) => colors.get(label) ?? color('soft')) };
}

function spec(parts: object): TopLevelSpec {
  return { $schema: 'https://vega.github.io/schema/vega-lite/v6.json', config: CONFIG, ...parts } as TopLevelSpec;
}

/** Above this many batch sizes, points on a log axis read better than bars. */
const MAX_BAR_BATCHES = 3;

/** Tokens/s of one phase by batch size, with the middle half of the repeats. */
export function throughputChart(
  settings: readonly ThroughputSetting[],
  phase: 'prefill' | 'decode',
  colors: Colors,
): Chart {
  const values = settings.flatMap((setting) =>
    setting.points
      .filter((point) => point.phase === phase)
      .map((point) => ({
        ...point,
        panel: `${setting.promptTokens.toLocaleString('en-GB')} prompt tokens`,
        prompt: setting.promptTokens,
      })),
  );
  const labels = [...new Set(values.map((v) => v.label))];
  const batches = [...new Set(values.map((v) => v.batch))].sort((a, b) => a - b);
  const panels = [...new Map(values.map((v) => [v.panel, v.prompt]))].sort((a, b) => a[1] - b[1]).map(([name]) => name);
  const bars = batches.length <= MAX_BAR_BATCHES;
  const x = bars
    ? { field: 'batch', type: 'ordinal', title: 'batch size (sequences)', axis: { labelAngle: 0 } }
    : {
        field: 'batch',
        type: 'quantitative',
        scale: { type: 'log', base: 2 },
        title: 'batch size (sequences)',
        axis: { values: batches },
      };
  const y = {
    field: 'tokS',
    type: 'quantitative',
    title: `${phase} rate (tokens/s)`,
    axis: { format: '~s', tickCount: 5 },
  };
  const tint = { field: 'label', type: 'nominal', scale: colorScale(labels, colors), sort: labels };
  const offset = bars ? { xOffset: { field: 'label', sort: labels } } : {};
  const layer = [
    {
      mark: bars ? { type: 'bar' } : { type: 'line', point: true, strokeWidth: 1.5 },
      encoding: { x, y, color: tint, ...offset },
    },
    {
      mark: { type: 'rule', color: color('ink'), strokeWidth: 1.2 },
      encoding: { x, ...offset, y: { field: 'tokSQ25', type: 'quantitative' }, y2: { field: 'tokSQ75' } },
    },
  ];
  const draw = (columns: number, width: number, legendColumns: number) =>
    spec({
      data: { values },
      facet: { field: 'panel', type: 'nominal', sort: panels, title: null },
      columns,
      spec: { width, height: 210, layer },
      config: { ...CONFIG, legend: { ...CONFIG.legend, columns: legendColumns } },
      resolve: { axis: { x: 'independent' } },
    });
  const columns = Math.min(panels.length, 3);
  return {
    alt: `${bars ? 'Bars' : 'Lines'} of the ${phase} rate in tokens per second by batch size, one colour per compressor, one panel per prompt length. The table below has every number.`,
    wide: draw(columns, Math.floor(800 / Math.max(columns, 1)) - 56, 6),
    narrow: draw(1, 250, 2),
  };
}

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
    wide: draw(760, x.title),
    narrow: draw(270, 'D; left of 0 the answer is longer'),
  };
}

/** `kivi-4`, or `kivi-4, batch 8` where batch sizes gave other tokens. */
export function entryName(entry: LengthEntry, all: readonly LengthEntry[]): string {
  const alone = all.filter((other) => other.label === entry.label).length === 1;
  return alone ? entry.label : `${entry.label}, batch ${entry.batches.join(', ')}`;
}

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
    wide: draw(620, 'service time ÷ baseline service time of the same prompt (log scale); right of 1 is slower', false),
    narrow: draw(300, 'service time ÷ baseline (log); right of 1 is slower', true),
  };
}
