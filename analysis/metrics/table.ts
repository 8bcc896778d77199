/**
 * The table of metrics: what a data set may name, and how each is computed. Its names, variants and one-line
 * explanations are what loaders check against and `kvsweep datasets metrics` prints.
 */
import { boxed, boxedAnswered } from './boxed.ts';
import { chineseUnavailable, isLongPairZh, qaF1Zh, rougeLZh } from './chinese.ts';
import { classification } from './classification.ts';
import { CODE_VARIANTS, type CodeVariant, codeSim } from './code-sim.ts';
import { numberFinal, referenceNumber } from './number-final.ts';
import { count, goldNumber, type RetrievalVariant, retrieval } from './numbers.ts';
import { exactNorm, qaF1 } from './qa-f1.ts';
import { isLongPair, rougeL } from './rouge-l.ts';
import { contains, exact, passkeyPartial, stringAll, stringPart } from './strings.ts';

/** A score in [0, 1] against one reference. */
export type Rate = (reference: string) => number;

export interface Metric {
  name: string;
  about: string;
  /** How it can be computed; the first is the default, '' has no name of its own. */
  variants: readonly string[];
  /** `best`: the maximum over the references. `all`: the list of references is one answer. */
  over: 'best' | 'all';
  /** Of `best`: what is done to the answer once, then to each reference. */
  rate?: (prediction: string, variant: string, classes: readonly string[]) => Rate;
  /** Of `all`. */
  rateAll?: (prediction: string, references: readonly string[]) => number;
  /** Rows that it gives, where they are not the one of its name. */
  gives?: readonly string[];
  /** Needs the labels of its prompt (`all_classes`). */
  needsClasses?: boolean;
  /** What is wrong with a reference, as the end of a sentence; null if it can be scored against. */
  refuses?: (reference: string, variant: string) => string | null;
  /** Null if it can be computed here, else a sentence. */
  unavailable?: () => string | null;
  /** Marks answers that older tables scored 0 because a program gave up on them. */
  longPair?: (prediction: string, reference: string) => boolean;
}

/** Variant `first_line`: only the first line of the answer counts, leading line breaks aside. */
export const FIRST_LINE = 'first_line';
const CUT = ['', FIRST_LINE] as const;

export const METRICS: readonly Metric[] = [
  {
    name: 'qa_f1',
    about: 'F1 of words, without case, punctuation and articles',
    variants: CUT,
    over: 'best',
    rate: qaF1,
  },
  {
    name: 'qa_f1_zh',
    about: 'F1 of words of Chinese text',
    variants: CUT,
    over: 'best',
    rate: qaF1Zh,
    unavailable: chineseUnavailable,
  },
  {
    name: 'rouge_l',
    about: 'longest common subsequences of words, as the Python package rouge 1.0.1',
    variants: CUT,
    over: 'best',
    rate: rougeL,
    longPair: isLongPair,
  },
  {
    name: 'rouge_l_zh',
    about: 'the same of Chinese text',
    variants: CUT,
    over: 'best',
    rate: rougeLZh,
    longPair: isLongPairZh,
    unavailable: chineseUnavailable,
  },
  {
    name: 'classification',
    about: 'the right label, shared among the labels that the answer names',
    variants: CUT,
    over: 'best',
    rate: (prediction, _variant, classes) => classification(prediction, classes),
    needsClasses: true,
  },
  {
    name: 'retrieval',
    about: 'share of the numbers in the answer that are the number of the right paragraph; variant zh for 段落',
    variants: ['', 'zh'],
    over: 'best',
    rate: (prediction, variant) => retrieval(prediction, variant as RetrievalVariant),
    refuses: (reference, variant) =>
      goldNumber(reference, variant as RetrievalVariant) === null
        ? `names no paragraph (like ${variant === 'zh' ? '段落7' : 'Paragraph 7'})`
        : null,
  },
  {
    name: 'count',
    about: 'share of the numbers in the answer that equal the reference',
    variants: [''],
    over: 'best',
    rate: count,
  },
  {
    name: 'code_sim',
    about: 'likeness of the first usable line of code; difflib or indel, by what published tables had installed',
    variants: CODE_VARIANTS,
    over: 'best',
    rate: (prediction, variant) => codeSim(prediction, variant as CodeVariant),
  },
  { name: 'exact', about: 'equal, ends trimmed, with case', variants: CUT, over: 'best', rate: exact },
  { name: 'exact_norm', about: 'equal normal forms of qa_f1', variants: CUT, over: 'best', rate: exactNorm },
  {
    name: 'contains',
    about: 'the answer contains the reference, without case',
    variants: CUT,
    over: 'best',
    rate: contains,
  },
  {
    name: 'string_all',
    about: 'share of the references that the answer contains (RULER: niah, vt, cwe, fwe)',
    variants: [''],
    over: 'all',
    rateAll: stringAll,
  },
  {
    name: 'string_part',
    about: 'any reference is contained (RULER: qa)',
    variants: [''],
    over: 'best',
    rate: stringPart,
  },
  {
    name: 'passkey_partial',
    about: 'longest run of the key that the answer holds, as a share of the key',
    variants: [''],
    over: 'best',
    rate: passkeyPartial,
  },
  {
    name: 'passkey',
    about: 'contains and passkey_partial, a row each',
    variants: [''],
    over: 'best',
    gives: ['contains', 'passkey_partial'],
  },
  {
    name: 'number_final',
    about: 'the last number, or the one after ####, equals the reference as a decimal (GSM8K style)',
    variants: [''],
    over: 'best',
    rate: numberFinal,
    refuses: (reference) => (referenceNumber(reference) === null ? 'ends with no number (like "#### 42")' : null),
  },
  {
    name: 'boxed',
    about: 'content of the last \\boxed{...}; a second row boxed_answered says whether there was one',
    variants: [''],
    over: 'best',
    rate: boxed,
    gives: ['boxed', 'boxed_answered'],
  },
  {
    name: 'boxed_answered',
    about: '1 if the answer has a \\boxed{...}',
    variants: [''],
    over: 'all',
    rateAll: boxedAnswered,
  },
];

export const METRIC_NAMES: readonly string[] = METRICS.map((row) => row.name);

const BY_NAME = new Map(METRICS.map((row) => [row.name, row]));

export function metricByName(name: string): Metric | undefined {
  return BY_NAME.get(name);
}
