import type { ClaimedCell } from './ledger.ts';

/**
 * The point whose second timing at the end of a group tells whether the machine drifted meanwhile (heat, other load): the
 * first baseline that this attempt timed. Null if nothing was timed after it; a search for the largest batch is none,
 * because it would be another search.
 */
export function guardPoint(timed: readonly ClaimedCell[]): ClaimedCell | null {
  const points = timed.filter((cell) => 'throughput' in cell.run.workload);
  const first = points.findIndex((cell) => cell.isBaseline && cell.run.batch !== 'max');
  return first === -1 || first === points.length - 1 ? null : points[first]!;
}
