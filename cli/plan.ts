import { type Command, EXIT } from './command.ts';
import { PLAN_OPTIONS, prepareLaunch, showPlan } from './prepare-launch.ts';

export const plan: Command = {
  name: 'plan',
  args: ['<spec>'],
  about: 'show the cells of a spec and why each would run; the same as launch --dry-run',
  options: PLAN_OPTIONS,
  async run(context, [spec], options) {
    await showPlan(context, await prepareLaunch(context, spec!, options), options);
    return EXIT.done;
  },
};
