/**
 * What `aggregate/<sweepId>` computes: length differences, summaries and intervals of every cell whose rows are newer
 * than its aggregates. It recomputes from rows and replaces what was there, so running it twice, or twice at once,
 * changes nothing; the summary is written last and marks a cell as done.
 */
import {
  ANALYSIS_VERSION,
  cellEstimates,
  type Estimate,
  perplexityEstimates,
  type ScoredPair,
} from '../analysis/estimates.ts';
import { type PairTimes, pairTimes } from '../analysis/latency.ts';
import {
  type LengthShift,
  lengthShifts,
  type Pair,
  type PairedShifts,
  type SampleSide,
} from '../analysis/length-shift.ts';
import { SCORER_VERSION, scoreAnswer } from '../analysis/metrics/index.ts';
import { floorOf, noiseD95 } from '../analysis/noise-floor.ts';
import { bucketOf, summarise } from '../analysis/summaries.ts';
import { kaplanMeier } from '../analysis/survival.ts';
import type { JsonObject } from '../workflows/contracts.ts';
import { type Db, query } from './database.ts';
import {
  type CellStatsRow,
  type PairRow,
  type PairSide,
  type RunRef,
  readAnswers,
  readPairs,
  replaceLengthShift,
  replaceScores,
  type StaleCell,
  staleCells,
  upsertCellStats,
  upsertEstimates,
} from './ledger.ts';

export interface AggregateOptions {
  /** Seed of all resampling. */
  seed?: number;
  /** Bootstrap resamples; the default of the analysis if absent. */
  resamples?: number;
}

export interface AggregateResult {
  /** Cells computed anew; the others were up to date. */
  cells: number;
}

const DEFAULT_SEED = 42;

/** Brings the aggregates of a sweep up to date. @param heartbeat called after every statistic and cell; what it throws ends the work */
export async function aggregateSweep(
  db: Db,
  sweepNo: number,
  heartbeat: (done: number, total: number) => void = () => {},
  options: AggregateOptions = {},
): Promise<AggregateResult> {
  const cells = await staleCells(db, sweepNo, ANALYSIS_VERSION);
  const noise = new Map<string, LengthShift[]>();
  for (const [i, cell] of cells.entries()) {
    const breathe = async (done: number) => {
      heartbeat(done, cells.length);
      // a bootstrap keeps the event loop busy: let timers and heartbeats through before the next
      await new Promise((resume) => setImmediate(resume));
    };
    if (cell.workload === 'score') await aggregateScores(db, cell, options);
    else {
      await scoreAnswers(db, cell);
      await aggregateLengths(db, cell, noise, () => breathe(i), options);
    }
    await breathe(i + 1);
  }
  return { cells: cells.length };
}

/** Answers whose prompt has references and a metric that is computed here; the others stay without a score. */
async function scoreAnswers(db: Db, cell: StaleCell): Promise<void> {
  const rows = (await readAnswers(db, cell)).flatMap(({ sampleIdx, rep, metric, variant, references, text }) => {
    const scored = scoreAnswer(text, references, metric, { variant });
    return scored.map((row) => ({ sampleIdx, rep, ...row }));
  });
  await replaceScores(db, cell, SCORER_VERSION, rows);
}

async function aggregateLengths(
  db: Db,
  cell: StaleCell,
  noiseCache: Map<string, LengthShift[]>,
  breathe: () => Promise<void>,
  { seed = DEFAULT_SEED, resamples }: AggregateOptions,
): Promise<void> {
  const rows = await readPairs(db, cell, cell.baseline);
  const paired: PairedShifts = cell.baseline ? lengthShifts(rows.map(pairOf)) : { rows: [], nMissing: 0, nMismatch: 0 };
  const times = cell.baseline && (await sameDevice(db, cell, cell.baseline)) ? pairTimes(rows.map(pairOf)) : [];
  const noise = cell.noiseKind === null ? await noiseRows(db, cell, noiseCache) : null;
  if (cell.baseline) {
    await replaceLengthShift(db, cell, cell.baseline, shiftRows(paired.rows, rows, noise && noiseD95(noise)));
    const estimates: Estimate[] = [];
    for (const estimate of cellEstimates({ shifts: paired.rows, times, noise }, seed, resamples)) {
      estimates.push(finite(estimate));
      await breathe();
    }
    await upsertEstimates(db, cell, estimates);
  }
  await upsertCellStats(db, cell, ANALYSIS_VERSION, statsRows(rows, paired, times));
}

/** Pairs of the noise floor's cell with the baseline of `cell`; null = not measured. */
async function noiseRows(db: Db, cell: StaleCell, cache: Map<string, LengthShift[]>): Promise<LengthShift[] | null> {
  // in the order of their numbers within a kind, so the position serves as number
  const floor = floorOf(cell.noise.map((run, no) => ({ kind: run.noiseKind, no, run })));
  if (!floor || !cell.baseline) return null;
  const key = `${floor.run.sweepNo}/${floor.run.cellNo}`;
  const cached = cache.get(key);
  if (cached) return cached;
  const { rows } = lengthShifts((await readPairs(db, floor.run, cell.baseline)).map(pairOf));
  cache.set(key, rows);
  return rows;
}

