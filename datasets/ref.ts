/** How a spec names a data set, and what its entries stand for. */
import { LONGBENCH_GROUPS } from './longbench-sets.ts';

/** A data set as a spec names it: the kind, and what that kind needs. */
export interface DatasetRef {
  kind: string;
  path?: string;
  /** First part of the prompt keys, where it can be chosen. */
  name?: string;
  /** Of `gen`: which generator. */
  task?: string;
  /** Of `gen`: tokens of the whole prompt and its answer. */
  length?: number;
  /** Of `gen`: units of the body, instead of a length. */
  units?: number;
  /** Of `gen`: tokens that the answer may take. */
  new_tokens?: number;
  /** Of `gen`, passkey: percent of the body before the needle. */
  depth?: number;
  /** Of `gen`, passkey: digits of the key, 7 or 64. */
  digits?: number;
  /** Of `gen`: the prompt ends with the beginning of the answer. */
  answer_prefix?: boolean;
  /** Of `longbench`: the folder of `<set>.jsonl`. */
  dir?: string;
  /** Of `longbench`: which set. A spec may list several, or name a group in `sets`. */
  set?: string;
  /** Of `longbench`: our templates, or `file:<path>` of LongBench's. */
  template?: string;
  /** Of `longbench`: cap of an answer; `table`, `artifact` or a number. */
  max_new?: string | number;
  /** Of `longbench`: the chat template as the table says (`set`), for every set or for none. */
  chat?: string;
  /** Of `gsm8k`: a sentence under every question. */
  suffix?: string;
  /** Of `sharegpt_text`: evaluation or calibration. */
  part?: string;
  /** Of `sharegpt`: a damaged file is an error instead of a warning. */
  strict?: boolean;
}

/**
 * The references that one entry of a spec stands for: lists among its values multiply, and `sets` names sets of
 * LongBench one by one or by group.
 */
export function expandDatasetRef(ref: Record<string, unknown>): Record<string, unknown>[] {
  const { sets, ...rest } = ref;
  const names = [sets].flat() as string[];
  // Both at once stay as they are, and are refused for the field "sets".
  const listed =
    sets === undefined || ref.set !== undefined
      ? ref
      : { ...rest, set: names.flatMap((name) => LONGBENCH_GROUPS[name] ?? [name]) };
  return Object.entries(listed).reduce<Record<string, unknown>[]>(
    (points, [field, value]) => points.flatMap((point) => [value].flat().map((v) => ({ ...point, [field]: v }))),
    [{}],
  );
}
