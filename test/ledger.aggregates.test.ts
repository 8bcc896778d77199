import { beforeAll, expect, test } from 'vitest';
import { query } from '../activities/database.ts';
import {
  markStage,
  readOutputPairs,
  readSampleColumns,
  replaceCellStats,
  replaceEstimates,
  replaceOutputDiffs,
  runKey,
  type StageNeeds,
  staleCells,
} from '../activities/ledger.ts';
import { useDatabase } from './support/database.ts';
import { cellPlan, promptSet, sha } from './support/plans.ts';
import { sampleRow } from './support/rows.ts';
import { finishedSweep } from './support/sweeps.ts';

const database = useDatabase();
const prompts = promptSet(3);
const base = cellPlan('base');
const kivi = cellPlan('kivi', { compressor: { kivi: { bits: 4 } }, label: 'kivi-4', baselineKey: base.key });
const noise = cellPlan('noise', { noise: { kind: 'batch', no: 0 }, baselineKey: base.key });
const lone = cellPlan('lone', { compressor: { kivi: { bits: 2 } }, label: 'kivi-2', baselineKey: sha('never run') });
/** A replicate of the compressed cell has a noise kind too, and is no noise cell. */
const twin = cellPlan('twin', {
  compressor: { kivi: { bits: 4 } },
  label: 'kivi-4',
  noise: { kind: 'batch', no: 0 },
  baselineKey: base.key,
});
let sweepNo: number;

beforeAll(async () => {
  const failed = sampleRow(1, [], { finish: 'error', errorKind: 'numeric', newTokens: null, outSha: null });
  ({ sweepNo } = await finishedSweep(
    database.db,
    'aggregates',
    [
      { plan: base, lists: [[1, 2], [3], [4]] },
      { plan: kivi, lists: [[1, 2, 3], [], []], over: { samples: [sampleRow(0, [1, 2, 3]), failed] } },
      { plan: noise, lists: [[1, 2], [3], [4]] },
      { plan: lone, lists: [[1], [2], [3]] },
      { plan: twin, lists: [[1], [2], [3]] },
    ],
    { promptSets: [prompts] },
  ));
});

const run = (cellNo: number) => ({ sweepNo, cellNo });
const stageOf = (needs: StageNeeds, version = 'v1') =>
  ({ name: 'lengths', version, needs, workloads: ['generate'] }) as const;

test('columns of several runs come in one read; what a sample lacks has a value that no sample can have', async () => {
  const columns = await readSampleColumns(database.db, [run(0), run(1), run(99)]);
  expect([...columns.keys()].sort()).toEqual([runKey(run(0)), runKey(run(1))]);
  const own = columns.get(runKey(run(1)))!;
  const order = [...own.promptIdx.keys()].sort((a, b) => own.promptIdx[a]! - own.promptIdx[b]!);
  const at = <T>(values: ArrayLike<T>) => order.map((i) => values[i]);
  expect(at(own.promptIdx)).toEqual([0, 1]);
  expect(at(own.finish)).toEqual([0, 3]);
  expect(at(own.newTokens)).toEqual([3, -1]);
  expect(at(own.stopId)).toEqual([2, 2]);
  expect(at(own.prefillUs)).toEqual([20_000, 20_000]);
  expect(at(own.decodeUs)).toEqual([3000, 0]);
  expect(own.outSha.length).toBe(16);
  expect(await readSampleColumns(database.db, [])).toEqual(new Map());
});

test('outputs are read in pairs where they differ', async () => {
  const pairs = await readOutputPairs(database.db, run(1), run(0));
  expect(pairs.map((pair) => [pair.sampleIdx, [...pair.base.tokenIds], [...pair.comp.tokenIds]])).toEqual([
    [0, [1, 2], [1, 2, 3]],
  ]);
  expect(await readOutputPairs(database.db, run(2), run(0))).toEqual([]);
});

