/**
 * What a failure means: engine kind -> class, class -> what happens to the attempt and to the cell. One table each;
 * `engine.md` 3.3 and `orchestration.md` 5 are their source. Retryable is decided here and nowhere else.
 */
import { ApplicationFailure } from '@temporalio/common';
import type { ErrorClass } from '../workflows/contracts.ts';

/** Kinds that the engine names (fixed strings), then those that this side finds out (`exit`, `protocol`, ...). */
export const FAILURE_KINDS = {
  bad_request: 'SpecInvalid',
  compressor: 'SpecInvalid',
  unsupported: 'SpecInvalid',
  model_file: 'SpecInvalid',
  calibration_mismatch: 'SpecInvalid',
  // Of one sample; they reach a cell only if the engine cannot go on without the sample.
  prompt_too_long: 'SpecInvalid',
  template: 'SpecInvalid',
  numeric: 'SpecInvalid',
  out_of_memory: 'OutOfMemory',
  kernel_compile: 'EngineCrash',
  internal: 'EngineCrash',
  library_missing: 'HostFault',
  no_device: 'HostFault',
  device_lost: 'HostFault',
  // This side's own.
  exit: 'EngineCrash',
  protocol: 'EngineCrash',
  too_large: 'SpecInvalid',
  artefact_missing: 'SpecInvalid',
  stall: 'EngineStall',
  cell_timeout: 'EngineStall',
  start: 'HostFault',
  model_missing: 'HostFault',
  other_numerics: 'HostFault',
  disk_full: 'HostFault',
} as const satisfies Record<string, ErrorClass>;

export type FailureKind = keyof typeof FAILURE_KINDS;

interface ClassRule {
  /** Tries of one cell within and across attempts before it is failed. */
  tries: number;
  /** Whether Temporal may run the group again if the failure is of the whole group. */
  retryable: boolean;
  /** Whether the engine process must be replaced before the next cell. */
  freshEngine: boolean;
}

export const CLASS_RULES: Record<ErrorClass, ClassRule> = {
  SpecInvalid: { tries: 1, retryable: false, freshEngine: false },
  OutOfMemory: { tries: 1, retryable: false, freshEngine: true },
  EngineCrash: { tries: 3, retryable: true, freshEngine: true },
  EngineStall: { tries: 3, retryable: true, freshEngine: true },
  HostFault: { tries: 3, retryable: true, freshEngine: true },
  StaleAttempt: { tries: 1, retryable: false, freshEngine: true },
  Poison: { tries: 1, retryable: false, freshEngine: true },
};

/** Kinds of a `HostFault` that another group on the same worker would not meet: the worker need not drain. */
const KEEPS_WORKER: readonly string[] = ['model_missing', 'other_numerics'];

/** A failure of an engine, of a cell on it, or of its host. */
export class EngineFault extends Error {
  readonly kind: string;
  readonly class: ErrorClass;
  /** The last lines of the engine's stderr. */
  readonly tail: string;
  /** False: the process is gone or must go. */
  readonly usable: boolean;

  constructor(kind: string, message: string, options: { tail?: string; usable?: boolean; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'EngineFault';
    this.kind = kind;
    this.class = classOf(kind);
    this.tail = options.tail ?? '';
    this.usable = (options.usable ?? false) && !CLASS_RULES[this.class].freshEngine;
  }
}

/** The class of a kind; a kind that is not in the table is a broken engine, not a reason to guess. */
export function classOf(kind: string): ErrorClass {
  return kind in FAILURE_KINDS ? FAILURE_KINDS[kind as FailureKind] : 'EngineCrash';
}

/** Whether a worker that met this fault should take no more groups. */
export function drainsWorker(fault: EngineFault): boolean {
  return fault.class === 'HostFault' && !KEEPS_WORKER.includes(fault.kind);
}

/** What to do with a cell after a fault: run it again on a fresh engine, fail it, or end the attempt. */
export function verdict(fault: EngineFault, tries: number): 'again' | 'fail' | 'stop' {
  if (fault.class === 'HostFault') return 'stop';
  return tries < CLASS_RULES[fault.class].tries ? 'again' : 'fail';
}

/**
 * A fault of the whole group (at load, or of the host) as Temporal sees it: one plain sentence. The fault itself is
 * not its `cause`: its stack and stderr tail do not belong into a history; the worker's log and `cell_error` have them.
 */
export function asGroupFailure(fault: EngineFault): ApplicationFailure {
  return ApplicationFailure.create({
    type: fault.class,
    message: `${fault.kind}: ${fault.message}`.slice(0, 500),
    nonRetryable: !CLASS_RULES[fault.class].retryable,
  });
}

export function staleAttempt(cause: unknown): ApplicationFailure {
  return ApplicationFailure.create({
    type: 'StaleAttempt',
    message: 'another attempt has taken over this group',
    nonRetryable: true,
    cause: cause instanceof Error ? cause : new Error(String(cause)),
  });
}
