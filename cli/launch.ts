import { createInterface } from 'node:readline/promises';
import { insertPlan, readSweep } from '../activities/ledger.ts';
import { wakeSweep } from '../activities/sweep-client.ts';
import { makeArtefacts } from './artefact-index.ts';
import { type Command, EXIT, type Options } from './command.ts';
import type { Context } from './context.ts';
import { positiveInteger } from './options.ts';
import { planTimeText, timeOfCells } from './plan-time.ts';
import { missingQueues, PLAN_OPTIONS, type PreparedLaunch, prepareLaunch, showPlan } from './prepare-launch.ts';
import { requireStackOfThisBuild } from './stale-build.ts';
import { UsageError } from './usage-error.ts';
import { watchSweep } from './watch.ts';

/** Above this many cells a launch without --yes asks. */
const ASK_ABOVE = 200;

export const launch: Command = {
  name: 'launch',
  args: ['<spec>'],
  about: 'plan a spec, store its cells and start them; the same command again goes on',
  options: [
    ...PLAN_OPTIONS,
    { flags: '--dry-run', about: 'only show what would run' },
    { flags: '--watch', about: 'stay and show progress; Ctrl-C leaves the sweep running' },
    { flags: '--yes', about: 'do not ask before a large sweep' },
    { flags: '--max-cells <n>', about: 'refuse a grid of more cells', fallback: '10000' },
    { flags: '--allow-missing', about: 'launch although no worker polls a needed queue' },
  ],
  async run(context, [spec], options) {
    let prepared = await prepareLaunch(context, spec!, options);
    if (options.dryRun) {
      await showPlan(context, prepared, options);
      return EXIT.done;
    }
    await requireStackOfThisBuild(context);
    await checkSize(context, prepared, options);
    await checkWorkers(context, prepared, options);
    const db = await context.db();
    if (prepared.missing.length > 0) {
      // The spec is in order by now: only then is anything made. A cell's key needs the artefact's hash.
      await makeArtefacts(context, prepared.missing);
      prepared = await prepareLaunch(context, spec!, options);
    }
    const { plan, notes } = prepared;
    const inserted = await insertPlan(db, plan, { fresh: options.fresh === true, user: context.config.user });
    for (const note of notes) context.note(`note: ${note}`);
    const total = plan.groups.reduce((sum, g) => sum + g.cells.length, 0);
    const parts = [`sweep ${plan.id}: ${total} cells`];
    if (inserted.attached)
      parts.push(
        inserted.added > 0 ? `${inserted.added} added to the launched sweep` : 'attached to the launched sweep',
      );
    if (inserted.reused > 0) parts.push(`${inserted.reused} reused from finished sweeps`);
    context.note(parts.join(', '));
    const before = await readSweep(db, plan.id);
    const ended = before.status === 'finished' || before.status === 'stopped' || before.status === 'cancelled';
    await wakeSweep((await context.temporal()).workflow, plan.id);
    if (!options.watch) {
      context.result(
        { ...inserted, cells: total },
        `launched ${plan.id}; \`kvsweep watch ${plan.id}\` shows its progress`,
      );
      return EXIT.done;
    }
    return await watchSweep(context, plan.id, { answers: true, ...(ended ? { afterRun: before.runNo } : {}) });
  },
};

async function checkSize(context: Context, { plan }: PreparedLaunch, options: Options): Promise<void> {
  const cells = plan.groups.reduce((sum, g) => sum + g.cells.length, 0);
  const max = positiveInteger(options.maxCells, '--max-cells');
  if (cells > max)
    throw new UsageError(
      `the grid has ${cells} cells, more than --max-cells ${max}; shorten a list or raise the limit`,
    );
  if (options.yes || cells <= ASK_ABOVE || !process.stdin.isTTY) return;
  const time = await timeOfCells(
    context,
    plan.groups.flatMap((g) => g.cells),
  );
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await terminal.question(`launch ${cells} cells, ${planTimeText(time)}? [y/N] `, {
      signal: context.interrupted,
    });
    if (!/^y(es)?$/i.test(answer.trim())) throw new UsageError('not launched', EXIT.failed);
  } finally {
    terminal.close();
  }
}

/** Work on a queue without a poller would wait silently for ever. */
async function checkWorkers(context: Context, { plan }: PreparedLaunch, options: Options): Promise<void> {
  if (options.allowMissing) return;
  const missing = await missingQueues(context, plan);
  if (missing.length === 0) return;
  throw new UsageError(
    `no worker polls ${missing.join(', ')}; start one (\`kvsweep up\` here, \`kvsweep worker --cpu\` or --gpu N on a node), or launch with --allow-missing`,
    EXIT.failed,
  );
}
