/**
 * Scores of an answer against its references, in [0, 1]. Every rule is a pure function and a row of the table; the
 * rules together carry a version, because a stored score is compared with scores that were stored earlier.
 */
import { FIRST_LINE, type Metric, metricByName } from './table.ts';
import { firstLine } from './text.ts';

export type { Metric } from './table.ts';
export { METRIC_NAMES, METRICS } from './table.ts';

/** Raised with every change of a rule: scores of another version are computed again. */
export const SCORER_VERSION = 'kvsweep-score-2';

export interface MetricScore {
  metric: string;
  /** '' if it was computed in the metric's only or usual way. */
  variant: string;
  score: number;
  /** Index of the winning reference, the first on ties; null if the list of references is one answer. */
  refIndex: number | null;
  extra?: { longPair?: true };
}

export interface ScoreOptions {
  variant?: string | null;
  /** Labels that the prompt's set has, for `classification`. */
  classes?: readonly string[] | null;
}

const NONE: readonly string[] = [];

/**
 * One row per metric that `metric` gives. Empty without references, for a metric or variant that is unknown or
 * unavailable here (`metricUnavailable` says why), and without the labels that a metric needs.
 */
export function scoreAnswer(
  prediction: string,
  references: readonly string[],
  metric: string,
  options?: ScoreOptions,
): MetricScore[] {
  const row = metricByName(metric);
  if (row === undefined || references.length === 0) return [];
  if (row.gives !== undefined) {
    return row.gives.flatMap((name) => {
      const part = metricByName(name)!;
      return scoreRow(part, prediction, references, part.variants[0]!, NONE);
    });
  }
  const variant = options?.variant || row.variants[0]!;
  if (!row.variants.includes(variant)) return [];
  return scoreRow(row, prediction, references, variant, options?.classes ?? NONE);
}

function scoreRow(
  row: Metric,
  prediction: string,
  references: readonly string[],
  variant: string,
  classes: readonly string[],
): MetricScore[] {
  if (row.unavailable !== undefined && row.unavailable() !== null) return [];
  if (row.needsClasses && classes.length === 0) return [];
  const { name } = row;
  if (row.rateAll !== undefined) {
    return [{ metric: name, variant, score: row.rateAll(prediction, references), refIndex: null }];
  }
  const answer = variant === FIRST_LINE ? firstLine(prediction) : prediction;
  const rate = row.rate!(answer, variant, classes);
  let score = -1;
  let refIndex = 0;
  for (let i = 0; i < references.length; i++) {
    const rated = rate(references[i]!);
    if (rated > score) {
      score = rated;
      refIndex = i;
    }
  }
  const { longPair } = row;
  if (longPair !== undefined && references.some((reference) => longPair(answer, reference))) {
    return [{ metric: name, variant, score, refIndex, extra: { longPair: true } }];
  }
  return [{ metric: name, variant, score, refIndex }];
}

/** Why a metric cannot be computed here, in one sentence; null if it can. Unknown metrics are the loaders' business. */
export function metricUnavailable(metric: string): string | null {
  const why = metricByName(metric)?.unavailable?.() ?? null;
  return why === null ? null : `metric ${metric} is unavailable, so its answers stay without a score: ${why}`;
}

/** What is wrong with a prompt's metric, variant, references and labels together; null if its answers can be scored. */
export function checkScoring(prompt: {
  metric?: string | undefined;
  variant?: string | undefined;
  references?: readonly string[] | undefined;
  classes?: readonly string[] | undefined;
}): string | null {
  const { metric, variant, references = [], classes = [] } = prompt;
  if (metric === undefined) return variant === undefined ? null : '"variant" needs a "metric"';
  const row = metricByName(metric)!;
  if (variant !== undefined && !row.variants.includes(variant)) {
    const named = row.variants.filter((v) => v !== '');
    const known = named.length === 0 ? 'none' : named.join(', ');
    return `metric ${metric} has no variant ${JSON.stringify(variant)}; known are ${known}`;
  }
  if (row.needsClasses && classes.length === 0)
    return `metric ${metric} needs the labels to choose from in "all_classes"`;
  for (const reference of references) {
    const wrong = row.refuses?.(reference, variant ?? row.variants[0]!);
    if (wrong) return `metric ${metric}: the reference ${JSON.stringify(shortened(reference))} ${wrong}`;
  }
  return null;
}

function shortened(text: string): string {
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
