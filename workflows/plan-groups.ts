/** Cells -> groups: what one engine activity runs on one loaded model. */
import { groupBy } from './group-by.ts';
import type { CellPlan, GroupPlan } from './plan.ts';

export const MAX_GROUP_CELLS = 50;
export const MAX_GROUP_MS = 10 * 60_000;

/**
 * Packs cells into groups of at most {@link MAX_GROUP_CELLS} cells and {@link MAX_GROUP_MS} estimated time (a longer
 * cell is a group of its own), one queue and engine key each. Order: a canary per engine key (its cheapest baseline),
 * then by queue, engine key, baselines before noise cells before compressed ones before their replicates, so
 * that the first pairs are complete early.
 */
export function planGroups(
  cells: CellPlan[],
  place: (cell: CellPlan) => { queue: string; engineKey: string },
): GroupPlan[] {
  const placed = cells.map((cell, i) => ({ cell, i, ...place(cell) }));
  const byEngine = [...groupBy(placed, (p) => `${p.queue}\n${p.engineKey}`)].sort(([a], [b]) => (a < b ? -1 : 1));
  const canaries: GroupPlan[] = [];
  const rest: GroupPlan[] = [];
  for (const [, members] of byEngine) {
    const { queue, engineKey } = members[0]!;
    const group = (of: CellPlan[], canary: boolean): GroupPlan => ({
      queue,
      engineKey,
      canary,
      cells: of,
      estMs: sum(of),
    });
    const canary = members.length > 1 ? cheapest(members.map((m) => m.cell)) : null;
    if (canary) canaries.push(group([canary], true));
    const ordered = members
      .filter((m) => m.cell !== canary)
      .sort((a, b) => rank(a.cell) - rank(b.cell) || a.i - b.i)
      .map((m) => m.cell);
    for (const pack of packed(ordered)) rest.push(group(pack, false));
  }
  return [...canaries, ...rest];
}

function packed(cells: CellPlan[]): CellPlan[][] {
  const packs: CellPlan[][] = [];
  for (const cell of cells) {
    const last = packs.at(-1);
    if (last && last.length < MAX_GROUP_CELLS && (sum(last) ?? 0) + (cell.estMs ?? 0) <= MAX_GROUP_MS) last.push(cell);
    else packs.push([cell]);
  }
  return packs;
}

function rank(cell: CellPlan): number {
  if (cell.isBaseline) return 0;
  if (cell.replicateOf !== undefined) return 3;
  return cell.noiseKind ? 1 : 2;
}

function cheapest(cells: CellPlan[]): CellPlan {
  const baselines = cells.filter((c) => c.isBaseline);
  return (baselines.length > 0 ? baselines : cells).reduce((a, b) =>
    (b.estMs ?? Infinity) < (a.estMs ?? Infinity) ? b : a,
  );
}

/** Null as soon as one cell has no estimate: an unknown part makes the whole unknown. */
function sum(cells: CellPlan[]): number | null {
  return cells.reduce<number | null>((total, c) => (total === null || c.estMs === null ? null : total + c.estMs), 0);
}
