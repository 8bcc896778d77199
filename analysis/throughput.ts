/** Rates of repeated timed runs. Quantiles are taken on times, then turned into rates; no run is dropped. */
import { ascending, quantileSorted } from './quantiles.ts';

/** Spread of the middle half of the times, relative to their median, above which a point is marked. */
export const NOISY_SPREAD = 0.05;
/** Change of the guard point between start and end of a group above which the whole group is marked. */
export const MAX_DRIFT = 0.03;

export interface Rate {
  repeats: number;
  medianS: number;
  /** work / median(time) */
  tokS: number;
  /** work / q75(time) */
  tokSQ25: number;
  /** work / q25(time) */
  tokSQ75: number;
  noisy: boolean;
}

/** @param seconds times of the timed runs @param tokens work of one run: B*T of prefill, B*N of decode */
export function rateOf(seconds: readonly number[], tokens: number): Rate | null {
  if (seconds.length === 0) return null;
  const sorted = ascending(seconds);
  const [q25, q50, q75] = [0.25, 0.5, 0.75].map((q) => quantileSorted(sorted, q)!) as [number, number, number];
  return {
    repeats: seconds.length,
    medianS: q50,
    tokS: tokens / q50,
    tokSQ25: tokens / q75,
    tokSQ75: tokens / q25,
    noisy: (q75 - q25) / q50 > NOISY_SPREAD,
  };
}

/** |second / first - 1| of the median times of the point that is timed at both ends of a group. */
export function drift(firstMedianS: number, secondMedianS: number): number {
  return Math.abs(secondMedianS / firstMedianS - 1);
}

export interface RatePoint {
  batch: number;
  tokS: number;
}

export interface SpeedUp {
  ratio: number;
  batch: number;
  baseBatch: number;
}

/** The algorithm's own effect: both at the same batch size. */
export function sameBatchSpeedUp(
  comp: readonly RatePoint[],
  base: readonly RatePoint[],
  batch: number,
): SpeedUp | null {
  const [c, b] = [comp, base].map((points) => points.find((point) => point.batch === batch));
  return c && b ? { ratio: c.tokS / b.tokS, batch, baseBatch: batch } : null;
}

/** What a server gains: each at the largest batch that it fits. */
export function ownMaximumSpeedUp(comp: readonly RatePoint[], base: readonly RatePoint[]): SpeedUp | null {
  const largest = (points: readonly RatePoint[]) =>
    points.reduce<RatePoint | null>((top, point) => (!top || point.batch > top.batch ? point : top), null);
  const [c, b] = [largest(comp), largest(base)];
  return c && b ? { ratio: c.tokS / b.tokS, batch: c.batch, baseBatch: b.batch } : null;
}

/** Least squares of the decode step time on cached tokens: time = fixed + perToken * cached. */
export interface StepFit {
  fixedMs: number;
  perTokenUs: number;
  /** Mean absolute percentage error when each point is predicted from all others. */
  leaveOneOutMape: number;
}

function line(points: readonly { x: number; y: number }[]): { a: number; b: number } {
  const n = points.length;
  const mx = points.reduce((sum, p) => sum + p.x, 0) / n;
  const my = points.reduce((sum, p) => sum + p.y, 0) / n;
  const sxy = points.reduce((sum, p) => sum + (p.x - mx) * (p.y - my), 0);
  const b = sxy / points.reduce((sum, p) => sum + (p.x - mx) ** 2, 0);
  return { a: my - b * mx, b };
}

/** @param points cached tokens over the batch (B * (T + N / 2)) and step time in ms (B / (tok/s) * 1000) */
export function fitSteps(points: readonly { cachedTokens: number; stepMs: number }[]): StepFit | null {
  if (points.length < 3) return null;
  const xy = points.map((p) => ({ x: p.cachedTokens, y: p.stepMs }));
  const { a, b } = line(xy);
  const errors = xy.map((p, i) => {
    const other = line(xy.filter((_, j) => j !== i));
    return Math.abs((other.a + other.b * p.x) / p.y - 1);
  });
  const leaveOneOutMape = errors.reduce((sum, e) => sum + e, 0) / errors.length;
  return { fixedMs: a, perTokenUs: b * 1000, leaveOneOutMape };
}
