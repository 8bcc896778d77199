/**
 * The one source of chance in kvsweep: SplitMix64, seeded by the sha256 of a key that names its use. The same key
 * gives the same draws on every machine, so that an interval or a prompt order can be recomputed from its row.
 *
 * The 64-bit state is kept in two 32-bit halves: BigInt would make a bootstrap of 10,000 resamples ten times slower.
 */
import { createHash } from 'node:crypto';

/** High 32 bits of the product of two unsigned 32-bit integers, all in 32-bit operations; the sign bit is a bit. */
function mulHigh(a: number, b: number): number {
  const a0 = a & 0xffff;
  const a1 = a >>> 16;
  const b0 = b & 0xffff;
  const b1 = b >>> 16;
  const mid = (Math.imul(a1, b0) + (Math.imul(a0, b0) >>> 16)) | 0;
  const low = (Math.imul(a0, b1) + (mid & 0xffff)) | 0;
  return (Math.imul(a1, b1) + (mid >>> 16) + (low >>> 16)) | 0;
}

const ONE = new Int32Array(1);

export class SplitMix64 {
  #hi: number;
  #lo: number;
  /** Halves of the last output, fields rather than a returned pair: a pair per draw would cost more than the draw. */
  #outHi = 0;
  #outLo = 0;

  /** @param state 64 bits; further bits are dropped */
  constructor(state: bigint) {
    this.#hi = Number((state >> 32n) & 0xffffffffn) | 0;
    this.#lo = Number(state & 0xffffffffn) | 0;
  }

  /** The generator whose state is the first 8 bytes, little-endian, of sha256(UTF-8 key). */
  static fromKey(key: string): SplitMix64 {
    return new SplitMix64(createHash('sha256').update(key, 'utf8').digest().readBigUInt64LE(0));
  }

  get state(): bigint {
    return (BigInt(this.#hi >>> 0) << 32n) | BigInt(this.#lo >>> 0);
  }

  #step(): void {
    this.#outHi = this.#fill(ONE, 1);
  }

  /** Writes the high halves of the next `n` outputs, bits as int32; returns the last one. In locals: it is the hot loop. */
  #fill(out: Int32Array, n: number): number {
    let stateHi = this.#hi;
    let stateLo = this.#lo;
    let l = 0;
    let h = 0;
    for (let i = 0; i < n; i++) {
      stateLo = (stateLo + 0x7f4a7c15) | 0;
      // a carry left the low half if it is now less than what was added
      stateHi = (stateHi + 0x9e3779b9 + (stateLo >>> 0 < 0x7f4a7c15 ? 1 : 0)) | 0;
      // z ^ z >> 30, times 0xBF58476D1CE4E5B9
      l = stateLo ^ ((stateLo >>> 30) | (stateHi << 2));
      h = stateHi ^ (stateHi >>> 30);
      h = (mulHigh(l, 0x1ce4e5b9) + Math.imul(l, 0xbf58476d) + Math.imul(h, 0x1ce4e5b9)) | 0;
      l = Math.imul(l, 0x1ce4e5b9);
      // z ^ z >> 27, times 0x94D049BB133111EB
      l ^= (l >>> 27) | (h << 5);
      h ^= h >>> 27;
      h = (mulHigh(l, 0x133111eb) + Math.imul(l, 0x94d049bb) + Math.imul(h, 0x133111eb)) | 0;
      l = Math.imul(l, 0x133111eb);
      out[i] = h ^ (h >>> 31);
    }
    this.#hi = stateHi;
    this.#lo = stateLo;
    this.#outLo = l ^ ((l >>> 31) | (h << 1));
    return out[n - 1]!;
  }

  /** The next 64 bits. */
  next(): bigint {
    this.#step();
    return (BigInt(this.#outHi >>> 0) << 32n) | BigInt(this.#outLo >>> 0);
  }

  /** The top bit of the next 64. */
  coin(): boolean {
    this.#step();
    return this.#outHi < 0;
  }

  /** Uniform in 0..n-1 for an integer 0 < n < 2^32: ((next() >> 32) * n) >> 32. */
  below(n: number): number {
    this.#step();
    return mulHigh(this.#outHi, n) >>> 0;
  }

  /** As many coins as `out` has room for; a negative number stands for true. */
  coins(out: Int32Array): void {
    if (out.length > 0) this.#fill(out, out.length);
  }

  /** `below(n)` as often as `out` has room for. */
  fillBelow(out: Int32Array, n: number): void {
    if (out.length === 0) return;
    this.#fill(out, out.length);
    if (n < 2 ** 21) {
      // the product has less than 53 bits and the rest is a power of two: exact, and faster than in halves
      for (let i = 0; i < out.length; i++) out[i] = (out[i]! >>> 0) * n * 2 ** -32;
    } else {
      for (let i = 0; i < out.length; i++) out[i] = mulHigh(out[i]!, n);
    }
  }

  /** Fisher-Yates from the end, in place. */
  shuffle<T>(items: T[]): T[] {
    for (let i = items.length - 1; i > 0; i--) {
      const j = this.below(i + 1);
      [items[i], items[j]] = [items[j]!, items[i]!];
    }
    return items;
  }
}
