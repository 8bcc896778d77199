/** Kaplan-Meier estimate of one cell's length distribution, where cut answers count as censored. */

export interface LengthObservation {
  length: number;
  /** The answer was cut: its true length is at least this. */
  cut: boolean;
}

export interface SurvivalCurve {
  /** S just after each length at which some answer ended, ascending. */
  steps: { length: number; survival: number }[];
  /** Smallest length with S <= 0.5; null = beyond the largest observed ("> cap"). */
  median: number | null;
}

/** S(t) = product over event times t_i <= t of (1 - d_i / n_i), n_i = answers with L >= t_i. */
export function kaplanMeier(observations: readonly LengthObservation[]): SurvivalCurve {
  const sorted = [...observations].sort((a, b) => a.length - b.length);
  const steps: SurvivalCurve['steps'] = [];
  let survival = 1;
  for (let i = 0; i < sorted.length; ) {
    const { length } = sorted[i]!;
    let j = i;
    while (j < sorted.length && sorted[j]!.length === length) j++;
    const ended = sorted.slice(i, j).filter((o) => !o.cut).length;
    if (ended > 0) {
      survival *= 1 - ended / (sorted.length - i);
      steps.push({ length, survival });
    }
    i = j;
  }
  // products of exact halves may land a bit above 0.5
  const median = steps.find((step) => step.survival <= 0.5 + 1e-12)?.length ?? null;
  return { steps, median };
}

/** S(t); 1 before the first step. */
export function survivalAt(curve: SurvivalCurve, t: number): number {
  return curve.steps.findLast((step) => step.length <= t)?.survival ?? 1;
}

/** Restricted mean: the area under S on [0, tau]. */
export function restrictedMean(curve: SurvivalCurve, tau: number): number {
  let area = 0;
  let from = 0;
  let level = 1;
  for (const step of curve.steps) {
    if (step.length >= tau) break;
    area += level * (step.length - from);
    from = step.length;
    level = step.survival;
  }
  return area + level * (tau - from);
}
