/**
 * Percentile bootstrap over prompts. All replicates of a prompt move together (a prompt is a cluster), since they are
 * not independent of each other.
 *
 * A statistic is a function of sums over samples: each cluster brings its sums once, a resample adds them up. That is
 * the same as recomputing over the drawn samples, and a thousand times cheaper. Refused: quantiles of D (no sums).
 */
import { ascending, quantileSorted } from './quantiles.ts';
import { SplitMix64 } from './random.ts';

export const DEFAULT_RESAMPLES = 10_000;
/** Below this an interval is printed with the flag `few_clusters`. */
export const FEW_CLUSTERS = 20;

/** A statistic: what one sample adds to each sum, and the value of the sums. */
export interface Statistic<Row> {
  name: string;
  /** null = the sample does not take part. */
  sums(row: Row): readonly number[] | null;
  value(sums: readonly number[]): number;
}

export interface Interval {
  value: number;
  lo: number;
  hi: number;
}

/** Rows by cluster, in the byte order of their keys; a fixed order makes the draws reproducible. */
export function clustersOf<Row extends { promptKey: string }>(rows: Iterable<Row>): Row[][] {
  const byKey = new Map<string, Row[]>();
  for (const row of rows) {
    const cluster = byKey.get(row.promptKey);
    if (cluster) cluster.push(row);
    else byKey.set(row.promptKey, [row]);
  }
  const keys = [...byKey.keys()].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  return keys.map((key) => byKey.get(key)!);
}

function addUp<Row>(rows: readonly Row[], statistic: Statistic<Row>): number[] | null {
  let total: number[] | null = null;
  for (const row of rows) {
    const sums = statistic.sums(row);
    if (!sums) continue;
    total = total ? total.map((sum, i) => sum + sums[i]!) : [...sums];
  }
  return total;
}

/** The statistic over all rows; null if no row takes part. */
export function pointValue<Row>(clusters: readonly Row[][], statistic: Statistic<Row>): number | null {
  const total = addUp(clusters.flat(), statistic);
  return total && statistic.value(total);
}

/** The statistic in each resample, in drawing order; a resample without a defined value is left out. */
export function resample<Row>(
  clusters: readonly Row[][],
  statistic: Statistic<Row>,
  seed: number | string,
  resamples = DEFAULT_RESAMPLES,
): Float64Array {
  const random = SplitMix64.fromKey(`kvsweep-boot-1|${statistic.name}|${seed}`);
  const parts = clusters.map((cluster) => addUp(cluster, statistic));
  const width = parts.find((part) => part)?.length ?? 0;
  const columns = Array.from({ length: width }, (_, k) => Float64Array.from(parts, (part) => part?.[k] ?? 0));
  // such as the count of a cluster: the sum over any resample is known, and exact for integers
  const constant = columns.map((column) =>
    Number.isInteger(column[0]) && column.every((v) => v === column[0]) ? column[0]! * parts.length : null,
  );
  const draws = new Int32Array(parts.length);
  const values = new Float64Array(resamples);
  const total = new Array<number>(width).fill(0);
  let kept = 0;
  for (let b = 0; b < resamples; b++) {
    random.fillBelow(draws, parts.length);
    for (let k = 0; k < width; k++) total[k] = constant[k] ?? sumAt(columns[k]!, draws);
    const value = statistic.value(total);
    if (Number.isFinite(value)) values[kept++] = value;
  }
  return values.subarray(0, kept);
}

/** Sum of the values at some places, in their order. */
function sumAt(values: Float64Array, places: Int32Array): number {
  let sum = 0;
  for (let i = 0; i < places.length; i++) sum += values[places[i]!]!;
  return sum;
}

/** Clusters that bring equal sums give every resample the same total: drawing would only confirm it. */
function allEqual<Row>(clusters: readonly Row[][], statistic: Statistic<Row>): boolean {
  const parts = clusters.map((cluster) => JSON.stringify(addUp(cluster, statistic)));
  return parts.every((part) => part === parts[0]);
}

/** Value with its 95 % percentile interval; null if no row takes part. */
export function bootstrap<Row>(
  clusters: readonly Row[][],
  statistic: Statistic<Row>,
  seed: number | string,
  resamples = DEFAULT_RESAMPLES,
): Interval | null {
  const value = pointValue(clusters, statistic);
  if (value === null || !Number.isFinite(value)) return null;
  if (allEqual(clusters, statistic)) return { value, lo: value, hi: value };
  const sorted = ascending(resample(clusters, statistic, seed, resamples));
  return { value, lo: quantileSorted(sorted, 0.025)!, hi: quantileSorted(sorted, 0.975)! };
}
