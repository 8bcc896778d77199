/** Negative samples of a report: sums over data sets, with the words that the design prescribes. Pure. */
import { signTest } from '../analysis/statistics.ts';
import { HEADLINE_RULE, HEADLINE_THETA, type NegativeRow, type NegativesSetting } from './model-scores.ts';
import { isPrimary } from './primary.ts';
import { minus, percent, plural, pWords, whole } from './words.ts';

/** Rows of one compressor added up; `robust`, `stable` and noise are null where one part does not know them. */
export interface NegativeSum
  extends Pick<NegativeRow, 'label' | 'batch' | 'rule' | 'theta' | 'n' | 'eligible' | 'negatives' | 'mirrored'> {
  /** What the sum is over: a task type, a data set, or everything. */
  group: string;
  net: number;
  /** Exact two-sided binomial p of negatives against negatives + mirrored at one half. */
  p: number;
  /** Runs of each prompt on both sides, the fewest of the parts. */
  baseRuns: number;
  runs: number;
  robust: number | null;
  stable: number | null;
  noiseNegatives: number | null;
  meanBase: number | null;
  meanScore: number | null;
}

type GroupOf = (row: NegativeRow) => string;

/** A row over all of a cell, of the metric that says how good an answer is. */
export const isWhole = (row: NegativeRow) => row.taskType === '' && isPrimary(row.metric);

/** Sums of rows by compressor, batch, rule, theta and group, in the order in which they first appear. */
export function sumNegatives(rows: readonly NegativeRow[], groupOf: GroupOf = () => ''): NegativeSum[] {
  const groups = new Map<string, NegativeRow[]>();
  for (const row of rows) {
    const key = JSON.stringify([row.label, row.batch, row.rule, row.theta, groupOf(row)]);
    const group = groups.get(key);
    if (group) group.push(row);
    else groups.set(key, [row]);
  }
  return [...groups.values()].map((group) => sumOf(group, groupOf(group[0]!)));
}

function sumOf(rows: readonly NegativeRow[], group: string): NegativeSum {
  const { label, batch, rule, theta } = rows[0]!;
  const add = (pick: (row: NegativeRow) => number) => rows.reduce((sum, row) => sum + pick(row), 0);
  const known = (pick: (row: NegativeRow) => number | null) =>
    rows.some((row) => pick(row) === null) ? null : add((row) => pick(row)!);
  const mean = (pick: (row: NegativeRow) => number | null, negatives: number) =>
    negatives === 0 ? null : add((row) => (pick(row) ?? 0) * row.negatives) / negatives;
  const [negatives, mirrored] = [add((r) => r.negatives), add((r) => r.mirrored)];
  return {
    label,
    batch,
    rule,
    theta,
    group,
    n: add((r) => r.n),
    eligible: add((r) => r.eligible),
    negatives,
    mirrored,
    net: negatives - mirrored,
    p: signTest(negatives, mirrored),
    baseRuns: Math.min(...rows.map((r) => r.baseRuns)),
    runs: Math.min(...rows.map((r) => r.runs)),
    robust: known((r) => r.robust),
    stable: known((r) => r.stable),
    noiseNegatives: known((r) => r.noiseNegatives),
    meanBase: mean((r) => r.meanBase, negatives),
    meanScore: mean((r) => r.meanScore, negatives),
  };
}

export const sameTheta = (a: number, b: number) => Math.abs(a - b) < 1e-9;

/** The sums that headlines are made of: everything of a compressor, rule `default`, theta 10 %. */
export function headlineSums(setting: NegativesSetting): NegativeSum[] {
  return sumNegatives(
    setting.rows.filter((r) => isWhole(r) && r.rule === HEADLINE_RULE && sameTheta(r.theta, HEADLINE_THETA)),
  );
}

/** By what a breakdown makes sense: task types if there are several, else data sets if there are several. */
export function breakdown(
  setting: NegativesSetting,
): { by: 'task type' | 'data set'; rows: NegativeRow[]; of: GroupOf } | null {
  const typed = setting.rows.filter((r) => r.taskType !== '' && isPrimary(r.metric));
  if (new Set(typed.map((r) => r.taskType)).size > 1) return { by: 'task type', rows: typed, of: (r) => r.taskType };
  const whole = setting.rows.filter(isWhole);
  if (new Set(whole.map((r) => r.dataset)).size > 1) return { by: 'data set', rows: whole, of: (r) => r.dataset };
  return null;
}

/** Sums of the breakdown at the headline's rule and theta. */
export function groupSums(setting: NegativesSetting): { by: 'task type' | 'data set'; sums: NegativeSum[] } | null {
  const found = breakdown(setting);
  if (!found) return null;
  const rows = found.rows.filter((r) => r.rule === HEADLINE_RULE && sameTheta(r.theta, HEADLINE_THETA));
  return { by: found.by, sums: sumNegatives(rows, found.of) };
}

/** `kivi-4`, or `kivi-4, batch 8` if there are more batch sizes. */
export function sumName(
  sum: Pick<NegativeSum, 'label' | 'batch'>,
  all: readonly Pick<NegativeSum, 'label' | 'batch'>[],
): string {
  const batches = new Set(all.filter((other) => other.label === sum.label).map((other) => other.batch));
  return batches.size > 1 ? `${sum.label}, batch ${sum.batch ?? '–'}` : sum.label;
}

/** One compressor in a sentence. A prompt is called negative only if it is so in every run; else the set has its long name. */
export function negativeWords(sum: NegativeSum): string {
  const { eligible, negatives, mirrored, net, p, robust, noiseNegatives } = sum;
  if (eligible === 0) return 'no prompt is eligible';
  const single = `${plural(negatives, 'single-run negative')} of ${plural(eligible, 'eligible prompt')} (${percent(negatives / eligible, 1)})`;
  const mirror = `${whole(mirrored)} the other way round: net ${signed(net)}, ${pWords(p)}`;
  const noise = noiseNegatives === null ? '' : `; two uncompressed runs give ${whole(noiseNegatives)}`;
  const kept = robust === null ? '' : `; ${plural(robust, 'robust negative')} over ${runsWords(sum)}`;
  return `${single}, ${mirror}${noise}${kept}. ${verdict(sum)}`;
}

function runsWords({ baseRuns, runs }: NegativeSum): string {
  return `${plural(baseRuns, 'uncompressed run')} and ${plural(runs, 'compressed one')}`;
}

function verdict({ net, p }: NegativeSum): string {
  if (p > 0.05) return 'Not evidence of harm: two equal models differ as much.';
  return net > 0 ? 'More prompts got worse than two equal models would make.' : 'More prompts got better than worse.';
}

export function signed(n: number): string {
  return `${n > 0 ? '+' : ''}${minus(whole(n))}`;
}
