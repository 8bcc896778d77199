/** Stored summaries of cells, as the report words them: shares with bounds, ratios, the decomposition of latency. */
import { type Db, query } from '../../activities/database.ts';
import { decompose, type LatencySummary } from '../../analysis/latency.ts';
import type { LengthSummary, Share, ShareName } from '../../analysis/length-summary.ts';
import type { ExactSummary, MergeableSummary, OwnLengths } from '../../analysis/summaries.ts';
import type { CellLengths, GenerateCell } from '../assemble.ts';
import type { PooledLatency, PooledLengths, TaskLengths } from '../model.ts';

/** What aggregation keeps of the pairs of a cell, and of its own answers. The pairs are absent without a baseline. */
export type StoredSummary = Partial<MergeableSummary & { exact: ExactSummary }> & { own: OwnLengths };

interface SummaryLine {
  cell_key: string;
  task_type: string;
  stats: StoredSummary;
}

/** Whole summaries (task type '') and those of task types, without what only merging needs. */
export async function summaryLines(db: Db, keys: readonly string[]): Promise<SummaryLine[]> {
  return await query(
    db,
    `select encode(r.key, 'hex') as cell_key, t.task_type,
            t.stats - 'lengthBuckets' - 'serviceBuckets' #- '{own,lengthBuckets}' as stats
       from newest_run r
       join cell_stats t using (sweep_no, cell_no)
      where r.key in (select decode(k, 'hex') from unnest($1::text[]) as k)
      order by cell_key, task_type`,
    [keys],
  );
}

interface StopLine {
  cell_key: string;
  missed: number;
  early: number;
}

/** Pairs whose outputs are the same words with another end. */
export async function stopLines(db: Db, keys: readonly string[]): Promise<StopLine[]> {
  return await query(
    db,
    `select encode(r.key, 'hex') as cell_key, count(*) filter (where o.stop_missed)::int as missed,
            count(*) filter (where o.stop_early)::int as early
       from newest_run r
       join output_diff o using (sweep_no, cell_no)
      where r.key in (select decode(k, 'hex') from unnest($1::text[]) as k) and (o.stop_missed or o.stop_early)
      group by r.key`,
    [keys],
  );
}

type Pairs = MergeableSummary & { exact: ExactSummary };

export const hasPairs = (stats: StoredSummary): stats is StoredSummary & Pairs => stats.n !== undefined;

/** The sums of stored statistics alone; the buckets, which no report reads, stay behind. */
function sumsOf(stats: Pairs): MergeableSummary {
  const { exact, own, ...sums } = stats as StoredSummary & Pairs;
  return { ...sums, lengthBuckets: {}, serviceBuckets: {} };
}

function shareOf(s: MergeableSummary, name: ShareName): Share {
  return { value: s[name] / s.n, lo: s[`${name}Certain`] / s.n, hi: s[`${name}Possible`] / s.n };
}

/** What can be told of sums, of one cell or of several together. */
export function pooledLengths(s: MergeableSummary): PooledLengths {
  const some = s.n > 0;
  const part = (count: number) => (some ? count / s.n : null);
  return {
    n: s.n,
    gt50: some ? shareOf(s, 'gt50') : null,
    longer50: some ? shareOf(s, 'longer50') : null,
    shorter50: some ? shareOf(s, 'shorter50') : null,
    shareSame: part(s.same),
    shareNear: part(s.near),
    ratioOfMeans: s.sumBase > 0 ? s.sumComp / s.sumBase : null,
    geoRatio: s.nLogRatio > 0 ? Math.exp(s.sumLogRatio / s.nLogRatio) : null,
    meanOfRatios: some ? 1 - s.sumD / s.n : null,
    censoredBase: part(s.censoredBase),
    censoredComp: part(s.censoredComp),
  };
}

export function lengthSummaryOf(s: Pairs, stops: { missed: number; early: number }): LengthSummary {
  const [, , q25, q50, q75] = s.exact.quantiles;
  const defined = <T>(value: T | null | undefined): value is T => value !== null && value !== undefined;
  return {
    ...pooledLengths(s),
    nUndefined: s.nUndefined,
    quantiles: s.exact.quantiles,
    iqr: defined(q75) && defined(q25) ? q75 - q25 : null,
    medianRatio: defined(q50) ? 1 - q50 : null,
    stopMissed: stops.missed,
    stopEarly: stops.early,
  };
}

function taskOf(taskType: string, s: Pairs): TaskLengths {
  const { n, gt50, longer50, shorter50, ratioOfMeans, geoRatio } = lengthSummaryOf(s, { missed: 0, early: 0 });
  return { taskType, n, gt50: gt50!, longer50: longer50!, shorter50: shorter50!, ratioOfMeans, geoRatio };
}

export function latencyOf(s: Pairs): LatencySummary | null {
  const times = timesOf(s);
  return times && { ...times, ratioP50: s.exact.ratioP50!, ratioP95: s.exact.ratioP95! };
}

/** Null without comparable times. */
export function timesOf(s: MergeableSummary): PooledLatency['summary'] | null {
  // without decode steps on both sides there is no rate to compare
  if (s.nTimed === 0 || s.stepsBase === 0 || s.stepsComp === 0 || s.decodeBaseMs === 0 || s.decodeCompMs === 0)
    return null;
  const sums = {
    prefillBase: s.prefillBaseMs,
    prefillComp: s.prefillCompMs,
    decodeBase: s.decodeBaseMs,
    decodeComp: s.decodeCompMs,
    stepsBase: s.stepsBase,
    stepsComp: s.stepsComp,
  };
  return {
    ...decompose(sums),
    n: s.nTimed,
    shareSlower: s.slower / s.nTimed,
    shareParadox: s.paradox / s.nTimed,
  };
}

/** @param nClusters prompts, the unit of resampling; unknown before intervals are computed */
export function cellSummary(
  lines: readonly SummaryLine[],
  stops: { missed: number; early: number },
  nClusters: number | undefined,
): Pick<GenerateCell, 'lengths' | 'latency' | 'own' | 'sums'> {
  const whole = lines.find((line) => line.task_type === '')?.stats;
  if (!whole) return { lengths: null, latency: null, own: null, sums: null };
  const { n, nCut, medianKm } = whole.own;
  const own = { n, nCut, medianLength: medianKm };
  if (!hasPairs(whole)) return { lengths: null, latency: null, own, sums: null };
  const typed = lines.flatMap(({ task_type, stats }) =>
    task_type !== '' && hasPairs(stats) && stats.n > 0 ? [{ taskType: task_type, stats }] : [],
  );
  const tasks = typed.map(({ taskType, stats }) => taskOf(taskType, stats));
  const lengths: CellLengths = {
    summary: lengthSummaryOf(whole, stops),
    histogram: whole.histogram,
    absD95: whole.exact.absD95,
    nMissing: whole.nMissing,
    nMismatch: whole.nMismatch,
    nClusters: nClusters ?? whole.n,
    tasks: tasks.length > 1 ? tasks : [],
  };
  const sums = {
    whole: sumsOf(whole),
    tasks: typed.map(({ taskType, stats }) => ({ taskType, sums: sumsOf(stats) })),
  };
  return { lengths, latency: latencyOf(whole), own, sums };
}
