import type { Context } from './context.ts';

export interface CommandOption {
  /** As commander writes it: `--where <filter>`. */
  flags: string;
  about: string;
  fallback?: string | boolean;
  /** May be given more than once; the values come as an array. */
  many?: boolean;
}

/** One command of `kvsweep`. Every command also takes `--json`. */
export interface Command {
  name: string;
  /** As commander writes it: `<spec>`, `[sweep]`. */
  args?: string[];
  about: string;
  options?: CommandOption[];
  /** Commands below this one, by their own names. */
  commands?: readonly Command[];
  /** Returns the exit code: 0 done, 1 failed, 2 wrong use, 3 partial, 130 interrupted. */
  run(context: Context, args: (string | undefined)[], options: Options): Promise<number>;
}

export type Options = Readonly<Record<string, string | boolean | string[] | undefined>>;

export const EXIT = { done: 0, failed: 1, usage: 2, partial: 3, interrupted: 130 } as const;
