import { beforeAll, expect, test } from 'vitest';
import { query } from '../activities/database.ts';
import { readPairs, replaceLengthShift, staleCells, upsertCellStats, upsertEstimates } from '../activities/ledger.ts';
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
    ],
    { promptSets: [prompts] },
  ));
});

const run = (cellNo: number) => ({ sweepNo, cellNo });

test('pairs hold both sides by prompt; a side that is missing or failed shows as such', async () => {
  const rows = await readPairs(database.db, run(1), run(0));
  expect(
    rows.map((row) => [row.promptKey, row.base && [...row.base.tokens!], row.comp?.tokens && [...row.comp.tokens]]),
  ).toEqual([
    ['chat/0000', [1, 2], [1, 2, 3]],
    ['chat/0001', [3], null],
    ['chat/0002', [4], undefined],
  ]);
  expect(rows[0]!.comp).toMatchObject({
    finish: 'stop',
    newTokens: 3,
    stopId: 2,
    queueUs: 1000,
    prefillUs: 20_000,
    decodeUs: 3000,
    extra: { kept_layers: [12, 12.5] },
  });
  expect(rows[1]!.comp).toMatchObject({ finish: 'error', errorKind: 'numeric', newTokens: null, outSha: null });
  expect(rows[2]!.comp).toBeNull();
  expect(rows[0]!.base!.promptSha).toBe(rows[0]!.comp!.promptSha);
});

test('without a baseline every pair lacks that side', async () => {
  expect((await readPairs(database.db, run(3), null)).map((row) => row.base)).toEqual([null, null, null]);
});

test('a cell is stale until its own version of the summary is newer than every run that it rests on', async () => {
  const stale = async (version = 'v1', sweep = sweepNo) =>
    (await staleCells(database.db, sweep, version)).map((cell) => cell.cellNo);
  expect(await staleCells(database.db, sweepNo, 'v1')).toMatchObject([
    // Noise cells come first: what others compare themselves with.
    { cellNo: 2, noiseKind: 'batch', baseline: run(0), noise: [] },
    { cellNo: 0, isBaseline: true, baseline: null },
    { cellNo: 1, label: 'kivi-4', baseline: run(0), noise: [{ ...run(2), noiseKind: 'batch' }] },
    { cellNo: 3, label: 'kivi-2', baseline: null, noise: [] },
  ]);
  for (const cellNo of [0, 1, 2, 3])
    await upsertCellStats(database.db, run(cellNo), 'v1', [{ taskType: '', stats: { n: cellNo } }]);
  expect(await stale()).toEqual([]);
  expect(await stale('v2')).toEqual([2, 0, 1, 3]);
  await query(database.db, 'update cell set finished_at = clock_timestamp() where sweep_no = $1 and cell_no = 2', [
    sweepNo,
  ]);
  expect(await stale()).toEqual([2, 1]);
});

test('a sweep that reuses runs finds them stale under the sweep that ran them', async () => {
  const other = await finishedSweep(database.db, 'borrower', [{ plan: base }, { plan: kivi }], {
    promptSets: [prompts],
  });
  expect(other.reused).toBe(2);
  const cells = await staleCells(database.db, other.sweepNo, 'v9');
  expect(cells.map((cell) => [cell.sweepNo, cell.cellNo])).toEqual([
    [sweepNo, 0],
    [sweepNo, 1],
  ]);
});

test('shifts and summaries are replaced whole, estimates by their name', async () => {
  const row = {
    sampleIdx: 0,
    rep: 0,
    lBase: 2,
    lComp: 3,
    d: -0.5,
    dLo: Number.NEGATIVE_INFINITY,
    dHi: -0.5,
    censor: 'comp',
    same: false,
    firstDiff: 2,
    stopMissed: true,
    stopEarly: false,
    beyondNoise: null,
  } as const;
  await replaceLengthShift(database.db, run(1), run(0), [row, { ...row, sampleIdx: 1 }]);
  await replaceLengthShift(database.db, run(1), run(0), [{ ...row, lComp: 4 }]);
  expect(await query(database.db, 'select sample_idx, l_comp, d_lo, base_cell_no from length_shift')).toEqual([
    { sample_idx: 0, l_comp: 4, d_lo: Number.NEGATIVE_INFINITY, base_cell_no: 0 },
  ]);
  const estimate = { value: 1.5, lo: 1, hi: 2, p: null, n: 3, nClusters: 3, b: 1000, seed: 42, version: 'v1' };
  await upsertEstimates(database.db, run(1), [
    { statistic: 'geo_ratio', ...estimate },
    { statistic: 'share_same', ...estimate },
  ]);
  await upsertEstimates(database.db, run(1), [{ statistic: 'geo_ratio', ...estimate, value: 2 }]);
  expect(
    await query(
      database.db,
      'select statistic, value, n_clusters, seed from kv.estimates where cell_key = $1 order by 1',
      [kivi.key],
    ),
  ).toEqual([
    { statistic: 'geo_ratio', value: 2, n_clusters: 3, seed: 42 },
    { statistic: 'share_same', value: 1.5, n_clusters: 3, seed: 42 },
  ]);
});
