/**
 * Charts as data: Vega-Lite specs without a renderer. Each comes in a wide form and in one narrow enough for a phone,
 * where text keeps its size instead of shrinking with the picture.
 */
import type { TopLevelSpec } from 'vega-lite';
import { color } from '../palette.ts';

export interface Chart {
  /** What the picture shows, for readers who do not see it. */
  alt: string;
  wide: TopLevelSpec;
  narrow: TopLevelSpec;
}

export type Colors = ReadonlyMap<string, string>;

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

export function colorScale(labels: readonly string[], colors: Colors) {
  return { domain: [...labels], range: labels.map((label) => colors.get(label) ?? color('soft')) };
}

export function spec(parts: object): TopLevelSpec {
  return { $schema: 'https://vega.github.io/schema/vega-lite/v6.json', config: CONFIG, ...parts } as TopLevelSpec;
}
