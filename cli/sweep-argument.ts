import { listSweeps } from '../activities/ledger.ts';
import type { Context } from './context.ts';
import { UsageError } from './usage-error.ts';

/** The sweep that a command is about: the one named, or the newest. */
export async function sweepOrNewest(context: Context, name: string | undefined): Promise<string> {
  if (name !== undefined) return name;
  const [newest] = await listSweeps(await context.db());
  if (newest === undefined) throw new UsageError('there is no sweep yet; `kvsweep launch SPEC` starts one', 1);
  return newest.id;
}
