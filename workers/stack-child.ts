/** One supervised part of the local stack: started, watched, started again with growing pauses, stopped. */
import { setTimeout as sleep } from 'node:timers/promises';
import { RESTARTS, type RestartPolicy } from './restart-policy.ts';

/** A part that runs: `exited` resolves when it has ended for whatever reason. */
export interface Running {
  pid: number;
  exited: Promise<void>;
  stop(): Promise<void>;
}

export interface Part<T extends Running> {
  name: string;
  start(): Promise<T>;
}

export interface Supervised<T extends Running> {
  /** What runs now; null between an end and the next start. */
  current(): T | null;
  restarts(): number;
  /** Rejects when the part failed too often in a row; resolves when it was stopped. */
  done: Promise<void>;
  stop(): Promise<void>;
}

/** Starts a part and keeps it running. Rejects if the first start fails: that is a mistake, not an accident. */
export async function supervise<T extends Running>(
  part: Part<T>,
  onChange: (message: string | null) => void,
  policy: RestartPolicy = RESTARTS,
): Promise<Supervised<T>> {
  let running: T | null = await part.start();
  let stopping = false;
  let restarts = 0;
  const halt = new AbortController();
  const watch = async () => {
    let failures = 0;
    for (;;) {
      const since = Date.now();
      await running?.exited;
      running = null;
      if (stopping) return;
      failures = Date.now() - since >= policy.healthyMs ? 1 : failures + 1;
      if (failures > policy.maxFailures) throw new Error(`${part.name} ended ${failures} times in a row; see its log`);
      onChange(`${part.name} ended; starting it again`);
      await sleep(policy.delayMs(failures), undefined, { signal: halt.signal }).catch(() => undefined);
      if (stopping) return;
      try {
        running = await part.start();
        restarts++;
        onChange(null);
      } catch (error) {
        onChange(`${part.name} did not start: ${error instanceof Error ? error.message : String(error)}`);
      }
      if (stopping) await running?.stop();
    }
  };
  const done = watch();
  // Whoever awaits `done` hears of a failure; nobody awaiting it yet must not end the process.
  done.catch(() => undefined);
  return {
    current: () => running,
    restarts: () => restarts,
    done,
    async stop() {
      stopping = true;
      halt.abort();
      await running?.stop();
      await done.catch(() => undefined);
    },
  };
}
