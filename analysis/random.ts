/**
 * The one source of chance in kvsweep: SplitMix64, seeded by the sha256 of a key that names its use. The same key
 * gives the same draws on every machine, so that an interval or a prompt order can be recomputed from its row.
 *
 * The 64-bit state is kept in two 32-bit halves: BigInt would make a bootstrap of 10,000 resamples ten times slower.
 */
import { createHash } from 'node:crypto';

/** High 32 bits of the product of two unsigned 32-bit integers; every intermediate stays below 2^32. */
function mulHigh(a: number, b: number): number {
  const a0 = a & 0xffff;
  const a1 = a >>> 16;
  const b0 = b & 0xffff;
  const b1 = b >>> 16;
  const mid = a1 * b0 + ((a0 * b0) >>> 16);
  const low = a0 * b1 + (mid & 0xffff);
  return (a1 * b1 + (mid >>> 16) + (low >>> 16)) >>> 0;
}

export class SplitMix64 {
  #hi: number;
  #lo: number;
  /** Halves of the last output, fields rather than a returned pair: a pair per draw would cost more than the draw. */
  #outHi = 0;
  #outLo = 0;

  /** @param state 64 bits; further bits are dropped */
  constructor(state: bigint) {
    this.#hi = Number((state >> 32n) & 0xffffffffn);
    this.#lo = Number(state & 0xffffffffn);
  }

  /** The generator whose state is the first 8 bytes, little-endian, of sha256(UTF-8 key). */
  static fromKey(key: string): SplitMix64 {
    return new SplitMix64(createHash('sha256').update(key, 'utf8').digest().readBigUInt64LE(0));
  }

  get state(): bigint {
    return (BigInt(this.#hi) << 32n) | BigInt(this.#lo);
  }

  #step(): void {
    const sum = this.#lo + 0x7f4a7c15;
    const lo = sum >>> 0;
    const hi = (this.#hi + 0x9e3779b9 + (sum > 0xffffffff ? 1 : 0)) >>> 0;
    this.#lo = lo;
    this.#hi = hi;
    // z ^ z >> 30, times 0xBF58476D1CE4E5B9
    let l = (lo ^ ((lo >>> 30) | (hi << 2))) >>> 0;
    let h = hi ^ (hi >>> 30);
    h = (mulHigh(l, 0x1ce4e5b9) + Math.imul(l, 0xbf58476d) + Math.imul(h, 0x1ce4e5b9)) | 0;
    l = Math.imul(l, 0x1ce4e5b9);
    // z ^ z >> 27, times 0x94D049BB133111EB
    l = (l ^ ((l >>> 27) | (h << 5))) >>> 0;
    h ^= h >>> 27;
    h = (mulHigh(l, 0x133111eb) + Math.imul(l, 0x94d049bb) + Math.imul(h, 0x133111eb)) | 0;
    l = Math.imul(l, 0x133111eb);
    this.#outHi = (h ^ (h >>> 31)) >>> 0;
    this.#outLo = (l ^ ((l >>> 31) | (h << 1))) >>> 0;
  }

  /** The next 64 bits. */
  next(): bigint {
    this.#step();
    return (BigInt(this.#outHi) << 32n) | BigInt(this.#outLo);
  }

  /** The top bit of the next 64. */
  coin(): boolean {
    this.#step();
    return this.#outHi >= 0x80000000;
  }

  /** Uniform in 0..n-1 for an integer 0 < n < 2^32: ((next() >> 32) * n) >> 32. */
  below(n: number): number {
    this.#step();
    return mulHigh(this.#outHi, n);
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
