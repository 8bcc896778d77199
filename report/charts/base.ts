/**
 * Charts as data: Vega-Lite specs without a renderer. Each comes in a wide form and in one narrow enough for a phone,
 * where text keeps its size instead of shrinking with the picture.
 */
import type { TopLevelSpec } from 'vega-lite';
import { type Colors, dashOf, shapeOf } from '../marks.ts';
import { color } from '../palette.ts';
import { textWidth } from '../text-width.ts';

export type { Colors } from '../marks.ts';

export interface Chart {
  /** What the picture shows, for readers who do not see it. */
  alt: string;
  wide: TopLevelSpec;
  narrow: TopLevelSpec;
}

/** What the labels of an axis take of the width of a chart, px. */
export function labelWidth(labels: readonly string[]): number {
  return Math.ceil(Math.max(0, ...labels.map((label) => textWidth(label, 12)))) + 8;
}

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
    symbolStrokeWidth: 1.8,
    symbolSize: 70,
    labelLimit: 300,
    columnPadding: 16,
  },
  title: { color: color('ink'), fontSize: 13, fontWeight: 600, anchor: 'start' },
} as const;

export function colorScale(labels: readonly string[], colors: Colors) {
  return { domain: [...labels], range: labels.map((label) => colors.get(label) ?? color('soft')) };
}

export function shapeScale(labels: readonly string[], colors: Colors) {
  return { domain: [...labels], range: labels.map((label) => shapeOf(label, colors)) };
}

export function dashScale(labels: readonly string[], colors: Colors) {
  return { domain: [...labels], range: labels.map((label) => [...dashOf(label, colors)]) };
}

/** A log axis of ratios around 1. */
export function ratioAxis(values: readonly number[], title: string | null) {
  const lo = Math.min(0.8, ...values) / 1.06;
  const hi = Math.max(1.25, ...values) * 1.06;
  const coarse = [1 / 64, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8, 16, 32, 64].filter((v) => v >= lo && v <= hi);
  const fine = [0.5, 0.67, 0.8, 1, 1.25, 1.5, 2].filter((v) => v >= lo && v <= hi);
  return {
    type: 'quantitative',
    scale: { type: 'log', domain: [lo, hi], nice: false },
    title,
    axis: { values: coarse.length >= 4 ? coarse : fine, labelExpr: "format(datum.value, '.3~g') + '×'" },
  };
}

export function spec(parts: object): TopLevelSpec {
  return { $schema: 'https://vega.github.io/schema/vega-lite/v6.json', config: CONFIG, ...parts } as TopLevelSpec;
}
