import type { NoiseKind } from '../workflows/contracts.ts';

/** What a cell is in its sweep, in words; empty for a compressed cell, which is the usual case. */
export function roleOf(cell: {
  isBaseline: boolean;
  noiseKind: NoiseKind | null;
  replicateOf?: string | null | undefined;
}): string {
  if (cell.isBaseline) return 'baseline';
  if (cell.noiseKind === null) return '';
  return `${cell.replicateOf ? 'replicate' : 'noise'} (${cell.noiseKind})`;
}
