import { stopLocalStack } from '../workers/local-stack.ts';
import { type Command, EXIT } from './command.ts';

export const down: Command = {
  name: 'down',
  about: 'stop the local stack and whatever an earlier one left behind',
  async run(context) {
    const stopped = await stopLocalStack(context.config, context.note);
    context.result({ stopped }, stopped ? 'the local stack is down' : 'no local stack runs here');
    return EXIT.done;
  },
};
