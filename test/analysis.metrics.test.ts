import { expect, test } from 'vitest';
import { SCORED_METRICS, scoreAnswer } from '../analysis/metrics.ts';
import { METRICS } from '../datasets/jsonl.ts';

test.each([
  ['string_all', 'The code is 123.', ['123'], 1, null],
  ['string_all', '123 and 456', ['123', '789', '456', '000'], 0.5, null],
  ['string_all', 'AB\u0001cd', ['b\nC'], 1, null],
  ['string_part', 'it was x1', ['y2', 'X1'], 1, 1],
  ['contains', 'The Key: ABC', ['abc'], 1, 0],
  ['contains', 'anything', [''], 0, 0],
  ['exact', ' Yes\u3000', ['yes', 'Yes'], 1, 1],
  ['exact', '\ufeffYes', ['Yes'], 0, 0],
  ['passkey_partial', 'the key is 12349', ['1234567'], 4 / 7, 0],
  ['passkey_partial', '', ['12'], 0, 0],
  ['number_final', 'so 3 apples and 1,234.50', ['1 #### 1234.5'], 1, 0],
  ['number_final', 'the answer #### $12.', ['12'], 1, 0],
  ['number_final', 'none at all', ['0'], 0, 0],
  ['number_final', '-0.0', ['0'], 1, 0],
  ['number_final', '0.1', ['0.10000000000000000001'], 0, 0],
])('%s of %j against %j', (metric, prediction, references, score, refIndex) => {
  expect(scoreAnswer(prediction, references, metric)).toEqual({ score, refIndex });
});

test('no references, or a metric that is not computed, give no score', () => {
  expect(scoreAnswer('x', [], 'contains')).toBeNull();
  expect(scoreAnswer('x', ['x'], 'rouge_l')).toBeNull();
});

test('every computed metric is one that a data set may name', () => {
  expect(METRICS).toEqual(expect.arrayContaining([...SCORED_METRICS]));
});
