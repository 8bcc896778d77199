import { expect, test } from 'vitest';
import { lanes, lanesUntilFailure } from '../workflows/lanes.ts';

const turn = () => new Promise((resolve) => setImmediate(resolve));

test('as many run at once as there are lanes, in the order of the items', async () => {
  const begun: number[] = [];
  let running = 0;
  let most = 0;
  await lanes(
    2,
    [1, 2, 3, 4, 5],
    () => true,
    async (item) => {
      begun.push(item);
      most = Math.max(most, ++running);
      await turn();
      running--;
    },
  );
  expect(begun).toEqual([1, 2, 3, 4, 5]);
  expect(most).toBe(2);
});

test('after a failure what is under way ends before it is told, and nothing more is begun', async () => {
  const ended: string[] = [];
  const work = lanesUntilFailure(2, ['slow', 'bad', 'never'], async (item) => {
    if (item === 'bad') throw new Error('bad failed');
    for (let i = 0; i < 5; i++) await turn();
    ended.push(item);
  });
  await expect(work).rejects.toThrow('bad failed');
  expect(ended).toEqual(['slow']);
});
