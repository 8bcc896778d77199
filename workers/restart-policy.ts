/** When a child of the local stack that ended is started again. */
export interface RestartPolicy {
  /** Wait before the n-th start in a row (n >= 1), ms. */
  delayMs(failures: number): number;
  /** A child that lived this long starts the count afresh. */
  healthyMs: number;
  /** After so many ends in a row the stack gives up. */
  maxFailures: number;
}

export const RESTARTS: RestartPolicy = {
  delayMs: (failures) => Math.min(250 * 2 ** (failures - 1), 15_000),
  healthyMs: 60_000,
  maxFailures: 12,
};
