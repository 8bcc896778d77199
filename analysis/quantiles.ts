/**
 * Quantiles of type 7 (linear interpolation), as Postgres `percentile_cont` and numpy compute them, so that a number
 * of the report and the same number asked for in SQL agree.
 */

/** Ascending copy; numbers, not strings, are compared. */
export function ascending(values: Iterable<number>): Float64Array {
  return Float64Array.from(values).sort();
}

/** @param sorted ascending, no NaN @returns null for no values */
export function quantileSorted(sorted: ArrayLike<number>, q: number): number | null {
  if (sorted.length === 0) return null;
  const h = (sorted.length - 1) * q;
  const i = Math.floor(h);
  const low = sorted[i]!;
  // h = i exactly at the upper end, where there is no next value
  return h === i ? low : low + (h - i) * (sorted[i + 1]! - low);
}

export function quantile(values: Iterable<number>, q: number): number | null {
  return quantileSorted(ascending(values), q);
}

export function median(values: Iterable<number>): number | null {
  return quantile(values, 0.5);
}

/** Standard deviation with n - 1 in the denominator; null below two values. */
export function standardDeviation(values: readonly number[]): number | null {
  const n = values.length;
  if (n < 2) return null;
  const mean = values.reduce((sum, v) => sum + v, 0) / n;
  return Math.sqrt(values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / (n - 1));
}
