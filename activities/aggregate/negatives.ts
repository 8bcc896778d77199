/**
 * The stage of aggregation that finds negatives: thresholds of each baseline, counts of each cell by task type, rule and
 * theta, and the sparse sets. It recomputes from scores and replaces what was there; twice, or twice at once, changes
 * nothing. Many cells go through one statement; cells of one baseline go together, so that its scores are read once.
 */
import { type BaseReplicates, baseReplicates } from '../../analysis/negative-replicates.ts';
import { type Thresholds, thresholdsOf } from '../../analysis/negatives.ts';
import { floorOf } from '../../analysis/noise-floor.ts';
import { lanesUntilFailure } from '../../workflows/lanes.ts';
import type { Db } from '../database.ts';
import { type RunRef, runKey, type StaleCell } from '../ledger.ts';
import { type CellFacts, cellFacts, type NoiseRun, noiseRuns, type TaskTypes, taskTypesOf } from './negative-facts.ts';
import { type Judged, judge } from './negative-judge.ts';
import { replaceNegatives, replaceThresholds, type ThresholdRow } from './negative-rows.ts';
import { readScoreColumns, type ScoreColumn } from './score-columns.ts';

/** Version of the code that wrote the rows. */
export const NEGATIVES_VERSION = 'kvsweep-negatives-1';

/** Score rows that one statement fetches, about: enough to hide its cost, few enough to keep in memory twice. */
const CELLS_PER_BATCH = 100;

/** What the stage has to know of a cell. */
export type NegativeCell = Pick<StaleCell, 'sweepNo' | 'cellNo' | 'isBaseline' | 'noiseKind' | 'inert' | 'baseline'>;

/** Brings the negatives of `cells` up to date. @param breathe called after every batch; what it throws ends the work */
export async function aggregateNegatives(
  db: Db,
  cells: readonly NegativeCell[],
  breathe: () => Promise<void>,
): Promise<void> {
  const facts = await cellFacts(db, cells);
  const types = await taskTypesOf(db, facts);
  const noise = await noiseRuns(db, baselinesOf(cells));
  let last: Known | null = null;
  // Two batches at a time: while one waits for the server, the other computes.
  await lanesUntilFailure(2, batchesOf(cells), async (batch) => {
    const known = await knownBaselines(db, batch, noise, last);
    last = known;
    await aggregateBatch(db, batch, known, facts, types);
    await breathe();
  });
}

/** Cells of one baseline next to each other, in an order that two aggregations at once share. */
function batchesOf(cells: readonly NegativeCell[]): NegativeCell[][] {
  const place = (run: RunRef | null) => (run ? [run.sweepNo, run.cellNo] : [-1, -1]);
  const order = (cell: NegativeCell) => [...place(baselineRun(cell)), cell.sweepNo, cell.cellNo];
  const sorted = [...cells].sort((a, b) => {
    const [left, right] = [order(a), order(b)];
    const at = left.findIndex((part, i) => part !== right[i]);
    return at < 0 ? 0 : left[at]! - right[at]!;
  });
  return Array.from({ length: Math.ceil(sorted.length / CELLS_PER_BATCH) }, (_, i) =>
    sorted.slice(i * CELLS_PER_BATCH, (i + 1) * CELLS_PER_BATCH),
  );
}

function baselinesOf(cells: readonly NegativeCell[]): RunRef[] {
  return [...new Map(cells.flatMap((cell) => baselineRun(cell) ?? []).map((run) => [runKey(run), run])).values()];
}

/** A baseline under one metric, as its cells are held against it. */
export interface BaselineMetric extends ScoreColumn {
  thresholds: Thresholds;
  /** Of all uncompressed runs; null without replicates. */
  replicates: BaseReplicates | null;
  /** Scores of the noise cell that serves as floor; null without one. */
  floor: ScoreColumn | null;
}

export interface Baseline {
  run: RunRef;
  replicates: readonly RunRef[];
  metrics: BaselineMetric[];
}

type Known = Map<string, Baseline>;

