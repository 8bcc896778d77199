/** All compressors of a sweep in one order: what each keeps of the cache, and what that costs. Pure. */
import type { Interval } from '../analysis/bootstrap.ts';
import { median } from '../analysis/quantiles.ts';
import type { MemoryEntry, ReportModel, ScoreEntry } from './model.ts';
import { isPrimary } from './primary.ts';

export interface RankedRow {
  /** From 1; null for the baseline and for what did not act. */
  rank: number | null;
  model: string;
  label: string;
  isBaseline: boolean;
  inert: boolean;
  /** bytes_end / bytes of the same tokens in f16, over the samples of its cells that acted. */
  ofF16: number | null;
  /** The same of the payload alone, without page rounding and side arrays. */
  payload: number | null;
  ppl: number | null;
  /** ln perplexity minus that of the baseline. */
  delta: Interval | null;
  /** Mean score of answers with references, and of how many. */
  score: number | null;
  nScored: number;
  /** Median D over pairs of the data sets without references (of all, if each has some). */
  dMedian: number | null;
  /** Decode steps, at `decodeAt`. */
  tokS: number | null;
  sSame: number | null;
}

export interface Ranking {
  rows: RankedRow[];
  by: 'perplexity' | 'score';
  decodeAt: { promptTokens: number; batch: number } | null;
  /** Data sets that the scores are over: those that every compressor answered, if there is one. */
  scoredOn: string[];
}

/** Scores of data sets that all compressors with scores have: a mean over other prompts would compare nothing. */
function commonScores(model: ReportModel): ScoreEntry[] {
  const scores = model.scores.filter((row) => isPrimary(row.metric));
  const key = (row: ScoreEntry) => JSON.stringify([row.model, row.dataset, row.metric]);
  const compared = scores.filter((row) => !row.isBaseline && !row.inert);
  const labels = (rows: readonly ScoreEntry[]) => new Set(rows.map((row) => JSON.stringify([row.model, row.label])));
  const all = (name: string) => labels(compared.filter((row) => row.model === name)).size;
  const common = scores.filter((row) => labels(compared.filter((r) => key(r) === key(row))).size === all(row.model));
  return common.length > 0 ? common : scores;
}

/** Null if the sweep measured neither perplexity nor scores of at least two compressors. */
export function ranking(model: ReportModel): Ranking | null {
  const named = new Map<string, { model: string; label: string; isBaseline: boolean }>();
  for (const row of [...model.memory, ...model.perplexities, ...model.scores])
    named.set(`${row.model}\n${row.label}`, { model: row.model, label: row.label, isBaseline: row.isBaseline });
  const decodeAt = commonDecodePoint(model);
  const scores = commonScores(model);
  const rows = [...named.values()].map((name) => rowOf(model, name, decodeAt, scores));
  const compared = rows.filter((row) => !row.isBaseline && !row.inert);
  const by = compared.some((row) => row.ppl !== null) ? 'perplexity' : 'score';
  if (compared.filter((row) => (by === 'perplexity' ? row.ppl : row.score) !== null).length < 2) return null;
  const place = (row: RankedRow) => (row.isBaseline ? 0 : row.inert ? 2 : 1);
  // Least perplexity first; or the highest score. What was not measured goes last.
  const cost = (row: RankedRow) => (by === 'perplexity' ? (row.ppl ?? Infinity) : -(row.score ?? -Infinity));
  rows.sort(
    (a, b) =>
      (a.model < b.model ? -1 : a.model > b.model ? 1 : 0) ||
      place(a) - place(b) ||
      cost(a) - cost(b) ||
      (b.score ?? 0) - (a.score ?? 0) ||
      (a.label < b.label ? -1 : 1),
  );
  let at = 0;
  let last = '';
  return {
    by,
    decodeAt,
    scoredOn: [...new Set(scores.map((row) => row.dataset))],
    rows: rows.map((row) => {
      if (row.model !== last) at = 0;
      last = row.model;
      return place(row) === 1 && Number.isFinite(cost(row)) ? { ...row, rank: ++at } : row;
    }),
  };
}

