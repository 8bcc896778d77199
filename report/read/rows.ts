/** Rows of queries by the cell or setting that they belong to. */
import { groupBy as groupsOf } from '../../workflows/group-by.ts';
import type { CellLine } from '../queries.ts';

export function byCell<Row extends { cell_key: string }>(rows: readonly Row[]): Map<string, Row[]> {
  return groupsOf(rows, (row) => row.cell_key);
}

export function groupBy<Row>(rows: readonly Row[], keyOf: (row: Row) => string): Row[][] {
  return [...groupsOf(rows, keyOf).values()];
}

export const keysOf = (lines: readonly CellLine[]) => lines.map((line) => line.cell_key);

/** What every row about a cell carries. */
export function nameOf(line: CellLine) {
  const { model, label, is_baseline: isBaseline } = line;
  return { model, label, batch: line.batch_size ?? 0, isBaseline, inert: line.compressed === false };
}

/** Keys of as many cells as have no more than `most` pairs together, in the order given. */
export function within(cells: readonly { key: string; pairs: number }[], most: number): string[] {
  let left = most;
  const out: string[] = [];
  for (const { key, pairs } of cells) {
    if (pairs > left) continue;
    left -= pairs;
    out.push(key);
  }
  return out;
}
