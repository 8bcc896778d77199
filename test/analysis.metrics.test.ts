/** Vectors of the design page, sections 3.1 to 3.7; difflib against Python (tools/goldens-difflib.py). */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { makeSegmenter } from '../analysis/metrics/chinese.ts';
import { likeness, usableLine } from '../analysis/metrics/code-sim.ts';
import { difflibRatio } from '../analysis/metrics/difflib.ts';
import { METRIC_NAMES, METRICS, metricUnavailable, type ScoreOptions, scoreAnswer } from '../analysis/metrics/index.ts';
import { firstLine, isWhite, roundHalfEven, splitWhite } from '../analysis/metrics/text.ts';

const one = (metric: string, prediction: string, references: string[], options?: ScoreOptions) => {
  const rows = scoreAnswer(prediction, references, metric, options);
  expect(rows).toHaveLength(1);
  return rows[0]!;
};
const score = (metric: string, prediction: string, reference: string, options?: ScoreOptions) =>
  one(metric, prediction, [reference], options).score;

describe('qa_f1', () => {
  test.each([
    ['The Eiffel Tower, in Paris.', 'Eiffel Tower', 0.6666666666666666],
    ['state-of-the-art', 'stateoftheart', 1],
    ['1,000 men', '1000 men', 1],
    ['A. B. Smith', 'AB Smith', 0.5],
    ['yes yes no', 'yes no no', 0.6666666666666666],
    ['the', 'a', 0],
    ['', '', 0],
  ])('of %j against %j', (prediction, reference, wanted) => {
    expect(score('qa_f1', prediction, reference)).toBe(wanted);
  });

  test.each([
    // An article beside what is neither letter, number nor underscore is a whole word.
    ['the\u2013cat', '\u2013cat', 1],
    ['the\u0301', '\u0301', 1],
    ['thé', 'thé', 1],
    ['été the été', 'été été', 1],
    ['漢the', 'the', 0],
    ['x\u001cy\u0085z', 'x y z', 1],
    ['x\ufeffy', 'x y', 0],
    ['an\u0001x', '\u0001x', 1],
    ['_the_', '', 0],
    ['ÀÉ', 'àé', 1],
  ])('classes of characters are those of Unicode: %j, %j', (prediction, reference, wanted) => {
    expect(score('qa_f1', prediction, reference)).toBe(wanted);
  });

  test('ASCII text scores the same on the fast and on the slow path', () => {
    const random = lcg(7);
    const alphabet = 'aatthhee nn\t.,_-xY0';
    for (let i = 0; i < 2000; i++) {
      const text = randomText(random, alphabet, 1 + Math.floor(random() * 24));
      const reference = randomText(random, alphabet, 1 + Math.floor(random() * 24));
      // A word of another script, and none of the reference's, sends a text down the slow path.
      const [fast, slow] = [score('qa_f1', `${text} q`, reference), score('qa_f1', `${text} é`, reference)];
      expect([text, slow]).toEqual([text, fast]);
    }
  });
});

describe('rouge_l', () => {
  test.each([
    ['the cat sat on the mat', 'the cat lay on the mat', 0.7999999950000002],
    ['the the the cat', 'the cat', 0.999999995],
    ['a b c d', 'd c b a', 0.24999999500000009],
    ['The cat. sat on a mat', 'The cat sat on a mat.', 0.999999995],
    ['Rain fell. The river rose fast.', 'The river rose. Rain fell hard.', 0.8333333283333335],
    ['one two. three', 'three two. one', 0.999999995],
    ['', 'a b', 0],
    ['...', 'a b', 0],
    [' ', 'a b', 0],
  ])('of %j against %j', (prediction, reference, wanted) => {
    expect(score('rouge_l', prediction, reference)).toBe(wanted);
  });

  test('a pair of pieces of more than 900 words is marked, and still scored', () => {
    const words = (n: number) => Array.from({ length: n }, (_, i) => `w${i}`).join(' ');
    expect(one('rouge_l', words(450), [words(450)])).toEqual({
      metric: 'rouge_l',
      variant: '',
      score: 0.999999995,
      refIndex: 0,
    });
    const marked = one('rouge_l', words(450), ['w1', words(451)]);
    expect(marked.extra).toEqual({ longPair: true });
    expect(marked.score).toBeCloseTo(2 / (1 + 451 / 450), 6);
    // Many words in many pieces are not a long pair.
    expect(one('rouge_l', words(600).replaceAll(' w', '. w'), [words(600)]).extra).toBeUndefined();
  });
});

describe('classification', () => {
  test.each([
    ['abc', 'abc', ['a', 'ab', 'abc'], 1 / 2],
    ['Individual or Description', 'Description', ['Individual', 'Description', 'Descr'], 1 / 2],
    ['Description', 'Description', ['Individual', 'Description'], 1],
    ['Individual', 'Description', ['Individual', 'Description'], 0],
    ['', 'a', ['a'], 0],
  ])('of %j, gold %j', (prediction, gold, classes, wanted) => {
    expect(score('classification', prediction, gold, { classes })).toBe(wanted);
  });

  test('without labels there is no score', () => {
    expect(scoreAnswer('a', ['a'], 'classification')).toEqual([]);
    expect(scoreAnswer('a', ['a'], 'classification', { classes: null })).toEqual([]);
  });
});