/** The baselines of a batch; those of the batch before are kept. Writes the thresholds of new ones. */
async function knownBaselines(
  db: Db,
  batch: readonly NegativeCell[],
  noise: ReadonlyMap<string, NoiseRun[]>,
  before: Known | null,
): Promise<Known> {
  const known: Known = new Map();
  const missing = new Map<string, RunRef>();
  for (const cell of batch) {
    const run = baselineRun(cell);
    if (!run) continue;
    const old = before?.get(runKey(run));
    if (old) known.set(runKey(run), old);
    else missing.set(runKey(run), { sweepNo: run.sweepNo, cellNo: run.cellNo });
  }
  const wanted = [...missing.values()];
  if (wanted.length === 0) return known;
  const columns = await readScoreColumns(
    db,
    wanted.flatMap((run) => [run, ...(noise.get(runKey(run)) ?? [])]),
  );
  const made = wanted.map((run) => baselineOf(run, noise.get(runKey(run)) ?? [], columns));
  await replaceThresholds(db, NEGATIVES_VERSION, made.flatMap(thresholdRows));
  for (const baseline of made) known.set(runKey(baseline.run), baseline);
  return known;
}

function baselineRun(cell: NegativeCell): RunRef | null {
  return cell.isBaseline ? cell : cell.baseline;
}

function baselineOf(run: RunRef, noise: readonly NoiseRun[], columns: ReadonlyMap<string, ScoreColumn[]>): Baseline {
  const replicates = noise.filter((cell) => columns.has(runKey(cell)));
  const floor = floorOf(replicates);
  const metrics = (columns.get(runKey(run)) ?? []).map((own): BaselineMetric => {
    const others = replicates.flatMap((cell) => sameMetric(columns.get(runKey(cell)), own) ?? []);
    return {
      ...own,
      thresholds: thresholdsOf(own.scores)!,
      replicates: others.length > 0 ? baseReplicates([own, ...others]) : null,
      floor: (floor && sameMetric(columns.get(runKey(floor)), own)) ?? null,
    };
  });
  return { run, replicates, metrics };
}

export function sameMetric(
  columns: readonly ScoreColumn[] | undefined,
  of: { metric: string; variant: string },
): ScoreColumn | undefined {
  return columns?.find((column) => column.metric === of.metric && column.variant === of.variant);
}

function thresholdRows({ run, replicates, metrics }: Baseline): ThresholdRow[] {
  return metrics.map(({ metric, variant, thresholds, replicates: said }) => ({
    ...run,
    metric,
    variant,
    ...thresholds,
    replicates,
    robustMedian: said?.thresholds.median ?? null,
    robustMean: said?.thresholds.mean ?? null,
  }));
}

async function aggregateBatch(
  db: Db,
  batch: readonly NegativeCell[],
  known: Known,
  facts: ReadonlyMap<string, CellFacts>,
  types: TaskTypes,
): Promise<void> {
  const compared = batch.filter(
    (cell) => !cell.isBaseline && cell.baseline && !cell.inert && !facts.get(runKey(cell))?.isReplicate,
  );
  const twins = compared.flatMap((cell) => facts.get(runKey(cell))?.twins ?? []);
  const columns = await readScoreColumns(db, [...compared, ...twins]);
  const judged: Judged[] = [];
  for (const cell of compared) {
    const baseline = known.get(runKey(cell.baseline!));
    for (const own of columns.get(runKey(cell)) ?? []) {
      const base = baseline?.metrics.find((m) => m.metric === own.metric && m.variant === own.variant);
      if (!baseline || !base) continue;
      const { twins, promptSet } = facts.get(runKey(cell))!;
      judged.push(
        judge({
          run: cell,
          baseline: baseline.run,
          base,
          own,
          twins,
          twinColumns: twins.flatMap((twin) => sameMetric(columns.get(runKey(twin)), own) ?? []),
          isNoise: cell.noiseKind !== null,
          types: types.of(promptSet),
        }),
      );
    }
  }
  await replaceNegatives(db, NEGATIVES_VERSION, batch, judged);
}
