/** Rates along an axis of many batch sizes or prompt lengths: one line per compressor. */
import type { ThroughputSetting } from '../model.ts';
import { whole } from '../words.ts';
import { type Chart, CONFIG, type Colors, colorScale, dashScale, shapeScale, spec } from './base.ts';
import type { Phase } from './throughput.ts';

const AXES = {
  batch: {
    title: 'batch size (sequences)',
    by: 'batch size',
    panel: (p: { promptTokens: number }) => `${whole(p.promptTokens)} prompt tokens`,
  },
  promptTokens: {
    title: 'prompt length (tokens)',
    by: 'prompt length',
    panel: (p: { batch: number }) => `batch ${whole(p.batch)}`,
  },
} as const;

export function rateLines(
  settings: readonly ThroughputSetting[],
  phase: Phase,
  along: keyof typeof AXES,
  colors: Colors,
): Chart {
  const axis = AXES[along];
  const values = settings
    .flatMap(({ promptTokens, points }) =>
      points
        .filter((p) => p.phase === phase && !p.isMax)
        .map(({ label, batch, tokS, ofBound }) => ({
          label,
          tokS,
          batch,
          promptTokens,
          bound: ofBound === null ? null : tokS / ofBound,
        })),
    )
    .map((p) => ({ ...p, panel: axis.panel(p) }))
    .sort((a, b) => a.promptTokens - b.promptTokens || a.batch - b.batch);
  const labels = [...colors.keys()].filter((label) => values.some((v) => v.label === label));
  const panels = [...new Set(values.map((v) => v.panel))];
  const at = [...new Set(values.map((v) => v[along]))].sort((a, b) => a - b);
  const x = {
    field: along,
    type: 'quantitative',
    scale: { type: 'log', base: 2, domain: [at[0], at.at(-1)], nice: false, padding: 10 },
    title: axis.title,
    axis: { values: at, format: ',~f', labelOverlap: true },
  };
  const y = {
    field: 'tokS',
    type: 'quantitative',
    title: `${phase}, tokens/s`,
    axis: { format: Math.max(...values.map((v) => v.tokS)) < 20_000 ? ',~f' : '~s', tickCount: 5 },
  };
  const encoding = {
    x,
    y,
    color: { field: 'label', type: 'nominal', scale: colorScale(labels, colors), sort: labels },
    strokeDash: { field: 'label', type: 'nominal', scale: dashScale(labels, colors), sort: labels },
    shape: { field: 'label', type: 'nominal', scale: shapeScale(labels, colors), sort: labels },
  };
  const { shape: _, ...line } = encoding;
  const { strokeDash: __, ...point } = encoding;
  const layer = [
    { mark: { type: 'line', strokeWidth: 1.7 }, encoding: line },
    { mark: { type: 'point', filled: true, size: 60, opacity: 1 }, encoding: point },
  ];
  const draw = (columns: number, width: number, legendColumns: number) =>
    spec({
      data: { values },
      facet: { field: 'panel', type: 'nominal', sort: panels, title: null, header: { labelAnchor: 'start' } },
      columns,
      spec: { width, height: 210, layer },
      config: { ...CONFIG, legend: { ...CONFIG.legend, columns: legendColumns } },
      resolve: { axis: { x: 'independent' }, scale: { y: 'independent' } },
    });
  const columns = Math.min(panels.length, 3);
  return {
    alt: `Lines of the ${phase} rate in tokens per second by ${axis.by}, one line, dash and shape per compressor, ${panels.length} panels. Each panel has a scale of its own.`,
    wide: draw(columns, Math.floor(850 / columns) - 56, 5),
    narrow: draw(1, 270, 2),
  };
}
