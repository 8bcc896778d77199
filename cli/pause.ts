import { setSweepStatus } from '../activities/ledger.ts';
import { nudgeSweep } from '../activities/sweep-client.ts';
import { type Command, EXIT } from './command.ts';
import { REASON, reasonOf } from './reason.ts';
import { sweepOrNewest } from './sweep-argument.ts';

export const pause: Command = {
  name: 'pause',
  args: ['[sweep]'],
  about: 'hold a sweep: running cells finish, no new one starts; `resume` goes on',
  options: [REASON],
  async run(context, [name], options) {
    const sweepId = await sweepOrNewest(context, name);
    const { old } = await setSweepStatus(await context.db(), {
      sweepId,
      status: 'paused',
      reason: reasonOf(options),
      user: context.config.user,
    });
    await nudgeSweep((await context.temporal()).workflow, sweepId);
    context.result(
      { sweep: sweepId, status: 'paused', was: old },
      `${sweepId} is paused (it was ${old}); \`kvsweep resume ${sweepId}\` goes on`,
    );
    return EXIT.done;
  },
};
