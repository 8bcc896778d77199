/** The density of D of all compressors in one plot, the noise floor dashed; the y axis linear or logarithmic. */
import { type Density, densityAt, lengthDensity, UNDERFLOW } from '../../analysis/histogram.ts';
import { dashOf } from '../marks.ts';
import type { LengthEntry } from '../model.ts';
import { entryName } from '../names.ts';
import { color } from '../palette.ts';
import { type Chart, CONFIG, type Colors, spec } from './base.ts';

export interface Curve {
  name: string;
  label: string | null;
  density: Density;
  /** Drawn from histogram bins, for the pairs are too many to read. */
  fromBins: boolean;
}

export const NOISE = 'noise floor';
/** Least density of the logarithmic axis: below it there is less than one answer in a thousand and step. */
const FLOOR = 0.005;

/** Middle of the underflow bin in a density from bins: what lies there is only known to be below -2. */
const UNDERFLOW_AT = -2.25;

function curveOf(ds: readonly number[], histogram: readonly number[]): { density: Density; fromBins: boolean } | null {
  if (ds.length > 0) {
    const density = lengthDensity(ds);
    return density && { density, fromBins: false };
  }
  const total = histogram.reduce((sum, n) => sum + n, 0);
  if (total < 5) return null;
  // as many values as a plot can tell apart, in the proportions of the bins
  const scale = Math.min(1, 5000 / total);
  const values = histogram.flatMap((n, bin) =>
    new Array<number>(Math.round(n * scale)).fill(bin === UNDERFLOW ? UNDERFLOW_AT : (bin - 40 + 0.5) / 20),
  );
  const thinned = lengthDensity(values);
  if (!thinned) return null;
  const bandwidth = thinned.bandwidth * (total / values.length) ** (-1 / 5);
  const points = thinned.points.map(({ d }) => ({ d, density: densityAt(values, bandwidth, d) }));
  return { density: { bandwidth, points }, fromBins: true };
}

/** One curve per entry with five pairs and a spread, the noise floor last. */
export function curvesOf(entries: readonly LengthEntry[]): Curve[] {
  const curves = entries.flatMap((entry): Curve[] => {
    const curve = curveOf(entry.ds, entry.histogram);
    return curve ? [{ name: entryName(entry, entries), label: entry.label, ...curve }] : [];
  });
  const floor = entries.find((entry) => entry.noise)?.noise;
  const noise = floor && curves.length > 0 ? curveOf(floor.ds, floor.histogram) : null;
  return noise ? [...curves, { name: NOISE, label: null, ...noise }] : curves;
}

export function densityChart(curves: readonly Curve[], scale: 'linear' | 'log', colors: Colors): Chart {
  const log = scale === 'log';
  const values = curves.flatMap(({ name, density }) =>
    density.points.filter((p) => !log || p.density >= FLOOR).map((p) => ({ ...p, name })),
  );
  const names = curves.map((c) => c.name);
  const range = curves.map((c) => (c.label === null ? color('ink') : (colors.get(c.label) ?? color('soft'))));
  const dashes = curves.map((c) => (c.label === null ? [1, 3] : [...dashOf(c.label, colors)]));
  const draw = (width: number, columns: number) =>
    spec({
      width,
      height: 200,
      data: { values },
      mark: { type: 'line', strokeWidth: 1.8 },
      encoding: {
        x: {
          field: 'd',
          type: 'quantitative',
          title: 'D; left of 0 the answer is longer',
          axis: { grid: false, tickCount: 8, labelExpr: "replace(datum.label, '-', '−')" },
        },
        y: {
          field: 'density',
          type: 'quantitative',
          title: log ? 'density, log scale' : 'density',
          ...(log ? { scale: { type: 'log', domainMin: FLOOR } } : {}),
          axis: { tickCount: 4, format: '.3~r' },
        },
        color: { field: 'name', type: 'nominal', sort: names, scale: { domain: names, range } },
        strokeDash: { field: 'name', type: 'nominal', sort: names, scale: { domain: names, range: dashes } },
      },
      config: { ...CONFIG, legend: { ...CONFIG.legend, columns, symbolType: 'stroke', symbolSize: 300 } },
    });
  return {
    alt: `Kernel density of the length difference D from -3 to 1${log ? ' on a logarithmic axis' : ''}, a line with a dash of its own per compressor and a dotted one for two uncompressed runs; mass left of zero are prompts whose compressed answer is longer.`,
    wide: draw(790, 5),
    narrow: draw(290, 2),
  };
}
