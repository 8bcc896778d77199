/** Rates by batch size: bars for a few sizes, lines for many. */
import type { ThroughputSetting } from '../model.ts';
import { color } from '../palette.ts';
import { type Chart, CONFIG, type Colors, colorScale, spec } from './base.ts';

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
    axis: { format: Math.max(...values.map((v) => v.tokS)) < 20_000 ? ',~f' : '~s', tickCount: 5 },
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
