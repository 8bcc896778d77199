/** How many prompts are negative, by theta and by task type, beside the same count with the roles swapped. */
import { type NegativeSum, sumName } from '../negatives.ts';
import { color } from '../palette.ts';
import { type Chart, CONFIG, labelWidth, spec } from './base.ts';

/** Solid and filled for what was lost, hollow and dashed for the mirror, dotted for two uncompressed runs. */
const KINDS = [
  { says: 'negative', of: (s: NegativeSum) => s.negatives, tint: 'series-2', dash: [1, 0], shape: 'circle' },
  { says: 'mirrored', of: (s: NegativeSum) => s.mirrored, tint: 'series-1', dash: [6, 3], shape: 'diamond' },
  { says: 'robust', of: (s: NegativeSum) => s.robust, tint: 'series-4', dash: [8, 3, 2, 3], shape: 'square' },
  { says: 'noise floor', of: (s: NegativeSum) => s.noiseNegatives, tint: 'ink', dash: [1, 3], shape: 'triangle-up' },
] as const;

/** Panels of one chart; the table has all. */
export const MAX_PANELS = 12;

function valuesOf(sums: readonly NegativeSum[]) {
  return sums.flatMap((sum) =>
    KINDS.flatMap(({ says, of }) => {
      const count = of(sum);
      if (count === null || sum.eligible === 0) return [];
      return [
        {
          kind: says,
          panel: sumName(sum, sums),
          theta: 100 * sum.theta,
          group: sum.group,
          share: count / sum.eligible,
        },
      ];
    }),
  );
}

function looks(values: ReturnType<typeof valuesOf>) {
  const used = KINDS.filter((k) => values.some((v) => v.kind === k.says));
  const domain = used.map((k) => k.says);
  return {
    color: {
      field: 'kind',
      type: 'nominal',
      sort: domain,
      scale: { domain, range: used.map((k) => color(k.tint)) },
    },
    shape: { field: 'kind', type: 'nominal', sort: domain, scale: { domain, range: used.map((k) => k.shape) } },
    strokeDash: {
      field: 'kind',
      type: 'nominal',
      sort: domain,
      scale: { domain, range: used.map((k) => [...k.dash]) },
    },
  };
}

/** Growth with theta: one panel per compressor. @param sums of one rule, all thetas */
export function thetaChart(sums: readonly NegativeSum[], rule: string): Chart {
  const all = valuesOf(sums);
  const panels = [...new Set(all.map((v) => v.panel))].slice(0, MAX_PANELS);
  const values = all.filter((v) => panels.includes(v.panel));
  const { color: tint, shape, strokeDash } = looks(values);
  const x = {
    field: 'theta',
    type: 'quantitative',
    title: 'theta (score lost, %)',
    scale: { zero: false },
    axis: { values: [1, 4, 10, 16, 24, 32], grid: false },
  };
  const y = {
    field: 'share',
    type: 'quantitative',
    title: 'of eligible prompts',
    axis: { format: '.0%', tickCount: 4 },
  };
  const layer = [
    { mark: { type: 'line', strokeWidth: 1.7 }, encoding: { x, y, color: tint, strokeDash } },
    { mark: { type: 'point', filled: true, size: 42, opacity: 1 }, encoding: { x, y, color: tint, shape } },
  ];
  const draw = (columns: number, width: number, legendColumns: number) =>
    spec({
      data: { values },
      facet: { field: 'panel', type: 'nominal', sort: panels, title: null, header: { labelAnchor: 'start' } },
      columns,
      spec: { width, height: 150, layer },
      config: { ...CONFIG, legend: { ...CONFIG.legend, columns: legendColumns } },
      resolve: { axis: { x: 'independent' } },
    });
  const columns = Math.min(Math.max(panels.length, 1), 3);
  return {
    alt: `Share of eligible prompts that are negative (solid line, circles) by theta from 1 to 32 percent, rule ${rule}, and the same with the roles swapped (dashed, diamonds), one panel per compressor. Where the two lines lie together the negatives are not evidence of harm.`,
    wide: draw(columns, Math.floor(850 / columns) - 44, 4),
    narrow: draw(1, 280, 2),
  };
}

/** One row per task type or data set, one panel per compressor. @param sums of one rule and theta, by group */
export function groupChart(sums: readonly NegativeSum[], by: string): Chart {
  const all = valuesOf(sums);
  const panels = [...new Set(all.map((v) => v.panel))].slice(0, MAX_PANELS);
  const values = all.filter((v) => panels.includes(v.panel));
  const groups = [...new Set(values.map((v) => v.group))];
  const { color: tint, shape } = looks(values);
  const encoding = (title: string) => ({
    y: {
      field: 'group',
      type: 'nominal',
      sort: groups,
      title: null,
      axis: { labelColor: color('ink'), labelLimit: 300, ticks: false, domain: false },
    },
    x: {
      field: 'share',
      type: 'quantitative',
      title,
      scale: { zero: true },
      axis: { format: '.0%', tickCount: 4 },
    },
    color: tint,
    shape,
  });
  const draw = (columns: number, width: number) =>
    spec({
      data: { values },
      facet: { field: 'panel', type: 'nominal', sort: panels, title: null, header: { labelAnchor: 'start' } },
      columns,
      spec: {
        width,
        height: { step: 22 },
        mark: { type: 'point', filled: true, size: 70, opacity: 0.9 },
        encoding: encoding('of eligible prompts'),
      },
      config: { ...CONFIG, legend: { ...CONFIG.legend, columns: 2 } },
      resolve: { axis: { x: 'independent' } },
    });
  const columns = Math.min(Math.max(panels.length, 1), 3);
  return {
    alt: `Share of eligible prompts that are negative (circle) and mirrored (diamond) by ${by}, one panel per compressor.`,
    wide: draw(columns, Math.floor((850 - labelWidth(groups)) / columns) - 22),
    narrow: draw(1, Math.max(120, 336 - labelWidth(groups))),
  };
}
