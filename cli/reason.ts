import type { CommandOption, Options } from './command.ts';

/** Why a user does something to a sweep; stored with the event. */
export const REASON: CommandOption = { flags: '--reason <text>', about: "why; kept in the sweep's history" };

export function reasonOf(options: Options): string | null {
  return typeof options.reason === 'string' ? options.reason : null;
}
