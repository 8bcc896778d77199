import { setSweepStatus } from '../activities/ledger.ts';
import { cancelSweep, sweepResult } from '../activities/sweep-client.ts';
import { type Command, EXIT } from './command.ts';
import { REASON, reasonOf } from './reason.ts';
import { sweepOrNewest } from './sweep-argument.ts';

export const cancel: Command = {
  name: 'cancel',
  args: ['[sweep]'],
  about: 'stop a sweep and its engines now; finished cells stay',
  options: [REASON],
  async run(context, [name], options) {
    const sweepId = await sweepOrNewest(context, name);
    const { old } = await setSweepStatus(await context.db(), {
      sweepId,
      status: 'cancelled',
      reason: reasonOf(options),
      user: context.config.user,
    });
    const { workflow } = await context.temporal();
    const ran = await cancelSweep(workflow, sweepId);
    if (ran) {
      context.note('waiting for its engines to stop');
      // The root closes as cancelled only after all its engines have ended: that is what is waited for.
      const closed = sweepResult(workflow, sweepId).then(
        () => undefined,
        () => undefined,
      );
      const interrupted = new Promise<'interrupted'>((resolve) =>
        context.interrupted.addEventListener('abort', () => resolve('interrupted'), { once: true }),
      );
      if ((await Promise.race([closed, interrupted])) === 'interrupted') return EXIT.interrupted;
    }
    context.result({ sweep: sweepId, status: 'cancelled', was: old }, `${sweepId} is cancelled (it was ${old})`);
    return EXIT.done;
  },
};
