/** What a report says of the length differences of one cell: shares with bounds, quantiles and length ratios. */
import type { LengthShift } from './length-shift.ts';
import { ascending, quantileSorted } from './quantiles.ts';

/** A share with the bounds that cut answers leave open; all three over the same n. */
export interface Share {
  value: number;
  lo: number;
  hi: number;
}

export const D_QUANTILES = [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99] as const;

/** The shares of D, each a rule on the point value and on what its interval makes certain or possible. */
export const SHARES = {
  gt50: {
    says: 'length changed by more than half',
    event: (d: number) => Math.abs(d) > 0.5,
    certain: (lo: number, hi: number) => hi < -0.5 || lo > 0.5,
    possible: (lo: number, hi: number) => lo < -0.5 || hi > 0.5,
  },
  longer50: {
    says: 'longer by half or more',
    event: (d: number) => d <= -0.5,
    certain: (_lo: number, hi: number) => hi <= -0.5,
    possible: (lo: number, _hi: number) => lo <= -0.5,
  },
  shorter50: {
    says: 'shorter by half or more',
    event: (d: number) => d >= 0.5,
    certain: (lo: number, _hi: number) => lo >= 0.5,
    possible: (_lo: number, hi: number) => hi >= 0.5,
  },
} as const;
export type ShareName = keyof typeof SHARES;

export interface LengthSummary {
  /** Pairs with a defined D. */
  n: number;
  nUndefined: number;
  gt50: Share | null;
  longer50: Share | null;
  shorter50: Share | null;
  shareSame: number | null;
  shareNear: number | null;
  /** In the order of `D_QUANTILES`. */
  quantiles: (number | null)[];
  iqr: number | null;
  /** sum L_comp / sum L_base: tokens to pay for. */
  ratioOfMeans: number | null;
  /** exp(mean ln(L_comp / L_base)) over pairs with both > 0: the typical prompt. */
  geoRatio: number | null;
  /** 1 - mean D; led by short baselines. */
  meanOfRatios: number | null;
  medianRatio: number | null;
  censoredBase: number | null;
  censoredComp: number | null;
  stopMissed: number;
  stopEarly: number;
}

export type DefinedShift = LengthShift & { d: number; dLo: number; dHi: number };

export function defined<Row extends LengthShift>(rows: readonly Row[]): (Row & DefinedShift)[] {
  return rows.filter((row): row is Row & DefinedShift => row.d !== null);
}

export function share(rows: readonly DefinedShift[], name: ShareName): Share | null {
  if (rows.length === 0) return null;
  const rule = SHARES[name];
  const over = (test: (row: DefinedShift) => boolean) => rows.filter(test).length / rows.length;
  return {
    value: over((row) => rule.event(row.d)),
    lo: over((row) => rule.certain(row.dLo, row.dHi)),
    hi: over((row) => rule.possible(row.dLo, row.dHi)),
  };
}

/** A report advises a larger token limit if cut answers leave a share open by more than this. */
export const MAX_BOUND_WIDTH = 0.02;

export function summariseLengths(all: readonly LengthShift[]): LengthSummary {
  const rows = defined(all);
  const n = rows.length;
  const part = (count: number) => (n === 0 ? null : count / n);
  const sorted = ascending(rows.map((row) => row.d));
  const quantiles = D_QUANTILES.map((q) => quantileSorted(sorted, q));
  const [q25, q50, q75] = [quantileSorted(sorted, 0.25), quantileSorted(sorted, 0.5), quantileSorted(sorted, 0.75)];
  const both = rows.filter((row) => row.lComp > 0);
  const sum = (pick: (row: DefinedShift) => number, of = rows) => of.reduce((total, row) => total + pick(row), 0);
  return {
    n,
    nUndefined: all.length - n,
    gt50: share(rows, 'gt50'),
    longer50: share(rows, 'longer50'),
    shorter50: share(rows, 'shorter50'),
    shareSame: part(rows.filter((row) => row.same).length),
    shareNear: part(rows.filter((row) => Math.abs(row.d) <= 0.05).length),
    quantiles,
    iqr: q25 === null || q75 === null ? null : q75 - q25,
    ratioOfMeans: n === 0 ? null : sum((row) => row.lComp) / sum((row) => row.lBase),
    geoRatio: both.length === 0 ? null : Math.exp(sum((row) => Math.log(row.lComp / row.lBase), both) / both.length),
    meanOfRatios: n === 0 ? null : 1 - sum((row) => row.d) / n,
    medianRatio: q50 === null ? null : 1 - q50,
    censoredBase: part(rows.filter((row) => row.censor === 'base' || row.censor === 'both').length),
    censoredComp: part(rows.filter((row) => row.censor === 'comp' || row.censor === 'both').length),
    stopMissed: rows.filter((row) => row.stopMissed).length,
    stopEarly: rows.filter((row) => row.stopEarly).length,
  };
}
