import { describe, expect, test } from 'vitest';
import { query } from '../activities/database.ts';
import { insertPlan, readPaces } from '../activities/ledger.ts';
import { planTime, planTimeText } from '../cli/plan-time.ts';
import { useDatabase } from './support/database.ts';
import { cellPlan, sweepPlan } from './support/plans.ts';

const database = useDatabase();
const generate = { model: 'm', backend: 'cpu', workload: 'generate' } as const;

describe('the time that a plan is said to take', () => {
  test('is the guess where nothing of its kind ran', () => {
    const time = planTime([{ ...generate, estMs: 60_000 }], [{ ...generate, model: 'other', ratio: 9, cells: 1 }]);
    expect(time).toEqual({ ms: 60_000, guessed: 1, recorded: 0 });
    expect(planTimeText(time)).toMatch(/^very roughly .*guessed/);
  });

  test('follows the recorded pace of its model, backend and workload', () => {
    const cells = [
      { ...generate, estMs: 60_000 },
      { ...generate, workload: 'throughput', estMs: 10_000 },
    ] as const;
    const time = planTime(cells, [{ ...generate, ratio: 0.25, cells: 12 }]);
    expect(time).toEqual({ ms: 25_000, guessed: 1, recorded: 12 });
    expect(planTimeText(time)).toContain('by 12 cells that ran here; 1 of another kind are guessed');
  });
});

test('a pace is measured time by planned time over the done cells that ran themselves', async () => {
  const cells = Array.from({ length: 4 }, (_, i) => ({ ...cellPlan(`pace ${i}`), estMs: 1_000 }));
  const { sweepNo } = await insertPlan(database.db, sweepPlan('pace', [cells]));
  const ended = async (cellNo: number, seconds: number, more = '') =>
    await query(
      database.db,
      `update cell set status = 'done', started_at = now(), finished_at = now() + $3 * interval '1 second' ${more}
        where sweep_no = $1 and cell_no = $2`,
      [sweepNo, cellNo, seconds],
    );
  const [{ first }] = (await query<{ first: number }>(
    database.db,
    'select min(cell_no) as first from cell where sweep_no = $1',
    [sweepNo],
  )) as [{ first: number }];
  await ended(first, 2);
  await ended(first + 1, 4);
  // taken over from another sweep: its time was not measured here
  await ended(first + 2, 900, ', reused_from = sweep_no');
  const { model, backend, workload } = cells[0]!;
  expect(await readPaces(database.db, [model])).toEqual([{ model, backend, workload, ratio: 3, cells: 2 }]);
  expect(await readPaces(database.db, ['no such model'])).toEqual([]);
});
