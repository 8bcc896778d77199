/** Conditions with a deadline, instead of sleeps. */
import { setTimeout as sleep } from 'node:timers/promises';

/** Waits until `probe` gives something other than false, null or undefined; fails with `what` after `withinMs`. */
export async function until<T>(
  what: string,
  probe: () => T | Promise<T>,
  withinMs = 20_000,
): Promise<Exclude<T, false | null | undefined>> {
  const endAt = Date.now() + withinMs;
  let last: unknown;
  for (let waitMs = 5; ; waitMs = Math.min(waitMs * 1.5, 100)) {
    try {
      const value = await probe();
      if (value !== false && value !== null && value !== undefined)
        return value as Exclude<T, false | null | undefined>;
      last = value;
    } catch (error) {
      last = error;
    }
    if (Date.now() > endAt) throw new Error(`not within ${withinMs} ms: ${what} (last: ${String(last)})`);
    await sleep(waitMs);
  }
}

/** Whether a process exists and is not a zombie that only waits to be reaped. */
export async function isAlive(pid: number): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  const { readFile } = await import('node:fs/promises');
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3) !== 'Z';
}
