/** Bounded patience with Postgres: a restart must not end an attempt whose engine holds a loaded model. */
import { setTimeout as sleep } from 'node:timers/promises';
import { isConnectionLoss, isTransient } from './database.ts';

export interface Patience {
  /** Total time before the error is passed on. */
  limitMs: number;
  signal: AbortSignal;
  /** Called before each wait: waiting for Postgres is progress, but only within `limitMs`. */
  onWait: () => void;
}

/** Repeats `f` while Postgres is away or asks for a repeat; `f` must be safe to run twice. */
export async function patiently<T>(patience: Patience, f: () => Promise<T>): Promise<T> {
  const endAt = performance.now() + patience.limitMs;
  for (let waitMs = 100; ; waitMs = Math.min(waitMs * 2, 2_000)) {
    try {
      return await f();
    } catch (error) {
      const passing = isConnectionLoss(error) || isTransient(error);
      if (!passing || performance.now() + waitMs > endAt) throw error;
      patience.onWait();
      await sleep(waitMs, undefined, { signal: patience.signal });
    }
  }
}