async function aggregateScores(
  db: Db,
  cell: StaleCell,
  { seed = DEFAULT_SEED, resamples }: AggregateOptions,
): Promise<void> {
  const rows = await readPairs(db, cell, cell.baseline);
  const pairs = rows.flatMap((row): ScoredPair[] => {
    const [base, comp] = [scoreOf(row.base), scoreOf(row.comp)];
    if (!base || !comp) return [];
    const { promptKey } = row;
    return [{ promptKey, logprobBase: base.sum, tokensBase: base.n, logprobComp: comp.sum, tokensComp: comp.n }];
  });
  if (cell.baseline) await upsertEstimates(db, cell, perplexityEstimates(pairs, seed, resamples).map(finite));
  const own = rows.flatMap((row) => scoreOf(row.comp) ?? []);
  const stats: JsonObject = {
    n: own.length,
    nTokens: own.reduce((sum, score) => sum + score.n, 0),
    sumLogprob: own.reduce((sum, score) => sum + score.sum, 0),
  };
  await upsertCellStats(db, cell, ANALYSIS_VERSION, [{ taskType: '', stats }]);
}

function scoreOf(side: PairSide | null): { sum: number; n: number } | null {
  const sum = side?.extra?.logprob_sum;
  if (!side || side.finish === 'error' || typeof sum !== 'number' || side.newTokens === null) return null;
  return { sum, n: side.newTokens };
}

/** Times are compared on one class of device only; two runs that name none are not known to differ. */
async function sameDevice(db: Db, a: RunRef, b: RunRef): Promise<boolean> {
  const rows = await query<{ n: number }>(
    db,
    `select count(distinct coalesce(provenance #>> '{device,name}', '')) as n
       from cell
      where (sweep_no, cell_no) in (($1, $2), ($3, $4))`,
    [a.sweepNo, a.cellNo, b.sweepNo, b.cellNo],
  );
  return rows[0]!.n <= 1;
}

function pairOf(row: PairRow): Pair {
  return { promptKey: row.promptKey, replicate: row.rep, base: sideOf(row.base), comp: sideOf(row.comp) };
}

function sideOf(side: PairSide | null): SampleSide | null {
  if (!side) return null;
  const ms = (us: number | null) => (us === null ? null : us / 1000);
  return {
    newTokens: side.newTokens ?? 0,
    finish: side.finish,
    stopId: side.stopId,
    promptSha: side.promptSha,
    tokensSha: side.outSha ?? '',
    tokenIds: side.tokens,
    queueMs: ms(side.queueUs),
    prefillMs: ms(side.prefillUs),
    decodeMs: ms(side.decodeUs),
  };
}

function shiftRows(shifts: readonly LengthShift[], rows: readonly PairRow[], d95: number | null) {
  const indexOf = new Map(rows.map((row) => [`${row.promptKey}\n${row.rep}`, row.sampleIdx]));
  return shifts.map(({ promptKey, replicate, ...shift }) => ({
    ...shift,
    sampleIdx: indexOf.get(`${promptKey}\n${replicate}`)!,
    rep: replicate,
    beyondNoise: d95 === null || shift.d === null ? null : Math.abs(shift.d) > d95,
  }));
}

/** A statistic without a finite value has none in the table; SQL's NaN would poison every average over it. */
function finite(e: Estimate): Estimate {
  const number = (x: number | null) => (x !== null && Number.isFinite(x) ? x : null);
  return { ...e, value: number(e.value), lo: number(e.lo), hi: number(e.hi) };
}

/** One summary over all pairs, and one per task type if the prompts have any. All of them add up. */
function statsRows(rows: readonly PairRow[], paired: PairedShifts, times: readonly PairTimes[]): CellStatsRow[] {
  const typeOf = new Map(rows.map((row) => [row.promptKey, row.taskType ?? '']));
  const types = [...new Set(typeOf.values())].filter((type) => type !== '');
  return ['', ...types].map((taskType) => {
    const within = (row: { promptKey: string }) => taskType === '' || typeOf.get(row.promptKey) === taskType;
    const own = rows.filter(within);
    const part: PairedShifts = taskType === '' ? paired : { rows: paired.rows.filter(within), ...leftOut(own) };
    const pairs =
      paired.rows.length + paired.nMissing + paired.nMismatch > 0 ? summarise(part, times.filter(within)) : {};
    return { taskType, stats: { ...pairs, own: ownLengths(own) } as JsonObject };
  });
}

function leftOut(rows: readonly PairRow[]): { nMissing: number; nMismatch: number } {
  const { nMissing, nMismatch } = lengthShifts(rows.map(pairOf));
  return { nMissing, nMismatch };
}

/** Lengths of the cell's own answers, whatever it is compared with. */
function ownLengths(rows: readonly PairRow[]): JsonObject {
  const answers = rows.flatMap(({ comp }) =>
    comp && comp.finish !== 'error' && comp.newTokens !== null ? [comp] : [],
  );
  const observed = answers.map((a) => ({ length: a.newTokens!, cut: a.finish !== 'stop' }));
  const buckets: Record<string, number> = {};
  for (const { length } of observed) buckets[bucketOf(length)] = (buckets[bucketOf(length)] ?? 0) + 1;
  return {
    n: observed.length,
    nCut: observed.filter((o) => o.cut).length,
    sumTokens: observed.reduce((sum, o) => sum + o.length, 0),
    medianKm: kaplanMeier(observed).median,
    lengthBuckets: buckets,
  };
}
