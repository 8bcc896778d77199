/**
 * Samples of one cell as columns: what aggregation computes over millions of samples, without an object per sample. The
 * rules are those of `length-shift.ts`; here is only how rows find each other.
 */

import type { Finish, Pair, SampleSide } from './length-shift.ts';

/** Codes of `finish` as stored: 0 stop, 1 length, 2 context, 3 error. */
export const ERROR = 3;
const SHA_WORDS = 8;

/** All arrays have one entry per sample, in any order; digests have eight words per sample. Times in microseconds. */
export interface SampleColumns {
  /** Index of the prompt in the cell's prompt set. */
  promptIdx: Int32Array;
  rep: Int32Array;
  finish: Int32Array;
  /** -1 = not known (a failed sample). */
  newTokens: Int32Array;
  /** -1 = no end id fired. */
  stopId: Int32Array;
  /** NaN = not measured. */
  prefillUs: Float64Array;
  decodeUs: Float64Array;
  /** All zero = not stored. */
  promptSha: Int32Array;
  outSha: Int32Array;
}

/** Pairs of rows of two cells, and what could not be paired. */
export interface PairedRows {
  base: Int32Array;
  comp: Int32Array;
  /** Prompts of the pairs left out: a side is absent or ended in an error. One entry a pair. */
  missing: number[];
  /** Prompts of the pairs left out: the two sides saw different prompt tokens. */
  mismatch: number[];
}

/** Whether two digests are equal; both all zero counts as equal. */
export function sameDigest(a: Int32Array, i: number, b: Int32Array, j: number): boolean {
  const p = i * SHA_WORDS;
  const q = j * SHA_WORDS;
  for (let k = 0; k < SHA_WORDS; k++) if (a[p + k] !== b[q + k]) return false;
  return true;
}

function isStored(sha: Int32Array, i: number): boolean {
  for (let k = i * SHA_WORDS; k < (i + 1) * SHA_WORDS; k++) if (sha[k] !== 0) return true;
  return false;
}

/** Pairs by prompt and replicate, in the order of the baseline's rows. */
export function pairRows(base: SampleColumns, comp: SampleColumns): PairedRows {
  const width = 1 + Math.max(highest(base.rep), highest(comp.rep));
  const slots = width * (1 + Math.max(highest(base.promptIdx), highest(comp.promptIdx)));
  // row of the compressed cell + 1 by (prompt, replicate); 0 = none
  const rowAt = new Int32Array(slots);
  for (let j = 0; j < comp.rep.length; j++) rowAt[comp.promptIdx[j]! * width + comp.rep[j]!] = j + 1;
  const out = {
    base: new Int32Array(base.rep.length),
    comp: new Int32Array(base.rep.length),
    missing: [] as number[],
    mismatch: [] as number[],
  };
  let n = 0;
  for (let i = 0; i < base.rep.length; i++) {
    const prompt = base.promptIdx[i]!;
    const slot = prompt * width + base.rep[i]!;
    const j = rowAt[slot]! - 1;
    rowAt[slot] = 0;
    if (j < 0 || base.finish[i] === ERROR || comp.finish[j] === ERROR) out.missing.push(prompt);
    else if (isMismatch(base.promptSha, i, comp.promptSha, j)) out.mismatch.push(prompt);
    else {
      out.base[n] = i;
      out.comp[n++] = j;
    }
  }
  // whatever the baseline lacks is still in its slot
  for (let j = 0; j < comp.rep.length; j++) {
    if (rowAt[comp.promptIdx[j]! * width + comp.rep[j]!] === j + 1) out.missing.push(comp.promptIdx[j]!);
  }
  return { ...out, base: out.base.subarray(0, n), comp: out.comp.subarray(0, n) };
}

const FINISH_NAMES: readonly Finish[] = ['stop', 'length', 'context', 'error'];

/** Two cells as rows: for what is computed cell by cell. Token ids are left out. @param keys prompts by index */
export function pairsOf(base: SampleColumns, comp: SampleColumns, keys: readonly string[]): Pair[] {
  const { base: left, comp: right } = pairRows(base, comp);
  return Array.from(left, (i, k) => ({
    promptKey: keys[base.promptIdx[i]!]!,
    replicate: base.rep[i]!,
    base: sideOf(base, i),
    comp: sideOf(comp, right[k]!),
  }));
}

function sideOf(cell: SampleColumns, i: number): SampleSide {
  const digest = (sha: Int32Array) => sha.subarray(i * SHA_WORDS, (i + 1) * SHA_WORDS).join();
  const ms = (us: number) => (Number.isNaN(us) ? null : us / 1000);
  return {
    newTokens: cell.newTokens[i]!,
    finish: FINISH_NAMES[cell.finish[i]!]!,
    stopId: cell.stopId[i]! < 0 ? null : cell.stopId[i]!,
    // pairs with other prompt tokens are out already
    promptSha: null,
    tokensSha: digest(cell.outSha),
    tokenIds: null,
    queueMs: null,
    prefillMs: ms(cell.prefillUs[i]!),
    decodeMs: ms(cell.decodeUs[i]!),
  };
}

/** Digests of prompts count only where both sides stored one. */
function isMismatch(a: Int32Array, i: number, b: Int32Array, j: number): boolean {
  return !sameDigest(a, i, b, j) && isStored(a, i) && isStored(b, j);
}

function highest(values: Int32Array): number {
  let most = 0;
  for (const value of values) if (value > most) most = value;
  return most;
}
