/** Prompt templates of our own, and the known ones of others by the hash of their file. `{context}`, `{input}` are filled. */

export const TEMPLATE_VERSION = 'kvsweep-lb-1';

const QA =
  '{context}\n\nUsing only the text above, reply with the shortest phrase that answers the question.\nQuestion: {input}\nAnswer:';
const SUMMARY = '{context}\n\nSummarise the text above in about one page.\nSummary:';
/** The context holds worked examples, and the input ends with the cue. */
const EXAMPLES = '{context}\n{input}';

export const LONGBENCH_TEMPLATES: Readonly<Record<string, string>> = {
  narrativeqa: QA,
  qasper:
    '{context}\n\nUsing only the paper above, reply briefly. Reply yes or no to a yes/no question, and unanswerable if the paper does not say.\nQuestion: {input}\nAnswer:',
  multifieldqa_en: QA,
  multifieldqa_zh: '{context}\n\n只根据上文,用最短的语句回答问题。\n问题:{input}\n回答:',
  hotpotqa: QA,
  '2wikimqa': QA,
  musique: QA,
  dureader: '{context}\n\n只根据上面的文章,简要回答问题。\n问题:{input}\n回答:',
  gov_report: SUMMARY,
  qmsum:
    '{context}\n\nThe text above is a meeting. Reply to the request in a few sentences.\nRequest: {input}\nAnswer:',
  multi_news: SUMMARY,
  vcsum: '{context}\n\n上文是一次会议的记录。请用大约一页的篇幅总结。\n总结:',
  trec: EXAMPLES,
  triviaqa: EXAMPLES,
  samsum: EXAMPLES,
  lsht: EXAMPLES,
  passage_count:
    '{context}\n\nSome paragraphs above may occur more than once. How many different ones are there? Reply with the number only.\nAnswer:',
  passage_retrieval_en:
    '{context}\n\nThis abstract was written from one of the paragraphs above:\n{input}\nReply with its label, such as Paragraph 7.\nAnswer:',
  passage_retrieval_zh:
    '{context}\n\n下面的摘要是根据上文中的一个段落写成的:\n{input}\n请回答该段落的编号,例如:段落7。\n回答:',
  lcc: '{context}',
  'repobench-p': '{context}{input}',
};

/** Files `dataset2prompt.json` that published tables were made with, by sha256. */
export const KNOWN_TEMPLATE_FILES: Readonly<Record<string, string>> = {
  '56d22ad4f382169c2b8a11ff4c982a4a1bea096c8152b0f0b85b64686b157c30': 'LongBench, original',
  '2e438f2a73b4e96bed16bea8fe3864b76c86d5d6c560a4dcdfefdc10b8bb54ff': 'artifact of arXiv 2503.24000',
};

/** Fills the two places once, literally: what a record holds is not searched for places again. */
export function fillTemplate(template: string, context: string, input: string): string {
  return template.replace(/\{(context|input)\}/g, (_, place) => (place === 'context' ? context : input));
}
