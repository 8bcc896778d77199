/** The true figures of a population, by plain sums over far more prompts than any study has. */
import { SplitMix64 } from '../../analysis/random.ts';
import { drawPrompt, type Population } from './population.ts';

/**
 * Written out by the definitions rather than taken from the statistics under test. With 300,000 prompts the truth is known
 * forty times better than a study of 200 prompts can tell.
 */
export function trueValues(population: Population, prompts = 300_000): Record<string, number> {
  const random = SplitMix64.fromKey('kvsweep-simulation|truth');
  const t = { n: 0, gt50: 0, longer50: 0, shorter50: 0, same: 0, base: 0, comp: 0, logs: 0, nLogs: 0 };
  const noise = { n: 0, gt50: 0, longer50: 0, shorter50: 0 };
  const time = { prefillBase: 0, prefillComp: 0, decodeBase: 0, decodeComp: 0, stepsBase: 0, stepsComp: 0 };
  for (let no = 0; no < prompts; no++) {
    const drawn = drawPrompt(population, random, no);
    for (const [i, { base, comp }] of drawn.comp.entries()) {
      const other = drawn.noise[i]!.comp;
      if (!base || !comp) continue;
      const [b, c] = [base.newTokens, comp.newTokens];
      if (b > 0) {
        t.n++;
        t.gt50 += Number(Math.abs(b - c) > 0.5 * b);
        t.longer50 += Number(c >= 1.5 * b);
        t.shorter50 += Number(c <= 0.5 * b);
        t.same += Number(base.tokensSha === comp.tokensSha);
        t.base += b;
        t.comp += c;
        if (c > 0) {
          t.nLogs++;
          t.logs += Math.log(c / b);
        }
        if (other) {
          // paired with the noise run of the same prompt and replicate
          const o = other.newTokens;
          noise.n++;
          noise.gt50 += Number(Math.abs(b - c) > 0.5 * b) - Number(Math.abs(b - o) > 0.5 * b);
          noise.longer50 += Number(c >= 1.5 * b) - Number(o >= 1.5 * b);
          noise.shorter50 += Number(c <= 0.5 * b) - Number(o <= 0.5 * b);
        }
      }
      const steps = (tokens: number, stopId: number | null) => tokens - 1 + (stopId === null ? 0 : 1);
      time.prefillBase += base.prefillMs!;
      time.prefillComp += comp.prefillMs!;
      time.decodeBase += base.decodeMs!;
      time.decodeComp += comp.decodeMs!;
      time.stepsBase += steps(b, base.stopId);
      time.stepsComp += steps(c, comp.stopId);
    }
  }
  return {
    share_gt50: t.gt50 / t.n,
    share_longer50: t.longer50 / t.n,
    share_shorter50: t.shorter50 / t.n,
    share_same: t.same / t.n,
    ratio_of_means: t.comp / t.base,
    geo_ratio: Math.exp(t.logs / t.nLogs),
    x_tokens_faster: time.stepsComp / time.decodeComp / (time.stepsBase / time.decodeBase),
    y_answers_longer: time.stepsComp / time.stepsBase,
    service_ratio: (time.prefillComp + time.decodeComp) / (time.prefillBase + time.decodeBase),
    excess_share_gt50: noise.gt50 / noise.n,
    excess_share_longer50: noise.longer50 / noise.n,
    excess_share_shorter50: noise.shorter50 / noise.n,
  };
}