test('a cell is stale until its stage was computed by this version from the runs that are there now', async () => {
  const stale = async (needs: StageNeeds, version?: string) =>
    (await staleCells(database.db, sweepNo, stageOf(needs, version))).map((cell) => cell.cellNo);
  const family = await staleCells(database.db, sweepNo, stageOf('family'));
  expect(family).toMatchObject([
    { cellNo: 0, isBaseline: true, baseline: null, noise: [] },
    { cellNo: 1, label: 'kivi-4', baseline: run(0), sameDevice: true, noise: [{ ...run(2), noiseKind: 'batch' }] },
    { cellNo: 2, noiseKind: 'batch', baseline: run(0), noise: [] },
    { cellNo: 4, noiseKind: 'batch', baseline: run(0), noise: [] },
    { cellNo: 3, label: 'kivi-2', baseline: null, noise: [] },
  ]);
  const finish = async (cellNo: number) =>
    await query(database.db, 'update cell set finished_at = clock_timestamp() where sweep_no = $1 and cell_no = $2', [
      sweepNo,
      cellNo,
    ]);
  const mark = async (needs: StageNeeds) => {
    await markStage(database.db, stageOf(needs), await staleCells(database.db, sweepNo, stageOf(needs)));
    expect(await stale(needs)).toEqual([]);
  };
  await mark('family');
  expect(await stale('family', 'v2')).toEqual([0, 1, 2, 4, 3]);
  // a noise cell: itself, and what is held against it
  await finish(2);
  expect(await stale('family')).toEqual([1, 2]);
  await mark('family');
  // a baseline: all that are compared with it
  await finish(0);
  expect(await stale('family')).toEqual([0, 1, 2, 4]);

  await mark('baseline');
  await finish(2);
  expect(await stale('baseline')).toEqual([2]);
  await finish(0);
  expect(await stale('baseline')).toEqual([0, 1, 2, 4]);

  await mark('own');
  await finish(0);
  expect(await stale('own')).toEqual([0]);
});

test('a sweep that reuses runs finds them stale under the sweep that ran them', async () => {
  const other = await finishedSweep(database.db, 'borrower', [{ plan: base }, { plan: kivi }], {
    promptSets: [prompts],
  });
  expect(other.reused).toBe(2);
  const cells = await staleCells(database.db, other.sweepNo, stageOf('baseline', 'v9'));
  expect(cells.map((cell) => [cell.sweepNo, cell.cellNo])).toEqual([
    [sweepNo, 0],
    [sweepNo, 1],
  ]);
});

test('summaries, estimates and differences of a run are replaced whole; those of other runs stay', async () => {
  const diff = {
    ...run(1),
    baseline: run(0),
    sampleIdx: 0,
    rep: 0,
    firstDiff: 2,
    stopMissed: true,
    stopEarly: false,
  };
  await replaceOutputDiffs(database.db, [run(1), run(2)], [diff, { ...diff, sampleIdx: 1 }, { ...diff, ...run(2) }]);
  await replaceOutputDiffs(database.db, [run(1)], [{ ...diff, firstDiff: 1 }]);
  expect(
    await query(database.db, 'select cell_no, sample_idx, first_diff, base_cell_no from output_diff order by 1, 2'),
  ).toEqual([
    { cell_no: 1, sample_idx: 0, first_diff: 1, base_cell_no: 0 },
    { cell_no: 2, sample_idx: 0, first_diff: 2, base_cell_no: 0 },
  ]);
  await replaceCellStats(database.db, [run(1)], 'v1', [
    { ...run(1), taskType: '', stats: { n: 1 } },
    { ...run(1), taskType: 'QA', stats: { n: 1 } },
  ]);
  await replaceCellStats(database.db, [run(1)], 'v2', [{ ...run(1), taskType: '', stats: { n: 2 } }]);
  expect(await query(database.db, 'select task_type, stats, version from cell_stats')).toEqual([
    { task_type: '', stats: { n: 2 }, version: 'v2' },
  ]);
  const estimate = {
    ...run(1),
    value: 1.5,
    lo: 1,
    hi: 2,
    p: null,
    n: 3,
    nClusters: 3,
    b: 1000,
    seed: 42,
    version: 'v1',
  };
  await replaceEstimates(
    database.db,
    [run(1)],
    [
      { statistic: 'geo_ratio', ...estimate },
      { statistic: 'share_same', ...estimate },
    ],
  );
  await replaceEstimates(database.db, [run(1)], [{ statistic: 'geo_ratio', ...estimate, value: 2 }]);
  expect(
    await query(
      database.db,
      'select statistic, value, n_clusters, seed from kv.estimates where cell_key = $1 order by 1',
      [kivi.key],
    ),
  ).toEqual([{ statistic: 'geo_ratio', value: 2, n_clusters: 3, seed: 42 }]);
});
