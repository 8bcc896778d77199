/** Bounded concurrency: for workflow code, and for whoever else must not leave work behind when one of many fails. */

/**
 * Waits for all and rethrows only then: `Promise.all` would close the workflow at the first rejection while other
 * engines still run.
 */
export async function settle(work: Promise<unknown>[]): Promise<void> {
  for (const end of await Promise.allSettled(work)) if (end.status === 'rejected') throw end.reason;
}

/** Runs `f` over `items` in order, at most `n` at once, for as long as `go()` holds. */
export async function lanes<T>(
  n: number,
  items: readonly T[],
  go: () => boolean,
  f: (item: T) => Promise<void>,
): Promise<void> {
  let next = 0;
  const lane = async () => {
    while (next < items.length && go()) await f(items[next++]!);
  };
  await settle(Array.from({ length: Math.min(n, items.length) }, lane));
}

/** The same until one fails: what is under way then ends first, nothing more is begun. */
export async function lanesUntilFailure<T>(
  n: number,
  items: readonly T[],
  f: (item: T) => Promise<void>,
): Promise<void> {
  let failed = false;
  await lanes(
    n,
    items,
    () => !failed,
    async (item) => {
      try {
        await f(item);
      } catch (error) {
        failed = true;
        throw error;
      }
    },
  );
}