type Name = Pick<RankedRow, 'model' | 'label' | 'isBaseline'>;

function rowOf(
  model: ReportModel,
  name: Name,
  decodeAt: Ranking['decodeAt'],
  common: readonly ScoreEntry[],
): RankedRow {
  const own = <Row extends { model: string; label: string }>(rows: readonly Row[]) =>
    rows.filter((row) => row.model === name.model && row.label === name.label);
  const memory = own(model.memory);
  const acted = memory.filter((row) => !row.inert);
  const perplexities = atLeastBatch(own(model.perplexities));
  const scores = atLeastBatch(own(common));
  const nTokens = sum(perplexities.map((row) => row.nTokens));
  const nScored = sum(scores.map((row) => row.n));
  const point = decodeAt && decodePoints(model, name.model).find((p) => p.label === name.label && atPoint(p, decodeAt));
  return {
    rank: null,
    ...name,
    inert: memory.length > 0 && acted.length === 0,
    ofF16: share(acted, (r) => r.bytesEnd),
    payload: share(acted, (r) => r.bytesIdeal),
    ppl: nTokens === 0 ? null : Math.exp(sum(perplexities.map((row) => row.nTokens * Math.log(row.ppl))) / nTokens),
    delta: perplexities.length === 1 ? perplexities[0]!.delta : null,
    score: nScored === 0 ? null : sum(scores.map((row) => row.n * row.score)) / nScored,
    nScored,
    dMedian: medianD(model, name),
    tokS: point?.tokS ?? null,
    sSame: point?.sSame ?? null,
  };
}

function share(rows: readonly MemoryEntry[], bytes: (row: MemoryEntry) => number | null): number | null {
  const held = rows.map(bytes);
  if (held.length === 0 || held.includes(null)) return null;
  return sum(held as number[]) / sum(rows.map((row) => row.bytesF16));
}

/** Cells of the smallest batch size: with `invariant` the others say the same. */
function atLeastBatch<Row extends { batch: number }>(rows: readonly Row[]): Row[] {
  const least = Math.min(...rows.map((row) => row.batch));
  return rows.filter((row) => row.batch === least);
}

function medianD(model: ReportModel, name: Name): number | null {
  const settings = model.generations.filter((setting) => setting.model === name.model);
  const scored = new Set(model.scores.map((row) => row.dataset));
  const open = settings.filter((setting) => !scored.has(setting.dataset));
  const entries = (open.length > 0 ? open : settings).flatMap((setting) => {
    const entry = setting.lengths.find((e) => e.label === name.label && !e.inert);
    return entry ? [entry] : [];
  });
  if (entries.every((entry) => entry.ds.length > 0)) return median(entries.flatMap((entry) => entry.ds));
  // pairs too many to read: the stored median of the largest data set
  const [largest] = entries.sort((a, b) => b.summary.n - a.summary.n);
  return largest?.summary.medianRatio ? 1 - largest.summary.medianRatio : null;
}

type Decode = { label: string; promptTokens: number; batch: number; tokS: number; sSame: number | null };

function decodePoints(model: ReportModel, name?: string): Decode[] {
  return model.throughputs
    .filter((setting) => name === undefined || setting.model === name)
    .flatMap((setting) =>
      setting.points
        .filter((p) => p.phase === 'decode' && !p.isMax)
        .map((p) => ({ ...p, promptTokens: setting.promptTokens })),
    );
}

const atPoint = (p: Decode, at: { promptTokens: number; batch: number }) =>
  p.promptTokens === at.promptTokens && p.batch === at.batch;

/** The point that most compressors were timed at; of several the one with the most cached tokens. */
function commonDecodePoint(model: ReportModel): Ranking['decodeAt'] {
  const points = decodePoints(model);
  const count = (at: Decode) => new Set(points.filter((p) => atPoint(p, at)).map((p) => p.label)).size;
  const [best] = [...points].sort(
    (a, b) => count(b) - count(a) || b.promptTokens * b.batch - a.promptTokens * a.batch || b.batch - a.batch,
  );
  return best ? { promptTokens: best.promptTokens, batch: best.batch } : null;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