test.each([
  ['Paragraph 3 or 13', 0.5],
  ['3, 3, 7', 2 / 3],
  ['03', 0],
  ['none', 0],
  ['\u0663', 0],
  ['3\u0663', 0],
])('retrieval of %j, gold Paragraph 3', (prediction, wanted) => {
  expect(score('retrieval', prediction, 'Paragraph 3')).toBe(wanted);
});

test('retrieval in Chinese and count read their references differently', () => {
  expect(score('retrieval', '段落3', '段落3', { variant: 'zh' })).toBe(1);
  expect(score('retrieval', '3', '段落3')).toBe(0);
  expect(score('count', 'There are 12, not 7', '12')).toBe(0.5);
});

describe('code_sim', () => {
  test.each([
    ['return x+1', 'return x + 1', 91, 91],
    ['    return self.a', 'return self.b', 80, 80],
    ['abcd', 'bcde', 75, 75],
    ['abcabba', 'cbabac', 46, 62],
    ['a'.repeat(150) + 'b'.repeat(60), 'b'.repeat(60) + 'a'.repeat(150), 0, 71],
    [`${'ab'.repeat(100)}c`, `${'ab'.repeat(100)}d`, 100, 100],
    ['x = foo(a, b)', 'x = bar(b, a)', 62, 62],
    ['', '', 100, 100],
    ['', 'x', 0, 0],
  ])('of %j against %j', (a, b, difflib, indel) => {
    expect([likeness(a, b, 'difflib'), likeness(a, b, 'indel')]).toEqual([difflib, indel]);
  });

  test.each([
    ['\n\n```python\n# c\n    x = 1\ny = 2', '    x = 1'],
    ["url = 'http://x'\nz", 'z'],
    ['// a\n# b', ''],
  ])('the first usable line of %j', (answer, line) => {
    expect(usableLine(answer)).toBe(line);
  });

  test('difflib finds as much as Python does, on 300 strings around 200 characters', () => {
    const file = new URL('./fixtures/difflib.json', import.meta.url);
    const rows = JSON.parse(readFileSync(file, 'utf8')) as [string, string, number][];
    expect(rows.length).toBe(300);
    expect(rows.filter(([, b]) => [...b].length >= 200).length).toBeGreaterThan(100);
    const ours = rows.map(([a, b]) => Math.round((difflibRatio(a, b) * ([...a].length + [...b].length)) / 2));
    expect(ours).toEqual(rows.map(([, , matched]) => matched));
  });

  test('the variant stands in the row, difflib if none is named', () => {
    expect(one('code_sim', 'abcabba', ['cbabac'])).toEqual({
      metric: 'code_sim',
      variant: 'difflib',
      score: 0.46,
      refIndex: 0,
    });
    expect(one('code_sim', 'abcabba', ['cbabac'], { variant: 'indel' })).toMatchObject({
      variant: 'indel',
      score: 0.62,
    });
  });
});

test.each([
  ['string_all', 'The code is 123.', ['123'], 1, null],
  ['string_all', '123 and 456', ['123', '789', '456', '000'], 0.5, null],
  ['string_all', 'AB\u0001cd', ['b\nC'], 1, null],
  ['string_part', 'it was x1', ['y2', 'X1'], 1, 1],
  ['contains', 'The Key: ABC', ['abc'], 1, 0],
  ['contains', 'anything', [''], 0, 0],
  ['exact', ' Yes\u3000', ['yes', 'Yes'], 1, 1],
  ['exact', '\ufeffYes', ['Yes'], 0, 0],
  ['exact_norm', 'The answer: Paris!', ['answer paris'], 1, 0],
  ['exact_norm', 'the', ['a'], 0, 0],
  ['passkey_partial', 'the key is 12349', ['1234567'], 4 / 7, 0],
  ['passkey_partial', '', ['12'], 0, 0],
  ['passkey_partial', 'x\u{1f600}y', ['\u{1f600}\u{1f601}'], 0.5, 0],
  ['number_final', 'so 3 apples and 1,234.50', ['1 #### 1234.5'], 1, 0],
  ['number_final', 'the answer #### $12.', ['12'], 1, 0],
  ['number_final', '#### 1\n#### 12 000', ['#### 12,000'], 1, 0],
  ['number_final', 'none at all', ['0'], 0, 0],
  ['number_final', '-0.0', ['0'], 1, 0],
  ['number_final', '-5', ['5'], 0, 0],
  ['number_final', '0.1', ['0.10000000000000000001'], 0, 0],
])('%s of %j against %j', (metric, prediction, references, wanted, refIndex) => {
  expect(one(metric, prediction, references)).toEqual({ metric, variant: '', score: wanted, refIndex });
});

