/** Which compressors no other one beats: accuracy against memory, and against decode speed. Pure. */
import type { ReportModel } from './model.ts';
import { type RankedRow, type Ranking, ranking } from './ranking.ts';

export interface ParetoPoint {
  label: string;
  isBaseline: boolean;
  /** Share of the f16 bytes, measured. */
  ofF16: number | null;
  tokS: number | null;
  /** Perplexity (less is better) or mean score (more is better). */
  quality: number;
  /** No other compressor is at least as good in both and better in one. */
  onMemory: boolean;
  onSpeed: boolean;
}

export interface Pareto {
  model: string;
  by: Ranking['by'];
  decodeAt: Ranking['decodeAt'];
  points: ParetoPoint[];
}

/** Goodness in each direction: larger is better in all of them. */
type Goods = readonly (number | null)[];

/** True for each row that no other dominates; a row that was not measured in every direction is on no frontier. */
export function frontier(rows: readonly Goods[]): boolean[] {
  const complete = (row: Goods): row is readonly number[] => row.every((value) => value !== null);
  const beats = (a: readonly number[], b: readonly number[]) =>
    a.every((value, i) => value >= b[i]!) && a.some((value, i) => value > b[i]!);
  return rows.map((row) => complete(row) && !rows.some((other) => complete(other) && beats(other, row)));
}

/** One per model; empty if accuracy was measured for fewer than two compressors. */
export function paretos(model: ReportModel): Pareto[] {
  const found = ranking(model);
  if (!found) return [];
  const quality = (row: RankedRow) => (found.by === 'perplexity' ? row.ppl : row.score);
  const good = (row: RankedRow) => (found.by === 'perplexity' ? -row.ppl! : row.score!);
  return [...new Set(found.rows.map((row) => row.model))].flatMap((name) => {
    const rows = found.rows.filter((row) => row.model === name && !row.inert && quality(row) !== null);
    const onMemory = frontier(rows.map((row) => [good(row), row.ofF16 === null ? null : -row.ofF16]));
    const onSpeed = frontier(rows.map((row) => [good(row), row.tokS]));
    const points = rows.map(({ label, isBaseline, ofF16, tokS, ...row }, i) => ({
      label,
      isBaseline,
      ofF16,
      tokS,
      quality: quality({ label, isBaseline, ofF16, tokS, ...row })!,
      onMemory: onMemory[i]!,
      onSpeed: onSpeed[i]!,
    }));
    const compared = points.filter((p) => !p.isBaseline && (p.ofF16 !== null || p.tokS !== null));
    return compared.length > 1 ? [{ model: name, by: found.by, decodeAt: found.decodeAt, points }] : [];
  });
}
