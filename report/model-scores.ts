/** What a report says of scores against the baseline's, and of which tokens a cache held. Part of the model. */

/** How a prompt counts as negative; counts of `artifact` hold each record of passage_count twice. */
export const NEGATIVE_RULES = ['default', 'mean', 'median', 'artifact'] as const;
export type NegativeRule = (typeof NEGATIVE_RULES)[number];

/** The theta that headlines and examples use. */
export const HEADLINE_THETA = 0.1;
export const HEADLINE_RULE: NegativeRule = 'default';

/** Counts of one cell against its baseline, at one theta, by one rule. */
export interface NegativeRow {
  label: string;
  /** Null for imported scores. */
  batch: number | null;
  dataset: string;
  /** Empty: all task types of the cell together. */
  taskType: string;
  metric: string;
  variant: string;
  rule: NegativeRule;
  /** Fraction. */
  theta: number;
  /** Pairs with a score on both sides. */
  n: number;
  eligible: number;
  negatives: number;
  /** The same with the roles of the two runs swapped. */
  mirrored: number;
  /** Uncompressed and compressed runs of each prompt. */
  baseRuns: number;
  runs: number;
  /** Negative whichever runs are compared; null with one uncompressed run. */
  robust: number | null;
  /** Eligible prompts whose baseline repeats itself within theta; null without replicates. */
  stable: number | null;
  /** Negatives between two uncompressed runs; null without a noise cell. */
  noiseNegatives: number | null;
  threshold: number | null;
  /** Mean scores over the negatives. */
  meanBase: number | null;
  meanScore: number | null;
}

export interface ScoredAnswer {
  /** Null for imported scores. */
  text: string | null;
  score: number;
}

/** One negative prompt with reference and both answers. */
export interface NegativeExample {
  label: string;
  batch: number | null;
  dataset: string;
  taskType: string | null;
  promptKey: string;
  metric: string;
  prompt: string | null;
  references: string[];
  base: ScoredAnswer;
  comp: ScoredAnswer;
  /** Null: there is one run only, nothing to be robust against. */
  robust: boolean | null;
}

/** Negative samples of one model. */
export interface NegativesSetting {
  model: string;
  /** Scores came from files: no texts, no lengths. */
  imported: boolean;
  rows: NegativeRow[];
  examples: NegativeExample[];
}

/** Which tokens of one sample were still held at its end. */
export interface KeptMap {
  model: string;
  label: string;
  dataset: string;
  batch: number | null;
  promptKey: string;
  /** Tokens seen: prompt and answer. */
  seen: number;
  kvHeads: number;
  /** Mean over layers and kv heads. */
  keptMean: number;
  /** Layer by column: share of (kv head, token) that are held; a column spans `seen / columns` tokens. */
  share: number[][];
}
