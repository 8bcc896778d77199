/** How often intervals hold the truth, and how often tests speak where there is nothing: counts over made-up studies. */
import { clustersOf } from '../../analysis/bootstrap.ts';
import { cellEstimates } from '../../analysis/estimates.ts';
import { pairTimes } from '../../analysis/latency.ts';
import { lengthShifts } from '../../analysis/length-shift.ts';
import { SHARES, type ShareName } from '../../analysis/length-summary.ts';
import { excessTest, noisePairs } from '../../analysis/noise-floor.ts';
import { SplitMix64 } from '../../analysis/random.ts';
import { DEFAULT_FLIPS, lengthRatioTest } from '../../analysis/statistics.ts';
import { drawStudy, type Population } from './population.ts';

export interface Coverage {
  statistic: string;
  truth: number;
  studies: number;
  /** Studies whose interval holds the truth, lies wholly above it, lies wholly below it. */
  held: number;
  above: number;
  below: number;
  /** Mean width of the intervals. */
  width: number;
  /** Studies whose share is 0 or 1, which get Wilson's interval, and those of them that miss the truth. */
  wilson: number;
  wilsonMissed: number;
}

/** Every interval that a cell gets in `kv.estimates`, by the code that writes it there. */
export function coverage(
  population: Population,
  truth: Record<string, number>,
  options: { prompts: number; studies: number; resamples: number; key: string; noise?: boolean },
): Coverage[] {
  const counts = new Map<string, Coverage>();
  for (let study = 0; study < options.studies; study++) {
    const drawn = drawStudy(population, options.prompts, SplitMix64.fromKey(`${options.key}|${study}`));
    const pairs = {
      shifts: lengthShifts(drawn.comp).rows,
      times: pairTimes(drawn.comp),
      noise: options.noise === false ? null : lengthShifts(drawn.noise).rows,
    };
    for (const { statistic, value: found, lo, hi } of cellEstimates(pairs, study, options.resamples)) {
      const value = truth[statistic];
      if (value === undefined || lo === null || hi === null) continue;
      const count = counts.get(statistic) ?? {
        ...{ statistic, truth: value, studies: 0, held: 0, above: 0, below: 0, width: 0, wilson: 0, wilsonMissed: 0 },
      };
      counts.set(statistic, count);
      count.studies++;
      if (lo > value) count.above++;
      else if (hi < value) count.below++;
      else count.held++;
      if (statistic.startsWith('share_') && (found === 0 || found === 1)) {
        count.wilson++;
        count.wilsonMissed += Number(lo > value || hi < value);
      }
      count.width += (hi - lo) / options.studies;
    }
  }
  return [...counts.values()];
}

export interface TestRate {
  test: string;
  studies: number;
  /** Studies with p <= .05. */
  rejected: number;
}

/** Rejections at 5 % in a population without any effect. */
export function falsePositives(
  population: Population,
  options: { prompts: number; studies: number; flips?: number; key: string },
): TestRate[] {
  const { prompts, studies, key, flips = DEFAULT_FLIPS } = options;
  const names = Object.keys(SHARES) as ShareName[];
  const rejected = new Map<string, number>();
  const note = (test: string, p: number) => rejected.set(test, (rejected.get(test) ?? 0) + Number(p <= 0.05));
  for (let study = 0; study < studies; study++) {
    const drawn = drawStudy(population, prompts, SplitMix64.fromKey(`${key}|${study}`));
    const clusters = clustersOf(noisePairs(lengthShifts(drawn.comp).rows, lengthShifts(drawn.noise).rows));
    for (const name of names) note(`noise floor, share_${name}`, excessTest(clusters, name, study, flips).p);
    // Compressed and noise answers are exchangeable with each other; both scatter about the baseline, so neither is with it.
    const swap = drawn.comp.map((pair, i) => ({ ...pair, base: drawn.noise[i]!.comp }));
    note('sign flip, mean_log_ratio', lengthRatioTest(clustersOf(lengthShifts(swap).rows), study, flips)?.p ?? 1);
  }
  return [...rejected].map(([test, count]) => ({ test, studies, rejected: count }));
}
