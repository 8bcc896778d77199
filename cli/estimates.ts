/** Waiting for the intervals and tests of a sweep: seconds a cell, so nobody has to wait to the end. */
import { setTimeout as sleep } from 'node:timers/promises';
import { readSweep } from '../activities/ledger.ts';
import { estimatesEnd } from '../activities/sweep-client.ts';
import type { CommandOption } from './command.ts';
import type { Context } from './context.ts';

export const DEFAULT_WAIT_S = 120;

export const WAIT_OPTION: CommandOption = {
  flags: '--wait <seconds>',
  about: 'how long to wait for intervals and tests that are still being computed',
  fallback: String(DEFAULT_WAIT_S),
};

/** Before that nothing is said of the wait. */
const QUIET_MS = 5_000;

/**
 * Returns when the estimates that run have ended, after `seconds`, or at an interrupt. What is missing then is told by
 * the report itself. The sweep has to be aggregated before: that is what starts them.
 */
export async function waitForEstimates(context: Context, sweepId: string, seconds = DEFAULT_WAIT_S): Promise<void> {
  const { countOpenEstimates } = await import('../activities/aggregate/jobs.ts');
  const db = await context.db();
  const { sweepNo } = await readSweep(db, sweepId);
  if ((await countOpenEstimates(db, sweepNo)) === 0) return;
  const { workflow } = await context.temporal();
  const stop = new AbortController();
  const signal = AbortSignal.any([stop.signal, context.interrupted]);
  const pause = async (ms: number) => await sleep(ms, 'late' as const, { signal }).catch(() => 'late' as const);
  const end = estimatesEnd(workflow, sweepId).then(
    () => 'ended' as const,
    (error: Error) => {
      context.note(
        `intervals and tests were not all computed: ${(error.cause as Error | undefined)?.message ?? error.message}`,
      );
      return 'ended' as const;
    },
  );
  const limitMs = seconds * 1_000;
  try {
    if ((await Promise.race([end, pause(Math.min(QUIET_MS, limitMs))])) === 'ended') return;
    if (limitMs > QUIET_MS) {
      context.note(`computing intervals and tests; waiting ${seconds} s at most`);
      if ((await Promise.race([end, pause(limitMs - QUIET_MS)])) === 'ended') return;
    }
    context.note('intervals and tests are still being computed; they go on without this command');
  } finally {
    stop.abort();
  }
}
