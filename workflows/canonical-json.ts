import type { Json } from './contracts.ts';

/**
 * The one text of a JSON value: keys sorted by UTF-16 unit, no whitespace, shortest round-trip numbers, -0 as 0.
 * Cell keys are hashes of this text, so a change here makes every stored cell unknown.
 *
 * @throws TypeError for what JSON cannot hold (NaN, Infinity, undefined, functions): silently dropping such a
 *   field would give two different cells the same key.
 */
export function canonicalJson(value: Json, path = '$'): string {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new TypeError(`${path} is ${value}, which JSON cannot hold`);
    return JSON.stringify(Object.is(value, -0) ? 0 : value);
  }
  if (Array.isArray(value)) return `[${value.map((item, i) => canonicalJson(item, `${path}[${i}]`)).join(',')}]`;
  if (typeof value === 'object' && Object.getPrototypeOf(value) === Object.prototype) {
    const fields = Object.keys(value)
      .sort()
      .map((key) => `${JSON.stringify(key)}:${canonicalJson(value[key] as Json, `${path}.${key}`)}`);
    return `{${fields.join(',')}}`;
  }
  throw new TypeError(`${path} is ${typeof value}, which JSON cannot hold`);
}
