/** The generated sweep of `npm run scale:analysis`, small: what aggregation stores is what the plain way gives. */
import { expect, test } from 'vitest';
import { runStage, STAGES } from '../activities/aggregate/sweep.ts';
import { query } from '../activities/database.ts';
import { checkCells } from '../tools/scale-analysis/check.ts';
import { generate } from '../tools/scale-analysis/generate.ts';
import { useDatabase } from './support/database.ts';

const database = useDatabase();

test('summaries, scores and negatives of a generated sweep are those of its raw rows', async () => {
  const sweepNo = await generate(database.db, { cells: 60, prompts: 40, labels: 18, datasets: 3, seed: 1 });
  for (const stage of STAGES) {
    if (stage.name === 'intervals') continue;
    expect((await runStage(database.db, sweepNo, stage)).length).toBe(60);
  }
  expect(await checkCells(database.db, sweepNo, 60)).toBe(54);
  const [diffs] = await query<{ n: number; least: number }>(
    database.db,
    'select count(*) as n, min(first_diff) as least from output_diff',
  );
  expect(diffs!.n).toBeGreaterThan(100);
  // a made-up answer parts from the uncompressed one after a third at the earliest of either
  expect(diffs!.least).toBeGreaterThanOrEqual(0);
});
