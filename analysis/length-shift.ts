/**
 * The length difference D of a pair: D = (L_base - L_comp) / L_base, negative = the compressed answer is longer.
 *
 * An answer cut at the token limit is only known to be at least that long, so every pair also carries the interval
 * that holds its true D. Nothing here drops a cut pair: that would remove just the long answers one looks for.
 */

/** How a sample ended; `length` and `context` mean cut. */
export type Finish = 'stop' | 'length' | 'context' | 'error';

/** What the analysis needs of one sample. Times in ms. */
export interface SampleSide {
  /** L: generated tokens without the end token. */
  newTokens: number;
  finish: Finish;
  /** The end id that fired; null for a stop string and for cut answers. */
  stopId: number | null;
  /** sha256 of the prompt's token ids, if stored. */
  promptSha: string | null;
  /** sha256 of the generated token ids. */
  tokensSha: string;
  /** Generated ids; null if only the hash is at hand. */
  tokenIds: ArrayLike<number> | null;
  queueMs: number | null;
  prefillMs: number | null;
  decodeMs: number | null;
}

/** One prompt and replicate under a baseline and under a cell; null = no such sample. */
export interface Pair {
  promptKey: string;
  replicate: number;
  base: SampleSide | null;
  comp: SampleSide | null;
}

export type Censor = 'none' | 'comp' | 'base' | 'both';

export interface LengthShift {
  promptKey: string;
  replicate: number;
  lBase: number;
  lComp: number;
  /** null if L_base is 0. */
  d: number | null;
  /** -Infinity if the compressed answer was cut. */
  dLo: number | null;
  /** 1 (not attained) if the baseline's answer was cut. */
  dHi: number | null;
  censor: Censor;
  /** The token ids are identical. */
  same: boolean;
  /** Length of the common prefix in tokens; null if identical or the ids are not stored. */
  firstDiff: number | null;
  /** The whole complete baseline answer is a proper prefix of the compressed one: only the stop was missed. */
  stopMissed: boolean;
  /** The other way round: the compressed run said the same and stopped earlier. */
  stopEarly: boolean;
}

export interface PairedShifts {
  rows: LengthShift[];
  /** Pairs left out: a side is absent or ended in an error. */
  nMissing: number;
  /** Pairs left out: the two sides saw different prompt tokens. */
  nMismatch: number;
}

export function lengthDifference(lBase: number, lComp: number): number | null {
  return lBase === 0 ? null : (lBase - lComp) / lBase;
}

export function censorOf(base: Finish, comp: Finish): Censor {
  const cut = (finish: Finish) => finish === 'length' || finish === 'context';
  if (cut(base)) return cut(comp) ? 'both' : 'base';
  return cut(comp) ? 'comp' : 'none';
}

/** The interval that holds the true D of a pair whose answers may have been cut. */
export function censorInterval(d: number, censor: Censor): [lo: number, hi: number] {
  return [
    censor === 'comp' || censor === 'both' ? Number.NEGATIVE_INFINITY : d,
    censor === 'base' || censor === 'both' ? 1 : d,
  ];
}

/** Length of the common prefix of two outputs; null if they are identical. */
export function firstDifference(a: ArrayLike<number>, b: ArrayLike<number>): number | null {
  const n = Math.min(a.length, b.length);
  for (let i = 0; i < n; i++) if (a[i] !== b[i]) return i;
  return a.length === b.length ? null : n;
}

export interface OutputDifference {
  firstDiff: number;
  stopMissed: boolean;
  stopEarly: boolean;
}

/** How two outputs part; null if they are identical. A cut answer is a prefix of anything longer by accident. */
export function outputDifference(
  base: { tokenIds: ArrayLike<number>; finish: Finish },
  comp: { tokenIds: ArrayLike<number>; finish: Finish },
): OutputDifference | null {
  const firstDiff = firstDifference(base.tokenIds, comp.tokenIds);
  if (firstDiff === null) return null;
  const lBase = base.tokenIds.length;
  const lComp = comp.tokenIds.length;
  return {
    firstDiff,
    stopMissed: firstDiff === lBase && lBase < lComp && base.finish === 'stop',
    stopEarly: firstDiff === lComp && lComp < lBase && comp.finish === 'stop',
  };
}

/** Pairs to rows, leaving out and counting what cannot be compared. */
export function lengthShifts(pairs: Iterable<Pair>): PairedShifts {
  const out: PairedShifts = { rows: [], nMissing: 0, nMismatch: 0 };
  for (const { promptKey, replicate, base, comp } of pairs) {
    if (!base || !comp || base.finish === 'error' || comp.finish === 'error') out.nMissing++;
    else if (base.promptSha && comp.promptSha && base.promptSha !== comp.promptSha) out.nMismatch++;
    else out.rows.push(shiftOf(promptKey, replicate, base, comp));
  }
  return out;
}

function shiftOf(promptKey: string, replicate: number, base: SampleSide, comp: SampleSide): LengthShift {
  const lBase = base.newTokens;
  const lComp = comp.newTokens;
  const d = lengthDifference(lBase, lComp);
  const censor = censorOf(base.finish, comp.finish);
  const [dLo, dHi] = d === null ? [null, null] : censorInterval(d, censor);
  const same = base.tokensSha === comp.tokensSha;
  const { tokenIds: baseIds } = base;
  const { tokenIds: compIds } = comp;
  const parted =
    same || !baseIds || !compIds
      ? null
      : outputDifference({ tokenIds: baseIds, finish: base.finish }, { tokenIds: compIds, finish: comp.finish });
  return {
    promptKey,
    replicate,
    lBase,
    lComp,
    d,
    dLo,
    dHi,
    censor,
    same,
    firstDiff: parted?.firstDiff ?? null,
    stopMissed: parted?.stopMissed ?? false,
    stopEarly: parted?.stopEarly ?? false,
  };
}