test.each([
  ['so \\boxed{\\frac{1}{2}} it is', '\\frac{1}{ 2}', 1, 1],
  ['\\boxed{1} then \\boxed{2}', '2', 1, 1],
  ['\\boxed{3} then \\boxed{4', '3', 1, 1],
  ['2', '2', 0, 0],
  ['\\boxed{ a b }', 'thus \\boxed{ab}', 1, 1],
])('boxed of %j against %j, and whether there was an answer', (prediction, reference, right, answered) => {
  expect(scoreAnswer(prediction, [reference], 'boxed')).toEqual([
    { metric: 'boxed', variant: '', score: right, refIndex: 0 },
    { metric: 'boxed_answered', variant: '', score: answered, refIndex: null },
  ]);
});

test('a pass key gives both its metrics', () => {
  expect(scoreAnswer('it is 1234500', ['1234567'], 'passkey')).toEqual([
    { metric: 'contains', variant: '', score: 0, refIndex: 0 },
    { metric: 'passkey_partial', variant: '', score: 5 / 7, refIndex: 0 },
  ]);
});

test('the first of the best references wins', () => {
  expect(one('qa_f1', 'red fox', ['dog', 'fox red', 'red fox'])).toMatchObject({ score: 1, refIndex: 1 });
  expect(one('qa_f1', 'x', ['a', 'b'])).toMatchObject({ score: 0, refIndex: 0 });
});

test('variant first_line scores the first line, leading line breaks aside', () => {
  expect(firstLine('\n\nParis\nQuestion: next')).toBe('Paris');
  expect(firstLine(' \nParis')).toBe(' ');
  const cut = { variant: 'first_line' };
  expect(one('qa_f1', '\nParis\nRome', ['Paris'], cut)).toMatchObject({ score: 1, variant: 'first_line' });
  expect(score('qa_f1', '\nParis\nRome', 'Paris')).toBeCloseTo(2 / 3, 12);
  expect(score('classification', 'a\nb', 'a', { ...cut, classes: ['a', 'b'] })).toBe(1);
  expect(score('rouge_l', 'a b\nc d e f', 'a b', cut)).toBe(0.999999995);
});

test('no references, an unknown metric and an unknown variant give no row', () => {
  expect(scoreAnswer('x', [], 'contains')).toEqual([]);
  expect(scoreAnswer('x', ['x'], 'bleu')).toEqual([]);
  expect(scoreAnswer('x', ['x'], 'count', { variant: 'zh' })).toEqual([]);
});

describe('Chinese', () => {
  test('words are those of jieba, without signs', () => {
    expect(metricUnavailable('qa_f1_zh')).toBeNull();
    // jieba: 我 来到 北京 清华大学 | 清华大学 在 北京
    expect(score('qa_f1_zh', '我来到北京清华大学。', '《清华大学》,在北京')).toBeCloseTo(
      (2 * (2 / 4) * (2 / 4)) / (2 / 4 + 2 / 4),
      12,
    );
    expect(score('rouge_l_zh', '我来到北京清华大学', '我来到北京')).toBeCloseTo((2 * 0.75) / 1.75, 6);
  });

  test('a dictionary that does not load makes the metrics unavailable, in a sentence', () => {
    const broken = makeSegmenter(() => {
      throw new Error("Cannot find module '@node-rs/jieba'\nRequire stack:");
    });
    expect(broken.cut).toBeNull();
    expect(broken.unavailable).toBe(
      "Chinese text cannot be cut into words: the package @node-rs/jieba does not load (Cannot find module '@node-rs/jieba'); `npm ci` installs it where there is a build of it for the platform",
    );
  });
});

test('white space is what the design page lists', () => {
  const listed = new Set([0x85, 0xa0, 0x1680, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000]);
  for (const [from, to] of [
    [0x9, 0xd],
    [0x1c, 0x20],
    [0x2000, 0x200a],
  ] as const) {
    for (let c = from; c <= to; c++) listed.add(c);
  }
  const units = Array.from({ length: 0x10000 }, (_, c) => c);
  expect(new Set(units.filter(isWhite))).toEqual(listed);
  const separators = units.filter((c) => splitWhite(`a${String.fromCharCode(c)}b`).length === 2);
  expect(new Set(separators)).toEqual(listed);
});

test('percents are rounded half to even', () => {
  expect([0.5, 1.5, 2.5, 62.5, 63.5, 2.4999, 2.5001].map(roundHalfEven)).toEqual([0, 2, 2, 62, 64, 2, 3]);
});

test('every metric has one way to be computed and says what it is', () => {
  expect(new Set(METRIC_NAMES).size).toBe(METRICS.length);
  for (const row of METRICS) {
    expect(row.about).not.toBe('');
    if (row.gives) expect(METRIC_NAMES).toEqual(expect.arrayContaining([...row.gives]));
    else expect([row.rate, row.rateAll].filter(Boolean)).toHaveLength(1);
  }
});

/** A small generator of numbers in [0, 1) for tests. */
function lcg(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

function randomText(random: () => number, alphabet: string, length: number): string {
  return Array.from({ length }, () => alphabet[Math.floor(random() * alphabet.length)]).join('');
}
