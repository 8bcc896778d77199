import { execa } from 'execa';
import { type Command, EXIT } from './command.ts';
import { UsageError } from './usage-error.ts';

export const bench: Command = {
  name: 'bench',
  args: ['[kernels...]'],
  about: "the engine's own measurements (`gpu-runner bench`)",
  async run(context, kernels) {
    const names = kernels.flat().filter((k) => k !== undefined);
    const run = await execa(context.config.enginePath, ['bench', ...names, ...(context.json ? ['--json'] : [])], {
      env: context.config.engineEnvironment,
      extendEnv: false,
      reject: false,
      stdio: ['ignore', 'inherit', 'inherit'],
      cancelSignal: context.interrupted,
    });
    if (run.code === 'ENOENT')
      throw new UsageError(
        `the engine ${context.config.enginePath} is not built; run \`npm run bootstrap\``,
        EXIT.failed,
      );
    return run.isCanceled
      ? EXIT.interrupted
      : run.exitCode === 2
        ? EXIT.usage
        : run.exitCode === 0
          ? EXIT.done
          : EXIT.failed;
  },
};
