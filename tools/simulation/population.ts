/**
 * A made-up population of prompts whose true figures are known, to see whether intervals and tests keep their word.
 *
 * What makes real length data hard is in it: replicates of a prompt that move together, answers of very different
 * length (log-normal), changes of length with heavy tails (Student t with 3 degrees of freedom on the log scale), answers
 * that stay the same, answers cut at the limit and kept as cut, samples that failed.
 */
import type { Pair, SampleSide } from '../../analysis/length-shift.ts';
import type { SplitMix64 } from '../../analysis/random.ts';

export interface Population {
  /** Median and log standard deviation of an uncut answer's length over prompts. */
  medianTokens: number;
  spread: number;
  /** Log standard deviation of an uncompressed answer between replicates of a prompt. */
  seedSpread: number;
  /** Answers longer than this are cut. */
  cap: number;
  replicates: number;
  /** Share of samples that failed, on each side. */
  failed: number;
  /** Share of pairs whose answers are identical. */
  same: number;
  /** Mean log length ratio of the answers that differ, and its scales per prompt and per replicate (t, 3 degrees). */
  shift: number;
  promptScale: number;
  replicateScale: number;
  /** Decode step and prefill time of the compressed run as multiples of the uncompressed one. */
  stepRatio: number;
  prefillRatio: number;
}

/** A compressor that lengthens answers by about a tenth, at temperature 0.8 with 3 draws a prompt. */
export const LENGTHENED: Population = {
  medianTokens: 110,
  spread: 0.9,
  seedSpread: 0.25,
  cap: 512,
  replicates: 3,
  failed: 0.01,
  same: 0.2,
  shift: 0.12,
  promptScale: 0.15,
  replicateScale: 0.25,
  stepRatio: 0.75,
  prefillRatio: 1.1,
};

/** Greedy, few changes: shares of two percent, which rest on about four of 200 prompts. */
export const RARE: Population = {
  ...LENGTHENED,
  replicates: 1,
  same: 0.5,
  shift: 0.02,
  promptScale: 0.105,
  replicateScale: 0.1,
};

/** Nothing but chance: compressed, noise and baseline answers are exchangeable within a prompt. */
export const EXCHANGEABLE: Population = { ...LENGTHENED, shift: 0, promptScale: 0, stepRatio: 1, prefillRatio: 1 };

/** One prompt in all its runs; `noise` is a second uncompressed run. */
export interface Drawn {
  comp: Pair[];
  noise: Pair[];
}

/** Random numbers of the shapes above. */
export function draws(random: SplitMix64) {
  const uniform = () => (random.below(0xffffffff) + 0.5) / 0xffffffff;
  const normal = () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
  /** Student t with 3 degrees of freedom: finite variance, infinite fourth moment. */
  const heavy = () => normal() / Math.sqrt((normal() ** 2 + normal() ** 2 + normal() ** 2) / 3);
  return { uniform, normal, heavy };
}

/** Draws prompt `no` of a study. */
export function drawPrompt(population: Population, random: SplitMix64, no: number): Drawn {
  const { uniform, normal, heavy } = draws(random);
  const p = population;
  const typical = Math.log(p.medianTokens) + p.spread * normal();
  const promptTokens = Math.min(2000, Math.max(8, Math.round(Math.exp(4 + 1.1 * normal()))));
  const promptEffect = p.shift + p.promptScale * heavy();
  const out: Drawn = { comp: [], noise: [] };
  for (let replicate = 0; replicate < p.replicates; replicate++) {
    const log = typical + p.seedSpread * normal();
    const side = (change: number | null, speed: { step: number; prefill: number }): SampleSide | null => {
      const failed = uniform() < p.failed;
      const tokens = Math.round(Math.exp(log + (change ?? 0)));
      const finish = tokens >= p.cap ? 'length' : 'stop';
      const newTokens = Math.min(p.cap, tokens);
      const steps = Math.max(0, newTokens - (finish === 'stop' ? 0 : 1));
      if (failed) return null;
      return {
        newTokens,
        finish,
        stopId: finish === 'stop' ? 2 : null,
        promptSha: null,
        tokensSha: change === null ? 'base' : `${replicate} ${change}`,
        tokenIds: null,
        queueMs: 0,
        prefillMs: 0.4 * promptTokens * speed.prefill * Math.exp(0.05 * normal()),
        decodeMs: 10 * steps * speed.step * Math.exp(0.05 * normal()),
      };
    };
    const changed = (effect: number) => (uniform() < p.same ? null : effect + p.replicateScale * heavy());
    const key = { promptKey: `p/${String(no).padStart(5, '0')}`, replicate };
    const base = side(null, { step: 1, prefill: 1 });
    const compressed = side(changed(promptEffect), { step: p.stepRatio, prefill: p.prefillRatio });
    out.comp.push({ ...key, base, comp: compressed });
    out.noise.push({ ...key, base, comp: side(changed(0), { step: 1, prefill: 1 }) });
  }
  return out;
}

/** A study: `prompts` prompts of the population. */
export function drawStudy(population: Population, prompts: number, random: SplitMix64): Drawn {
  const out: Drawn = { comp: [], noise: [] };
  for (let no = 0; no < prompts; no++) {
    const drawn = drawPrompt(population, random, no);
    out.comp.push(...drawn.comp);
    out.noise.push(...drawn.noise);
  }
  return out;
}
