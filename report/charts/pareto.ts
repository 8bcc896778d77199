/** Accuracy against memory or decode speed, one mark per compressor, the frontier joined by a line. */

import { color } from '../palette.ts';
import type { Pareto } from '../pareto.ts';
import { type Chart, CONFIG, type Colors, colorScale, shapeScale, spec } from './base.ts';
import { placeNames } from './placement.ts';

const AGAINST = {
  ofF16: { title: 'cache bytes at the end, of f16', format: '.0%', best: 'left', on: 'onMemory' },
  tokS: { title: 'decode, tokens/s', format: ',~f', best: 'right', on: 'onSpeed' },
} as const;

/** Points that get a name beside them; the table has all. */
const MAX_NAMES = 60;

interface Scale {
  domain: [number, number];
  /** From 0 to 1 along the axis. */
  at(value: number): number;
  back(share: number): number;
}

function scaleOf(values: readonly number[], log: boolean): Scale {
  const [to, from] = log ? [Math.log, Math.exp] : [(v: number) => v, (v: number) => v];
  const [lo, hi] = [Math.min(...values), Math.max(...values)];
  const pad = Math.max((to(hi) - to(lo)) * 0.09, log ? 0.01 : Math.abs(hi) * 0.02, 1e-6);
  const [start, end] = [to(lo) - pad, to(hi) + pad];
  return {
    domain: [from(start), from(end)],
    at: (value) => (to(value) - start) / (end - start),
    back: (share) => from(start + share * (end - start)),
  };
}

export function paretoChart(pareto: Pareto, against: keyof typeof AGAINST, colors: Colors): Chart {
  const { title, format, best, on } = AGAINST[against];
  const byPpl = pareto.by === 'perplexity';
  const values = pareto.points
    .filter((p) => p[against] !== null)
    .map((p) => ({ label: p.label, x: p[against]!, y: p.quality, on: p[on] }));
  const labels = [...new Set(values.map((v) => v.label))];
  const sx = scaleOf(
    values.map((v) => v.x),
    false,
  );
  const sy = scaleOf(
    values.map((v) => v.y),
    byPpl,
  );
  const line = values.filter((v) => v.on).sort((a, b) => a.x - b.x || a.y - b.y);
  const x = (t: string) => ({
    field: 'x',
    type: 'quantitative',
    scale: { domain: sx.domain, nice: false, zero: false },
    title: t,
    axis: { format, tickCount: 5, grid: false },
  });
  const y = {
    field: 'y',
    type: 'quantitative',
    scale: { domain: sy.domain, nice: false, ...(byPpl ? { type: 'log' } : { zero: false }) },
    title: byPpl ? 'perplexity; lower is better' : 'mean score; higher is better',
    axis: { tickCount: 5, format: byPpl ? '.3~g' : '.0%' },
  };
  const draw = (width: number, height: number, t: string) => {
    const px = (v: { x: number; y: number }) => ({ x: sx.at(v.x) * width, y: (1 - sy.at(v.y)) * height });
    // names of the frontier first: they get their place whatever happens to the rest
    const dots = [...values]
      .sort((a, b) => Number(b.on) - Number(a.on))
      .slice(0, MAX_NAMES)
      .map((v) => ({ name: v.label, ...px(v) }));
    const names = placeNames(dots, line.map(px), width, height).map((n) => ({
      name: n.name,
      x: sx.back(n.x / width),
      y: sy.back(1 - n.y / height),
      align: n.align,
    }));
    const text = (align: string) => ({
      data: { values: names.filter((n) => n.align === align) },
      mark: { type: 'text', align, baseline: 'middle', fontSize: 11, color: color('ink') },
      encoding: { x: x(t), y, text: { field: 'name', type: 'nominal' } },
    });
    const layers = [
      {
        data: { values: line },
        mark: { type: 'line', color: color('soft'), strokeDash: [5, 3], strokeWidth: 1.5 },
        encoding: { x: x(t), y, order: { field: 'x', type: 'quantitative' } },
      },
      {
        data: { values: line },
        mark: { type: 'point', shape: 'circle', filled: false, size: 230, strokeWidth: 1.5, color: color('ink') },
        encoding: { x: x(t), y },
      },
      {
        data: { values },
        mark: { type: 'point', filled: true, size: 75, opacity: 1 },
        encoding: {
          x: x(t),
          y,
          color: { field: 'label', type: 'nominal', legend: null, scale: colorScale(labels, colors) },
          shape: { field: 'label', type: 'nominal', legend: null, scale: shapeScale(labels, colors) },
        },
      },
      ...['left', 'right', 'center'].filter((a) => names.some((n) => n.align === a)).map(text),
    ];
    return spec({ width, height, layer: layers, config: CONFIG });
  };
  return {
    alt: `${byPpl ? 'Perplexity (lower is better)' : 'Mean score (higher is better)'} against ${against === 'ofF16' ? 'the measured share of the f16 cache' : 'decode speed'}, one mark per compressor; better is ${byPpl ? 'down' : 'up'} and ${best}. Ringed and joined: ${line.map((v) => v.label).join(', ')}, which no other compressor beats in both.`,
    wide: draw(780, 340, title),
    narrow: draw(285, 300, title),
  };
}
