/**
 * Latency of single requests: what a user waits, beside tokens per second. More tokens per second do not mean an
 * earlier end of the answer, for a compressed answer may be longer.
 */
import type { Statistic } from './bootstrap.ts';
import type { Pair, SampleSide } from './length-shift.ts';
import { quantile } from './quantiles.ts';

/**
 * Decode steps of a sample. The first token comes from prefill; an end *id* takes a step of its own, a stop string
 * is made of tokens that count in L already.
 */
export function decodeSteps(newTokens: number, stopId: number | null): number {
  return newTokens - 1 + (stopId === null ? 0 : 1);
}

/** Times of one sample; `service` leaves the queue out, which depends on the order of the run. */
export interface SampleTimes {
  steps: number;
  prefillMs: number;
  decodeMs: number;
  serviceMs: number;
  e2eMs: number;
  /** null without a decode step. */
  tpotMs: number | null;
}

export function sampleTimes(side: SampleSide): SampleTimes | null {
  const { prefillMs, decodeMs, queueMs } = side;
  if (prefillMs === null || decodeMs === null) return null;
  const steps = decodeSteps(side.newTokens, side.stopId);
  const serviceMs = prefillMs + decodeMs;
  return {
    steps,
    prefillMs,
    decodeMs,
    serviceMs,
    e2eMs: serviceMs + (queueMs ?? 0),
    tpotMs: steps > 0 ? decodeMs / steps : null,
  };
}

export interface PairTimes {
  promptKey: string;
  replicate: number;
  base: Omit<SampleTimes, 'e2eMs'>;
  comp: Omit<SampleTimes, 'e2eMs'>;
  /** service_comp / service_base */
  timeRatio: number;
  /** Faster per token and yet later done. */
  paradox: boolean;
}

/** Times of the pairs that may be compared. The caller passes pairs of one device class only. */
export function pairTimes(pairs: Iterable<Pair>): PairTimes[] {
  const out: PairTimes[] = [];
  for (const { promptKey, replicate, base, comp } of pairs) {
    if (!base || !comp || base.finish === 'error' || comp.finish === 'error') continue;
    if (base.promptSha && comp.promptSha && base.promptSha !== comp.promptSha) continue;
    const [b, c] = [sampleTimes(base), sampleTimes(comp)];
    if (!b || !c || b.serviceMs === 0) continue;
    const faster = b.tpotMs !== null && c.tpotMs !== null && c.tpotMs < b.tpotMs;
    out.push({
      promptKey,
      replicate,
      base: b,
      comp: c,
      timeRatio: c.serviceMs / b.serviceMs,
      paradox: faster && c.serviceMs > b.serviceMs,
    });
  }
  return out;
}

/** Sums over pairs: prefill time, decode time, decode steps of both sides. */
export interface LatencySums {
  prefillBase: number;
  prefillComp: number;
  decodeBase: number;
  decodeComp: number;
  stepsBase: number;
  stepsComp: number;
}

/** service ratio = w * y / x + (1 - w) * prefill ratio, exactly. */
export interface Decomposition {
  /** Tokens came x times faster. */
  x: number;
  /** Answers got y times longer, in decode steps. */
  y: number;
  /** Share of decode in the baseline's service time. */
  w: number;
  prefillRatio: number;
  /** Requests got that much slower (> 1) or faster (< 1). */
  serviceRatio: number;
}

export function decompose(s: LatencySums): Decomposition {
  return {
    x: s.stepsComp / s.decodeComp / (s.stepsBase / s.decodeBase),
    y: s.stepsComp / s.stepsBase,
    w: s.decodeBase / (s.prefillBase + s.decodeBase),
    prefillRatio: s.prefillComp / s.prefillBase,
    serviceRatio: (s.prefillComp + s.decodeComp) / (s.prefillBase + s.decodeBase),
  };
}

const parts = ({ base, comp }: PairTimes): readonly number[] => [
  base.prefillMs,
  comp.prefillMs,
  base.decodeMs,
  comp.decodeMs,
  base.steps,
  comp.steps,
];

function fromParts(sums: readonly number[]): Decomposition {
  const [prefillBase, prefillComp, decodeBase, decodeComp, stepsBase, stepsComp] = sums;
  return decompose({
    prefillBase: prefillBase!,
    prefillComp: prefillComp!,
    decodeBase: decodeBase!,
    decodeComp: decodeComp!,
    stepsBase: stepsBase!,
    stepsComp: stepsComp!,
  });
}

/** The figures of the headline as statistics of a bootstrap. */
export const LATENCY_STATISTICS: readonly Statistic<PairTimes>[] = [
  { name: 'x_tokens_faster', sums: parts, value: (sums) => fromParts(sums).x },
  { name: 'y_answers_longer', sums: parts, value: (sums) => fromParts(sums).y },
  { name: 'service_ratio', sums: parts, value: (sums) => fromParts(sums).serviceRatio },
];

export interface LatencySummary extends Decomposition {
  n: number;
  shareSlower: number;
  shareParadox: number;
  ratioP50: number;
  ratioP95: number;
}

export function summariseLatency(pairs: readonly PairTimes[]): LatencySummary | null {
  const n = pairs.length;
  if (n === 0) return null;
  const sums = pairs.map(parts).reduce((a, b) => a.map((v, i) => v + b[i]!));
  const ratios = pairs.map((pair) => pair.timeRatio);
  return {
    ...fromParts(sums),
    n,
    shareSlower: ratios.filter((r) => r > 1).length / n,
    shareParadox: pairs.filter((pair) => pair.paradox).length / n,
    ratioP50: quantile(ratios, 0.5)!,
    ratioP95: quantile(ratios, 0.95)!,
  };
}

/** Service time against the baseline for an answer r times as long: (1 - phi) / s_p + phi * r / s_d. */
export function timeRatio(r: number, sPrefill: number, sDecode: number, phi: number): number {
  return (1 - phi) / sPrefill + (phi * r) / sDecode;
}

/** r*: how many times longer an answer may get before its request is slower than without compression. */
export function breakEvenLength(sPrefill: number, sDecode: number, phi: number): number {
  return (sDecode * (1 - (1 - phi) / sPrefill)) / phi;
}
