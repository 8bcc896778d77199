/**
 * The form in which the artifact of arXiv 2503.24000 (`benchmark_len/plot_kde_shift_dist.py`) draws length shifts:
 * whole percent, |v| > 200 dropped. It cuts off the answers that became more than three times longer, which is the
 * tail of interest, so it exists for comparison only.
 */

/** Round to an integer, halves to the even one. */
export function roundHalfEven(x: number): number {
  const floor = Math.floor(x);
  const rest = x - floor;
  if (rest !== 0.5) return Math.round(x) + 0; // + 0 turns -0 into 0
  return floor % 2 === 0 ? floor + 0 : floor + 1;
}

export interface ArtifactForm {
  /** Whole percent of kept pairs, in the order of the rows. */
  values: number[];
  dropped: number;
  /** 20 equal-width bins from min to max; density = count / (n * width). Empty without spread. */
  bins: { start: number; end: number; density: number }[];
}

/** @param ds D of each pair that has one */
export function artifactForm(ds: Iterable<number>): ArtifactForm {
  const values: number[] = [];
  let dropped = 0;
  for (const d of ds) {
    const v = roundHalfEven(d * 100);
    if (Math.abs(v) > 200) dropped++;
    else values.push(v);
  }
  const min = values.reduce((least, v) => Math.min(least, v), Number.POSITIVE_INFINITY);
  const max = values.reduce((most, v) => Math.max(most, v), Number.NEGATIVE_INFINITY);
  const width = (max - min) / 20;
  if (values.length === 0 || width === 0) return { values, dropped, bins: [] };
  const counts = new Array<number>(20).fill(0);
  for (const v of values) counts[Math.min(19, Math.floor((v - min) / width))]!++;
  const bins = counts.map((count, i) => ({
    start: min + i * width,
    end: min + (i + 1) * width,
    density: count / (values.length * width),
  }));
  return { values, dropped, bins };
}
