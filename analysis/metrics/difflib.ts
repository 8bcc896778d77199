/**
 * The ratio of Ratcliff and Obershelp as Python's `difflib.SequenceMatcher` computes it, with its rule for frequent
 * characters (`autojunk`): in a second text of 200 or more, what occurs in more than one percent of it begins no block.
 */
import { codePoints } from './text.ts';

const NOWHERE: Int32Array = new Int32Array(0);

/** 2 * matched / (|a| + |b|); 1 if both are empty. */
export function difflibRatio(textA: string, textB: string): number {
  const a = codePoints(textA);
  const b = codePoints(textB);
  const all = a.length + b.length;
  return all === 0 ? 1 : (2 * matched(a, b)) / all;
}

function matched(a: Int32Array, b: Int32Array): number {
  const places = placesOf(b);
  // Length of the common block that ends at a[i-1] and b[j-1], by j; rows are cleared where they were written.
  let before = new Int32Array(b.length + 1);
  let now = new Int32Array(b.length + 1);

  /** Longest common block of a[alo, ahi) and b[blo, bhi); first in a, then in b. */
  const longest = (alo: number, ahi: number, blo: number, bhi: number): [number, number, number] => {
    let besti = alo;
    let bestj = blo;
    let best = 0;
    let touched = NOWHERE;
    for (let i = alo; i < ahi; i++) {
      const at = places.get(a[i]!) ?? NOWHERE;
      for (const j of at) {
        if (j < blo) continue;
        if (j >= bhi) break;
        const k = before[j]! + 1;
        now[j + 1] = k;
        if (k > best) {
          besti = i - k + 1;
          bestj = j - k + 1;
          best = k;
        }
      }
      for (const j of touched) before[j + 1] = 0;
      touched = at;
      [before, now] = [now, before];
    }
    for (const j of touched) before[j + 1] = 0;
    while (besti > alo && bestj > blo && a[besti - 1] === b[bestj - 1]) {
      besti--;
      bestj--;
      best++;
    }
    while (besti + best < ahi && bestj + best < bhi && a[besti + best] === b[bestj + best]) best++;
    return [besti, bestj, best];
  };

  let sum = 0;
  const open: [number, number, number, number][] = [[0, a.length, 0, b.length]];
  for (let region = open.pop(); region; region = open.pop()) {
    const [alo, ahi, blo, bhi] = region;
    const [i, j, k] = longest(alo, ahi, blo, bhi);
    if (k === 0) continue;
    sum += k;
    if (alo < i && blo < j) open.push([alo, i, blo, j]);
    if (i + k < ahi && j + k < bhi) open.push([i + k, ahi, j + k, bhi]);
  }
  return sum;
}

/** Where each character lies in b, ascending; frequent ones of a long b are left out. */
function placesOf(b: Int32Array): Map<number, Int32Array> {
  const lists = new Map<number, number[]>();
  b.forEach((point, j) => {
    const list = lists.get(point);
    if (list) list.push(j);
    else lists.set(point, [j]);
  });
  const most = b.length >= 200 ? Math.floor(b.length / 100) + 1 : Number.POSITIVE_INFINITY;
  const out = new Map<number, Int32Array>();
  for (const [point, list] of lists) if (list.length <= most) out.set(point, Int32Array.from(list));
  return out;
}
