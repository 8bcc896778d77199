/**
 * Cells per second of the ledger's statements alone: claim, then start and commit per cell, as workers send them.
 * Run: node --import ./tools/typescript.mjs tools/bench-ledger.ts [cells] [clients] [samples per cell]
 */
import process, { argv, stdout } from 'node:process';
import { openDatabase } from '../activities/database.ts';
import { claimGroup, commitCell, insertPlan, openRun, startCell } from '../activities/ledger.ts';
import { cellPlan, promptSet, sweepPlan } from '../test/support/plans.ts';
import { commitInput } from '../test/support/rows.ts';
import { withFreshDatabase } from './fresh-database.ts';

const [cells = 10_000, clients = 8, samples = 0] = argv.slice(2).map(Number);
const PER_GROUP = 50;

await withFreshDatabase(async (_, url) => {
  const db = openDatabase(url, { max: clients });
  const prompts = promptSet(Math.max(1, samples));
  const groups = Array.from({ length: Math.ceil(cells / PER_GROUP) }, (_, g) =>
    Array.from({ length: PER_GROUP }, (_, i) => cellPlan(`${g} ${i}`, { prompts })),
  );
  let started = performance.now();
  const { sweepNo, added } = await insertPlan(db, sweepPlan('bench', groups, { promptSets: [prompts] }));
  report('planned', added, started);
  const { runNo } = await openRun(db, 'bench', 'bench');
  started = performance.now();
  let next = 0;
  const worker = async () => {
    while (next < groups.length) {
      const groupNo = next++;
      const lease = `bench:${groupNo}`;
      const claim = await claimGroup(db, { sweepNo, groupNo, runNo, scheduledMs: 1, lease, hostId: null, maxTries: 3 });
      for (const { cellNo } of claim.cells) {
        await startCell(db, { sweepNo, cellNo, lease });
        const lists = Array.from({ length: samples }, (_, i) => [cellNo, i]);
        await commitCell(db, commitInput({ sweepNo, cellNo, lease }, lists));
      }
    }
  };
  await Promise.all(Array.from({ length: clients }, worker));
  report('ran', added, started);
  await db.destroy();
});

function report(what: string, n: number, started: number): void {
  const seconds = (performance.now() - started) / 1000;
  const { user, system } = process.cpuUsage();
  const cpu = ((user + system) / 1e6).toFixed(1);
  stdout.write(
    `${what} ${n} cells in ${seconds.toFixed(2)} s: ${(n / seconds).toFixed(0)} cells/s (CPU of this process so far: ${cpu} s)\n`,
  );
}
