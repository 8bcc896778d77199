import { expect, test } from 'vitest';
import { pairRows, pairsOf, type SampleColumns } from '../analysis/columns.ts';
import { pairTimes } from '../analysis/latency.ts';
import { lengthShifts, type Pair, type SampleSide } from '../analysis/length-shift.ts';
import { summariseLengths } from '../analysis/length-summary.ts';
import { noiseD95 } from '../analysis/noise-floor.ts';
import {
  exactSummary,
  type MergeableSummary,
  merge,
  ownLengths,
  summarise,
  tallyColumns,
} from '../analysis/summaries.ts';
import { PAIRS } from './fixtures/length-pairs.ts';

const FINISHES = ['stop', 'length', 'context', 'error'];
/** Digests as eight words: the same word eight times. */
const shas = (words: number[]) => Int32Array.from(words.flatMap((word) => Array(8).fill(word)));

/** Columns of one side; `order` says in which order its rows lie. */
function columnsOf(sides: (SampleSide | null)[], order: number[], prompt: (i: number) => number): SampleColumns {
  const rows = order.filter((i) => sides[i] !== null);
  const at = (pick: (side: SampleSide, i: number) => number) => rows.map((i) => pick(sides[i]!, i));
  const us = (ms: number | null) => (ms === null ? Number.NaN : ms * 1000);
  return {
    promptIdx: Int32Array.from(rows),
    rep: new Int32Array(rows.length),
    finish: Int32Array.from(at((side) => FINISHES.indexOf(side.finish))),
    newTokens: Int32Array.from(at((side) => side.newTokens)),
    stopId: Int32Array.from(at((side) => side.stopId ?? -1)),
    prefillUs: Float64Array.from(at((side) => us(side.prefillMs))),
    decodeUs: Float64Array.from(at((side) => us(side.decodeMs))),
    promptSha: shas(at((_, i) => prompt(i))),
    outSha: shas(at((side) => side.tokensSha.charCodeAt(0) + 256 * side.newTokens)),
  };
}

/** The table of the design, timed; then a failed answer, one without a partner, other prompt tokens, one without times. */
const side = (over: Partial<SampleSide>): SampleSide => ({ ...PAIRS[0]!.base!, prefillMs: 10, decodeMs: 100, ...over });
const PAIRED: Pair[] = [
  ...PAIRS.map((pair, i) => ({
    ...pair,
    base: { ...pair.base!, prefillMs: 10 + i, decodeMs: 100 + i },
    comp: { ...pair.comp!, prefillMs: 12 + i, decodeMs: 90 + 3 * i },
  })),
  { promptKey: 'x/1', replicate: 0, base: side({}), comp: side({ finish: 'error' }) },
  { promptKey: 'x/2', replicate: 0, base: side({}), comp: null },
  { promptKey: 'x/3', replicate: 0, base: null, comp: side({}) },
  { promptKey: 'x/4', replicate: 0, base: side({ promptSha: 'a' }), comp: side({ promptSha: 'b' }) },
  { promptKey: 'x/5', replicate: 0, base: side({ decodeMs: null }), comp: side({ newTokens: 90 }) },
].map((pair) => ({
  ...pair,
  base: pair.base && { ...pair.base, tokensSha: `o${pair.base.newTokens}` },
  comp: pair.comp && { ...pair.comp, tokensSha: `o${pair.comp.newTokens}` },
}));
const indices = PAIRED.map((_, i) => i);
const MISMATCH = PAIRED.findIndex((pair) => pair.promptKey === 'x/4');
const base = columnsOf(
  PAIRED.map((pair) => pair.base),
  indices,
  () => 7,
);
const comp = columnsOf(
  PAIRED.map((pair) => pair.comp),
  // as Postgres gives rows: in any order
  [...indices].reverse(),
  (i) => (i === MISMATCH ? 8 : 7),
);
const near = (a: MergeableSummary, b: MergeableSummary) => {
  expect(a.sumLogRatio).toBeCloseTo(b.sumLogRatio, 12);
  expect(a.sumD).toBeCloseTo(b.sumD, 12);
  for (const name of ['prefillBaseMs', 'prefillCompMs', 'decodeBaseMs', 'decodeCompMs'] as const)
    expect(a[name]).toBeCloseTo(b[name], 9);
  const counts = ({
    sumLogRatio,
    sumD,
    prefillBaseMs,
    prefillCompMs,
    decodeBaseMs,
    decodeCompMs,
    ...rest
  }: MergeableSummary) => rest;
  expect(counts(a)).toEqual(counts(b));
};

test('a summary of columns is that of the same pairs as rows, and of the table of the design', () => {
  const [tally] = tallyColumns(base, comp, pairRows(base, comp), () => 0, 1, true);
  const rows = lengthShifts(PAIRED);
  near(tally!.summary(), summarise(rows, pairTimes(PAIRED)));
  expect(tally!.summary()).toMatchObject({ n: 10, nUndefined: 1, nMissing: 3, nMismatch: 1, longer50: 4, nTimed: 10 });
  const exact = exactSummary([tally!]);
  expect(exact.quantiles).toEqual(summariseLengths(rows.rows).quantiles);
  expect(exact.absD95).toBe(noiseD95(rows.rows));
});

test('groups of prompts add up to the whole', () => {
  const pairs = pairRows(base, comp);
  const [whole] = tallyColumns(base, comp, pairs, () => 0, 1, true);
  const groups = tallyColumns(base, comp, pairs, (promptIdx) => promptIdx % 3, 3, true);
  near(groups.map((tally) => tally.summary()).reduce(merge), whole!.summary());
  expect(exactSummary(groups)).toEqual(exactSummary([whole!]));
  const parts = ownLengths(comp, (promptIdx) => promptIdx % 3, 3);
  const sum = (pick: (part: (typeof parts)[number]) => number) =>
    parts.slice(0, 3).reduce((total, part) => total + pick(part), 0);
  expect([sum((p) => p.n), sum((p) => p.nCut), sum((p) => p.sumTokens)]).toEqual([
    parts[3]!.n,
    parts[3]!.nCut,
    parts[3]!.sumTokens,
  ]);
});

test('times of cells that may not be compared are not counted', () => {
  const [tally] = tallyColumns(base, comp, pairRows(base, comp), () => 0, 1, false);
  expect(tally!.summary()).toMatchObject({ n: 10, nTimed: 0, decodeBaseMs: 0, serviceBuckets: {} });
});

test('replicates pair with their own number only', () => {
  const twice = (reps: number[]): SampleColumns => ({
    ...columnsOf([side({}), side({})], [0, 1], () => 7),
    promptIdx: Int32Array.from([0, 0]),
    rep: Int32Array.from(reps),
  });
  const pairs = pairRows(twice([0, 1]), twice([1, 2]));
  expect([[...pairs.base], [...pairs.comp], pairs.missing]).toEqual([[1], [0], [0, 0]]);
});

test('pairs of columns are rows again, with the keys of their prompts', () => {
  const keys = PAIRED.map((pair) => pair.promptKey);
  const rows = lengthShifts(pairsOf(base, comp, keys)).rows;
  const expected = lengthShifts(PAIRED).rows;
  expect(rows.map(({ firstDiff, stopMissed, stopEarly, ...row }) => row)).toEqual(
    expected.map(({ firstDiff, stopMissed, stopEarly, replicate, ...row }) => ({ replicate: 0, ...row })),
  );
});
