import { readSweep, reopenCells, setSweepStatus } from '../activities/ledger.ts';
import { wakeSweep } from '../activities/sweep-client.ts';
import { type Command, EXIT } from './command.ts';
import type { Context } from './context.ts';
import { REASON, reasonOf } from './reason.ts';
import { sweepOrNewest } from './sweep-argument.ts';
import { UsageError } from './usage-error.ts';
import { watchSweep } from './watch.ts';

export const resume: Command = {
  name: 'resume',
  args: ['[sweep]'],
  about: 'go on with a sweep: after a pause, a crash, a lost server',
  options: [
    { flags: '--failed', about: 'run failed cells again too' },
    { flags: '--watch', about: 'stay and show progress' },
    REASON,
  ],
  async run(context, [name], options) {
    const sweepId = await sweepOrNewest(context, name);
    const where = options.failed === true ? null : undefined;
    return await goOn(context, sweepId, where, reasonOf(options), options.watch === true);
  },
};

export const retry: Command = {
  name: 'retry',
  args: ['[sweep]'],
  about: 'run failed and lost cells again that a filter selects',
  options: [
    { flags: '--where <filter>', about: 'as: compressor = kivi and batch >= 8' },
    { flags: '--watch', about: 'stay and show progress' },
    REASON,
  ],
  async run(context, [name], options) {
    if (typeof options.where !== 'string') {
      throw new UsageError(
        "retry needs --where 'axis op value', as: --where 'compressor = kivi and error = EngineCrash'; `resume --failed` takes all",
      );
    }
    const sweepId = await sweepOrNewest(context, name);
    return await goOn(context, sweepId, options.where, reasonOf(options), options.watch === true);
  },
};

/** Rows first, then a wake-up; an open and a closed sweep need no different handling. */
async function goOn(
  context: Context,
  sweepId: string,
  where: string | null | undefined,
  reason: string | null,
  watch: boolean,
): Promise<number> {
  const db = await context.db();
  const { user } = context.config;
  const sweep = await readSweep(db, sweepId);
  const reopened = where === undefined ? 0 : await reopenCells(db, { sweepNo: sweep.sweepNo, where, user, reason });
  await setSweepStatus(db, { sweepId, status: 'running', reason, user });
  await wakeSweep((await context.temporal()).workflow, sweepId);
  const opened = where === undefined ? '' : `; ${reopened} cells reopened`;
  if (watch) {
    context.note(`${sweepId} goes on (it was ${sweep.status})${opened}`);
    return await watchSweep(context, sweepId, { answers: false });
  }
  context.result(
    { sweep: sweepId, was: sweep.status, reopened },
    `${sweepId} goes on (it was ${sweep.status})${opened}`,
  );
  return EXIT.done;
}
