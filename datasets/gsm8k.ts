/** `kind: gsm8k`: grade-school mathematics, JSONL of `{question, answer}`; the answer ends with `#### <number>`. */
import { checkScoring } from '../analysis/metrics/index.ts';
import { readObjects, textField } from './lines.ts';
import { type DatasetPrompt, type PromptSet, promptSet, type SelectOptions, selectPrompts } from './prompt-set.ts';

export interface Gsm8kOptions extends SelectOptions {
  path: string;
  name?: string;
  /** A sentence under every question, as `End with #### and the number.` */
  suffix?: string;
}

const METRIC = 'number_final';
/** Tokens that an answer may take. */
const MAX_NEW = 512;

export async function loadGsm8k(options: Gsm8kOptions): Promise<PromptSet> {
  const { path, name = 'gsm8k', suffix } = options;
  const prompts: DatasetPrompt[] = [];
  const sourceSha = await readObjects(path, (record, line, fail) => {
    const question = textField(record, 'question', fail);
    if (question.trim() === '') fail('"question" must be a string with text');
    const references = [textField(record, 'answer', fail)];
    const wrong = checkScoring({ metric: METRIC, references });
    if (wrong) fail(wrong);
    prompts.push({
      key: `${name}/${prompts.length}`,
      prompt: suffix === undefined ? question : `${question}\n${suffix}`,
      references,
      metric: METRIC,
      taskType: 'mathematics',
      maxNewTokens: MAX_NEW,
      meta: { line },
    });
  });
  const meta = {
    kind: 'gsm8k',
    source_sha256: sourceSha,
    licence: 'GSM8K is published under the MIT licence; nothing of it is redistributed',
    records: prompts.length,
    suffix: suffix ?? null,
  };
  return promptSet(name, await selectPrompts(prompts, options), options, meta);
}
