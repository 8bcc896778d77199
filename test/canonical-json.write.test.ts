import { expect, test } from 'vitest';
import { canonicalJson } from '../workflows/canonical-json.ts';
import type { Json } from '../workflows/contracts.ts';

test('keys are sorted at every depth and no white space is written', () => {
  expect(canonicalJson({ b: 1, a: [{ d: null, c: true }], ä: 'ü\n' })).toBe(
    '{"a":[{"c":true,"d":null}],"b":1,"ä":"ü\\n"}',
  );
});

test('keys are sorted by UTF-16 unit, not by locale', () => {
  expect(canonicalJson({ a: 1, B: 2, _: 3, '10': 4, '9': 5 })).toBe('{"10":4,"9":5,"B":2,"_":3,"a":1}');
});

test('numbers are the shortest that round-trip, and -0 is 0', () => {
  expect(canonicalJson([0.1, 1e21, 1.0, -0, 5e-324, 0.8999999999999999])).toBe(
    '[0.1,1e+21,1,0,5e-324,0.8999999999999999]',
  );
});

test('the order in which an object was built does not show', () => {
  expect(canonicalJson({ x: 1, y: { p: 1, q: 2 } })).toBe(canonicalJson({ y: { q: 2, p: 1 }, x: 1 }));
});

test.each([
  ['NaN', { a: [Number.NaN] }, '$.a[0]'],
  ['Infinity', { a: Number.POSITIVE_INFINITY }, '$.a'],
  ['undefined', { a: undefined }, '$.a'],
  ['a date', { a: new Date(0) }, '$.a'],
])('%s is an error that names the place', (_name, value, place) => {
  expect(() => canonicalJson(value as unknown as Json)).toThrow(place);
});
