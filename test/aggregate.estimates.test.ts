/** The slow half of an aggregation, a job of its own: planned in slices, computed slice by slice, never before summaries. */
import { expect, test } from 'vitest';
import { AGGREGATION_JOBS, countOpenEstimates, planEstimates } from '../activities/aggregate/jobs.ts';
import { query } from '../activities/database.ts';
import { PROMPTS, storeSweep, tokens } from './fixtures/stored-sweep.ts';
import { useDatabase } from './support/database.ts';
import { cellPlan } from './support/plans.ts';

const database = useDatabase();
const BASE = [100, 100, 100, 80, 8, 40].map((n) => tokens(n));
const LONGER = [100, 150, 200, 90, 9, 130].map((n) => tokens(n));

async function stored(id: string): Promise<number> {
  const base = cellPlan(`${id} none`, { prompts: PROMPTS });
  const compared = [4, 2].map((bits) => ({
    plan: cellPlan(`${id} kivi-${bits}`, {
      prompts: PROMPTS,
      baselineKey: base.key,
      compressor: { kivi: { bits } },
      label: `kivi-${bits}`,
    }),
    answers: { lists: LONGER },
  }));
  return await storeSweep(database.db, id, [{ plan: base, answers: { lists: BASE } }, ...compared]);
}

const count = async (table: string, sweepNo: number) =>
  (
    await query<{ n: number }>(database.db, `select count(*)::int as n from ${table} where sweep_no = $1`, [sweepNo])
  )[0]!.n;
const noBeat = () => {};

test('summaries are there without one interval, and every cell is then open for estimates', async () => {
  const sweepNo = await stored('summaries');
  await AGGREGATION_JOBS.summaries(database.db, sweepNo, noBeat);
  expect(await count('cell_stats', sweepNo)).toBeGreaterThan(0);
  expect(await count('estimate', sweepNo)).toBe(0);
  expect(await countOpenEstimates(database.db, sweepNo)).toBe(3);
});

test('a slice computes its own cells only; all slices together leave nothing open', async () => {
  const sweepNo = await stored('slices');
  await AGGREGATION_JOBS.summaries(database.db, sweepNo, noBeat);
  const planned = await planEstimates(database.db, sweepNo);
  expect(planned.map((slice) => slice.stage)).toEqual(['intervals', 'diagnostics']);
  const { runs } = planned[0]!;
  expect(runs).toHaveLength(3);

  const beats: string[] = [];
  const last = runs.at(-1)!;
  await AGGREGATION_JOBS.estimate(
    database.db,
    sweepNo,
    { stage: 'intervals', runs: [last] },
    () => void beats.push('.'),
  );
  expect(beats.length).toBeGreaterThan(5);
  const cells = await query<{ run: string }>(
    database.db,
    "select distinct sweep_no || '/' || cell_no as run from estimate where sweep_no = $1",
    [sweepNo],
  );
  expect(cells.map((cell) => cell.run)).toEqual([last]);
  const left = await AGGREGATION_JOBS.planEstimates(database.db, sweepNo);
  expect(left[0]!.runs).toEqual(runs.slice(0, -1));

  for (const slice of left) await AGGREGATION_JOBS.estimate(database.db, sweepNo, slice, noBeat);
  expect(await AGGREGATION_JOBS.planEstimates(database.db, sweepNo)).toEqual([]);
  expect(await countOpenEstimates(database.db, sweepNo)).toBe(0);
});

test('no more slices are handed out at once than asked for; the others come with the next plan', async () => {
  const sweepNo = await stored('few');
  const [first] = await planEstimates(database.db, sweepNo, 1);
  expect(await planEstimates(database.db, sweepNo, 1)).toEqual([first]);
  await AGGREGATION_JOBS.estimate(database.db, sweepNo, first!, noBeat);
  const [second] = await planEstimates(database.db, sweepNo, 1);
  expect([first!.stage, second!.stage]).toEqual(['intervals', 'diagnostics']);
});

test('a slice of a stage that does not exist is refused by its name', async () => {
  const sweepNo = await stored('unknown');
  const slice = { stage: 'averages', runs: [] };
  await expect(AGGREGATION_JOBS.estimate(database.db, sweepNo, slice, noBeat)).rejects.toThrow(/averages/);
});
