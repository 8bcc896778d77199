/** The LongBench sets that the artifact scored: how each is scored, and which kind of task it is. */
export interface ScoredSet {
  taskType: 'QA' | 'Summarisation' | 'Few-shot' | 'Synthetic' | 'Code';
  metric: string;
}

export const SCORED_SETS: Readonly<Record<string, ScoredSet>> = {
  '2wikimqa': { taskType: 'QA', metric: 'qa_f1' },
  gov_report: { taskType: 'Summarisation', metric: 'rouge_l' },
  hotpotqa: { taskType: 'QA', metric: 'qa_f1' },
  lcc: { taskType: 'Code', metric: 'code_sim' },
  multi_news: { taskType: 'Summarisation', metric: 'rouge_l' },
  multifieldqa_en: { taskType: 'QA', metric: 'qa_f1' },
  passage_count: { taskType: 'Synthetic', metric: 'count' },
  passage_retrieval_en: { taskType: 'Synthetic', metric: 'retrieval' },
  qasper: { taskType: 'QA', metric: 'qa_f1' },
  qmsum: { taskType: 'Summarisation', metric: 'rouge_l' },
  'repobench-p': { taskType: 'Code', metric: 'code_sim' },
  samsum: { taskType: 'Few-shot', metric: 'rouge_l' },
  trec: { taskType: 'Few-shot', metric: 'classification' },
  triviaqa: { taskType: 'Few-shot', metric: 'qa_f1' },
};
