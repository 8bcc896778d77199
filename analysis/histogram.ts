/** The two pictures of a distribution of D: exact histogram bins and a kernel density. */
import { standardDeviation } from './quantiles.ts';

/** 60 bins of width 0.05 over [-2, 1], left-closed; D = 1 falls into the last. */
export const D_BINS = 60;
/** Index of the underflow count (D < -2) in a histogram array of 61. */
export const UNDERFLOW = 60;

/** Lower edge of a bin. */
export function binStart(bin: number): number {
  return (bin - 40) / 20;
}

/**
 * The bin of one pair in integer arithmetic: D = -0.15 in doubles lies on either side of its edge by chance.
 * @returns 0..59, or `UNDERFLOW`
 */
export function histogramBin(lBase: number, lComp: number): number {
  const scaled = 20 * (lBase - lComp);
  const rest = ((scaled % lBase) + lBase) % lBase;
  const bin = (scaled - rest) / lBase + 40;
  if (bin < 0) return UNDERFLOW;
  return Math.min(bin, D_BINS - 1);
}

/** 61 counts: 60 bins and the underflow. Pairs with L_base = 0 have no D and are left out. */
export function lengthHistogram(rows: Iterable<{ lBase: number; lComp: number }>): number[] {
  const counts = new Array<number>(D_BINS + 1).fill(0);
  for (const { lBase, lComp } of rows) if (lBase > 0) counts[histogramBin(lBase, lComp)]!++;
  return counts;
}

export interface Density {
  bandwidth: number;
  points: { d: number; density: number }[];
}

/** Gaussian kernel density at `x`. */
export function densityAt(values: readonly number[], bandwidth: number, x: number): number {
  const scale = 1 / (values.length * bandwidth * Math.sqrt(2 * Math.PI));
  return scale * values.reduce((sum, v) => sum + Math.exp(-0.5 * ((x - v) / bandwidth) ** 2), 0);
}

/** Density of D on [-3, 1] in steps of 0.02, bandwidth by Scott's rule; null below 5 values or without spread. */
export function lengthDensity(values: readonly number[]): Density | null {
  const sd = standardDeviation(values);
  if (values.length < 5 || sd === null || sd === 0) return null;
  const bandwidth = values.length ** (-1 / 5) * sd;
  const points = Array.from({ length: 201 }, (_, i) => {
    const d = (i - 150) / 50;
    return { d, density: densityAt(values, bandwidth, d) };
  });
  return { bandwidth, points };
}
