/**
 * Scores pairs from the standard input, one JSON array `[metric, variant, prediction, reference]` a line; writes one
 * number a line. `tools/compare-metrics.py` holds the Python packages of record beside it.
 */
import { createInterface } from 'node:readline';
import { scoreAnswer } from '../analysis/metrics/index.ts';

for await (const line of createInterface({ input: process.stdin, crlfDelay: Number.POSITIVE_INFINITY })) {
  const [metric, variant, prediction, reference] = JSON.parse(line) as [string, string, string, string];
  const [row] = scoreAnswer(prediction, [reference], metric, { variant });
  process.stdout.write(`${row ? row.score : 'null'}\n`);
}
