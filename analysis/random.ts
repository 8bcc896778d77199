/**
 * The one source of chance in kvsweep: SplitMix64, seeded by the sha256 of a key that names its use. The same key
 * gives the same draws on every machine, so that an interval or a prompt order can be recomputed from its row.
 *
 * The 64-bit state is kept in two 32-bit halves: BigInt would make a bootstrap of 10,000 resamples ten times slower.
 */
import { createHash } from 'node:crypto';

/** High 32 bits of the product of two unsigned 32-bit integers. */
function mulHigh(a: number, b: number): number {
  const a0 = a & 0xffff;
  const a1 = a >>> 16;
  const b0 = b & 0xffff;
  const b1 = b >>> 16;
  const mid = a1 * b0 + ((a0 * b0) >>> 16); // < 2^33: exact in a double
  const low = a0 * b1 + (mid % 0x10000);
  return (a1 * b1 + Math.floor(mid / 0x10000) + Math.floor(low / 0x10000)) >>> 0;
}

export class SplitMix64 {
  #hi: number;
  #lo: number;

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

  /** One step; the result's halves as unsigned integers. */
  #step(): [hi: number, lo: number] {
    const sum = this.#lo + 0x7f4a7c15;
    this.#hi = (this.#hi + 0x9e3779b9 + (sum > 0xffffffff ? 1 : 0)) >>> 0;
    this.#lo = sum >>> 0;
    let hi = this.#hi;
    let lo = this.#lo;
    [hi, lo] = [hi ^ (hi >>> 30), lo ^ ((lo >>> 30) | (hi << 2))];
    [hi, lo] = multiply(hi, lo, 0xbf58476d, 0x1ce4e5b9);
    [hi, lo] = [hi ^ (hi >>> 27), lo ^ ((lo >>> 27) | (hi << 5))];
    [hi, lo] = multiply(hi, lo, 0x94d049bb, 0x133111eb);
    return [(hi ^ (hi >>> 31)) >>> 0, (lo ^ ((lo >>> 31) | (hi << 1))) >>> 0];
  }

  /** The next 64 bits. */
  next(): bigint {
    const [hi, lo] = this.#step();
    return (BigInt(hi) << 32n) | BigInt(lo);
  }

  /** The top bit of the next 64. */
  coin(): boolean {
    return this.#step()[0] >= 0x80000000;
  }

  /** Uniform in 0..n-1 for an integer 0 < n < 2^32: ((next() >> 32) * n) >> 32. */
  below(n: number): number {
    return mulHigh(this.#step()[0], n);
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

/** Low 64 bits of (hi, lo) * (bHi, bLo), as unsigned halves. */
function multiply(hi: number, lo: number, bHi: number, bLo: number): [number, number] {
  const low = lo >>> 0;
  return [(mulHigh(low, bLo) + Math.imul(low, bHi) + Math.imul(hi, bLo)) >>> 0, Math.imul(low, bLo) >>> 0];
}
