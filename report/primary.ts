/** Some metrics give two rows a sample; the first says how good the answer is, the second explains it. */
import { METRICS } from '../analysis/metrics/index.ts';

const SECOND = new Set(METRICS.flatMap((metric) => metric.gives?.slice(1) ?? []));

/** What means and counts over data sets are made of: each sample once. */
export function isPrimary(metric: string): boolean {
  return !SECOND.has(metric);
}
