/**
 * Heartbeats tied to progress. Cells last minutes, so a timer sends them; but only while something has happened
 * within the stall limit, or the timer would keep a hung engine alive.
 */

export interface Heart extends Disposable {
  /** Progress was made; `details` replaces what the next beats carry. */
  touch(details?: unknown): void;
}

export interface HeartOptions {
  beat: (details: unknown) => void;
  everyMs: number;
  /** No beat when the last progress is older than this. */
  stallMs: number;
}

export function startHeart({ beat, everyMs, stallMs }: HeartOptions): Heart {
  let details: unknown;
  let last = performance.now();
  const timer = setInterval(() => {
    if (performance.now() - last < stallMs) beat(details);
  }, everyMs);
  beat(details);
  return {
    touch(next) {
      last = performance.now();
      if (next !== undefined) details = next;
    },
    [Symbol.dispose]: () => clearInterval(timer),
  };
}
