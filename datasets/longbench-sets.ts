/**
 * The 21 sets of LongBench: how each is prompted and scored. `artifact` marks the 14 that the artifact of arXiv
 * 2503.24000 scores. Few-shot prompts and code take no chat template, as in published tables.
 */

export interface LongBenchSet {
  name: string;
  taskType: 'QA' | 'Summarisation' | 'Few-shot' | 'Synthetic' | 'Code';
  metric: string;
  variant?: string;
  /** Tokens that an answer may take. */
  maxNew: number;
  /** Whether the prompt is a user message of the chat template. */
  chat: boolean;
  /** An answer also ends at the token of this text, though not at its first token. */
  stop?: string;
  records: number;
  artifact: boolean;
}

type Row = Omit<LongBenchSet, 'name' | 'chat' | 'records' | 'artifact'> & Partial<LongBenchSet>;

const set = (name: string, row: Row): LongBenchSet => ({ name, chat: true, records: 200, artifact: false, ...row });
const FIRST_LINE = { variant: 'first_line', chat: false };
const OURS = { artifact: true };

export const LONGBENCH_SETS: readonly LongBenchSet[] = [
  set('narrativeqa', { taskType: 'QA', metric: 'qa_f1', maxNew: 128 }),
  set('qasper', { taskType: 'QA', metric: 'qa_f1', maxNew: 128, ...OURS }),
  set('multifieldqa_en', { taskType: 'QA', metric: 'qa_f1', maxNew: 64, records: 150, ...OURS }),
  set('multifieldqa_zh', { taskType: 'QA', metric: 'qa_f1_zh', maxNew: 64 }),
  set('hotpotqa', { taskType: 'QA', metric: 'qa_f1', maxNew: 32, ...OURS }),
  set('2wikimqa', { taskType: 'QA', metric: 'qa_f1', maxNew: 32, ...OURS }),
  set('musique', { taskType: 'QA', metric: 'qa_f1', maxNew: 32 }),
  set('dureader', { taskType: 'QA', metric: 'rouge_l_zh', maxNew: 128 }),
  set('gov_report', { taskType: 'Summarisation', metric: 'rouge_l', maxNew: 512, ...OURS }),
  set('qmsum', { taskType: 'Summarisation', metric: 'rouge_l', maxNew: 512, ...OURS }),
  set('multi_news', { taskType: 'Summarisation', metric: 'rouge_l', maxNew: 512, ...OURS }),
  set('vcsum', { taskType: 'Summarisation', metric: 'rouge_l_zh', maxNew: 512 }),
  set('trec', { taskType: 'Few-shot', metric: 'classification', maxNew: 64, ...FIRST_LINE, ...OURS }),
  set('triviaqa', { taskType: 'Few-shot', metric: 'qa_f1', maxNew: 32, ...FIRST_LINE, ...OURS }),
  set('samsum', { taskType: 'Few-shot', metric: 'rouge_l', maxNew: 128, stop: '\n', ...FIRST_LINE, ...OURS }),
  set('lsht', { taskType: 'Few-shot', metric: 'classification', maxNew: 64, ...FIRST_LINE }),
  set('passage_count', { taskType: 'Synthetic', metric: 'count', maxNew: 32, ...OURS }),
  set('passage_retrieval_en', { taskType: 'Synthetic', metric: 'retrieval', maxNew: 32, ...OURS }),
  set('passage_retrieval_zh', { taskType: 'Synthetic', metric: 'retrieval', variant: 'zh', maxNew: 32 }),
  set('lcc', { taskType: 'Code', metric: 'code_sim', maxNew: 64, chat: false, records: 500, ...OURS }),
  set('repobench-p', { taskType: 'Code', metric: 'code_sim', maxNew: 64, chat: false, records: 500, ...OURS }),
];

/** Names that stand for several sets in `sets:`. */
export const LONGBENCH_GROUPS: Readonly<Record<string, readonly string[]>> = {
  all: LONGBENCH_SETS.map((row) => row.name),
  artifact: LONGBENCH_SETS.filter((row) => row.artifact).map((row) => row.name),
};

/** The row of a set, also under its name in LongBench-E (`qasper_e`). */
export function longBenchSet(name: string): LongBenchSet | undefined {
  return LONGBENCH_SETS.find((row) => row.name === name || `${row.name}_e` === name);
}

/** Buckets of LongBench-E, by the length of a record in words. */
export function lengthBucket(words: number): '0-4k' | '4-8k' | '8k+' {
  if (words < 4000) return '0-4k';
  return words < 8000 ? '4-8k' : '8k+';
}
