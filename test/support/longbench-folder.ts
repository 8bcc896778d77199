/** A tiny LongBench: every set with a few records of made-up text. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { LONGBENCH_SETS } from '../../datasets/longbench-sets.ts';

export function record(set: string, i: number): Record<string, unknown> {
  const answers: Record<string, string[]> = {
    passage_retrieval_en: ['Paragraph 3'],
    passage_retrieval_zh: ['段落3'],
    passage_count: ['3'],
  };
  return {
    input: `what is ${i}?`,
    context: `text ${i} with {input} in it`,
    answers: answers[set] ?? [`answer ${i}`, 'another'],
    length: 3000 * i,
    dataset: set,
    language: set.endsWith('_zh') ? 'zh' : 'en',
    all_classes: set === 'trec' || set === 'lsht' ? ['answer 0', 'answer 1', 'other'] : null,
    _id: `id${i}`,
  };
}

/** Writes `<set>.jsonl` for every set. */
export function writeLongBench(folder: string, records = 3): void {
  mkdirSync(folder, { recursive: true });
  for (const { name } of LONGBENCH_SETS) {
    const lines = Array.from({ length: records }, (_, i) => JSON.stringify(record(name, i)));
    writeFileSync(join(folder, `${name}.jsonl`), `${lines.join('\n')}\n`);
  }
}
