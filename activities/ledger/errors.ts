/** The lease was lost: the group belongs to another attempt, so nothing more may be written. Never retried. */
export class StaleAttempt extends Error {
  override name = 'StaleAttempt';

  constructor(what: string) {
    super(`${what} belongs to another attempt by now; this one writes nothing more.`);
  }
}

/** A sweep of this name exists with other inputs; `differences` names what changed, one sentence each. */
export class SpecConflict extends Error {
  override name = 'SpecConflict';
  readonly differences: string[];

  constructor(id: string, differences: string[]) {
    super(
      `Sweep "${id}" exists with another spec: ${differences.join('; ')}. ` +
        'A spec may only add cells to a launched sweep; launch this one under another name (--id).',
    );
    this.differences = differences;
  }
}

/** The caller named something that does not exist or cannot be; the message is for the user. */
export class LedgerRefusal extends Error {
  override name = 'LedgerRefusal';
}
