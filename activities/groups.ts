/**
 * `runGroup`: one attempt at a group on this worker. Claims it under a lease, runs its open cells one by one on a
 * warm engine, writes each finished cell in one transaction, and returns counts only.
 *
 * A cell's own failure stays in its cell. An attempt ends early only for its host, for a lost lease, for Postgres,
 * or because someone said so (cancel, pause, drain).
 */
import { Context as ActivityContext, ApplicationFailure, type Context } from '@temporalio/activity';
import type { JsonObject, RunGroupInput, RunGroupResult } from '../workflows/contracts.ts';
import type { ArtefactStore } from './artefacts.ts';
import { type CellRecord, runCell } from './cells.ts';
import type { Db } from './database.ts';
import type { EnginePool, WarmEngine } from './engine-pool.ts';
import type { EventOf } from './engine-protocol.ts';
import { asGroupFailure, drainsWorker, EngineFault, staleAttempt, verdict } from './failures.ts';
import { guardPoint } from './guard-point.ts';
import { type Heart, startHeart } from './heartbeat.ts';
import { unstartCell } from './ledger/unstart-cell.ts';
import type { Claim, ClaimedCell, GroupLease, PromptRow } from './ledger.ts';
import * as ledger from './ledger.ts';
import type { ModelStore } from './models.ts';
import { patiently } from './patience.ts';
import { cellRows } from './rows.ts';

/** Shared by all groups of a worker process. */
export interface DrainState {
  readonly draining: boolean;
  /** The engines are being killed: an engine's end is nobody's fault now. */
  readonly killed: boolean;
  /** Stops polling and lets running groups return after their current cell. */
  drain(reason: string): void;
}

export interface GroupDeps {
  db: Db;
  pool: EnginePool;
  models: ModelStore;
  artefacts: ArtefactStore;
  drain: DrainState;
  hostId: number;
  hostFacts: JsonObject;
  /** Registers the engine build of a `hello` and returns its id. */
  engineBuild: (hello: EventOf<'hello'>) => Promise<number>;
  /** No event of a running cell for so long: `EngineStall`. */
  stallMs: number;
  /** How long Postgres may be away before the attempt ends. */
  databaseMs: number;
}

/** A signal that never fires: what closes an attempt is not to be cancelled. */
const NEVER = new AbortController().signal;

/** A cell that was started so often without an end is failed. */
export const MAX_TRIES = 3;

export function createRunGroup(deps: GroupDeps): (input: RunGroupInput) => Promise<RunGroupResult> {
  return async (input) => await new GroupAttempt(deps, input, ActivityContext.current()).run();
}

class GroupAttempt {
  private readonly deps: GroupDeps;
  private readonly input: RunGroupInput;
  private readonly context: Context;
  private readonly signal: AbortSignal;
  private readonly lease: GroupLease;
  private readonly result: RunGroupResult = { done: 0, failed: 0, left: 0 };
  private heart!: Heart;
  private engine: WarmEngine | null = null;
  private engineBuildId: number | null = null;
  /** A cell that the commit of the one before has started, and that does not run yet. */
  private startedCell: number | null = null;
  /** Cells that this attempt has measured, in order. */
  private readonly measured: ClaimedCell[] = [];
  private promptSet: { sha: string; rows: PromptRow[] } | null = null;

  constructor(deps: GroupDeps, input: RunGroupInput, context: Context) {
    this.deps = deps;
    this.input = input;
    this.context = context;
    this.signal = context.cancellationSignal;
    const { workflowExecution, activityId, attempt } = context.info;
    const lease = `${workflowExecution?.workflowId}:${workflowExecution?.runId}:${activityId}:${attempt}`;
    this.lease = { sweepNo: input.sweepNo, groupNo: input.groupNo, lease };
  }

  async run(): Promise<RunGroupResult> {
    const { heartbeatTimeoutMs } = this.context.info;
    const everyMs = Math.min(5_000, (heartbeatTimeoutMs ?? 20_000) / 4);
    const beat = (details: unknown) => this.context.heartbeat(details);
    let slot: Disposable;
    {
      // Waiting for a slot is bounded by startToCloseTimeout alone, so this heart has no stall limit.
      using _waiting = startHeart({ beat, everyMs, stallMs: Number.POSITIVE_INFINITY });
      slot = await this.deps.pool.slot(this.signal);
    }
    using _slot = slot;
    using heart = startHeart({ beat, everyMs, stallMs: this.deps.stallMs + 10_000 });
    this.heart = heart;
    try {
      return await this.runCells();
    } catch (error) {
      throw await this.ended(error);
    } finally {
      if (this.engine) this.deps.pool.release(this.engine);
    }
  }

  private async runCells(): Promise<RunGroupResult> {
    const { sweepNo, groupNo, runNo } = this.input;
    const status = await this.query(() => ledger.readSweepStatus(this.deps.db, sweepNo));
    // Nothing is claimed, so nobody knows how many cells are open: at least one, or the shard had not asked.
    if (status !== 'running' || this.deps.drain.draining) return { ...this.result, left: 1 };

    const claim = await this.query(() =>
      ledger.claimGroup(this.deps.db, {
        ...this.lease,
        runNo,
        scheduledMs: this.context.info.currentAttemptScheduledTimestampMs,
        hostId: this.deps.hostId,
        maxTries: MAX_TRIES,
      }),
    );
    const cells = claim.cells.filter((cell) => cell.status === 'leased');
    this.result.failed += claim.cells.length - cells.length;

    for (const [i, cell] of cells.entries()) {
      this.heart.touch({ groupNo, cellNo: cell.cellNo });
      const held = this.deps.drain.draining || !(await this.cell(claim, cell, cells[i + 1]));
      if (held) {
        this.result.left = cells.length - i;
        await this.unstart();
        await this.query(() => ledger.releaseGroup(this.deps.db, this.lease));
        break;
      }
    }
    if (this.result.left === 0) await this.guard(claim);
    await this.end(this.result.left > 0 ? 'left' : 'done');
    return this.result;
  }

  /** Times the group's first baseline point once more, for `drift`. All cells are done: a fault costs this figure alone. */
  private async guard(claim: Claim): Promise<void> {
    const cell = guardPoint(this.measured);
    if (cell === null || this.deps.drain.draining) return;
    const { sweepNo, groupNo } = this.input;
    this.heart.touch({ groupNo, cellNo: cell.cellNo });
    try {
      const engine = await this.warmEngine(claim, cell);
      const { rows } = await this.measure(claim, cell, engine);
      const fence = { sweepNo, cellNo: cell.cellNo, lease: this.lease.lease };
      await this.query(() => ledger.recordGuard(this.deps.db, fence, rows.throughput));
    } catch (error) {
      if (!(error instanceof EngineFault) || this.deps.drain.killed || drainsWorker(error)) throw error;
      if (!error.usable) await this.discard();
      this.context.log.warn('no drift is known of the group', {
        ...this.lease,
        kind: error.kind,
        error: String(error),
      });
    }
  }

  /** Runs one cell to its end, done or failed, and starts the next with its commit; false = the sweep no longer runs. */
  private async cell(claim: Claim, cell: ClaimedCell, next: ClaimedCell | undefined): Promise<boolean> {
    const fence = { sweepNo: this.input.sweepNo, cellNo: cell.cellNo, lease: this.lease.lease };
    for (let tries = cell.tries + 1; ; tries++) {
      this.signal.throwIfAborted();
      const engine = await this.warmEngine(claim, cell);
      // Counted and committed before the run: a cell that kills its worker must not be blameless.
      const started = this.startedCell === cell.cellNo;
      if (!started && (await this.query(() => ledger.startCell(this.deps.db, fence))) === 'held') return false;
      this.startedCell = null;
      try {
        const { rows, provenance } = await this.measure(claim, cell, engine);
        const commit = { ...fence, ...rows, provenance, next: next?.cellNo ?? null };
        const committed = await this.query(() => ledger.commitCell(this.deps.db, commit));
        if (committed.started) this.startedCell = commit.next;
        this.result.done++;
        this.measured.push(cell);
        return true;
      } catch (error) {
        if (!(error instanceof EngineFault)) throw error;
        if (!error.usable) await this.discard();
        if (this.deps.drain.killed) {
          await this.query(() => unstartCell(this.deps.db, fence));
          throw error;
        }
        const failure = {
          ...fence,
          errClass: error.class,
          errKind: error.kind,
          message: error.message,
          tail: error.tail,
        };
        const next = verdict(error, tries);
        if (next === 'fail') {
          await this.query(() => ledger.failCell(this.deps.db, failure));
          this.result.failed++;
          return true;
        }
        await this.query(() => ledger.recordCellError(this.deps.db, failure));
        if (next === 'stop') {
          // The host's fault, not the cell's: the try does not count against it.
          await this.query(() => unstartCell(this.deps.db, fence));
          throw error;
        }
      }
    }
  }

  private async measure(claim: Claim, cell: ClaimedCell, engine: WarmEngine) {
    const prompts = await this.prompts(cell);
    const artefacts = await this.deps.artefacts.paths(cell.run.artefacts ?? [], (sha) =>
      this.query(() => ledger.readArtefact(this.deps.db, sha)),
    );
    const record: CellRecord = await runCell(engine.process, {
      id: cell.key,
      run: cell.run,
      prompts,
      ...(cell.run.artefacts ? { artefacts } : {}),
      stallMs: this.deps.stallMs,
      timeoutMs: claim.cellTimeoutMs,
      signal: this.signal,
      onEvent: () => this.heart.touch(),
    });
    const { hello, loaded } = engine;
    const rows = cellRows(record, prompts, hello.numerics[cell.run.backend] ?? '');
    const { workflowExecution, attempt } = this.context.info;
    const provenance: JsonObject = {
      engine: hello.engine,
      build: hello.build,
      numerics: rows.summary.numerics,
      device: loaded.device,
      measured: loaded.measured ?? null,
      host: this.deps.hostFacts,
      workflow_id: workflowExecution?.workflowId ?? null,
      run_id: workflowExecution?.runId ?? null,
      attempt,
    };
    return { rows, provenance };
  }

  private async prompts(cell: ClaimedCell): Promise<PromptRow[]> {
    const sha = cell.run.prompt_set;
    if (sha === null) return [];
    // Cells of a group mostly share their set; a set never changes under its hash.
    if (this.promptSet?.sha !== sha) {
      this.promptSet = { sha, rows: await this.query(() => ledger.loadPrompts(this.deps.db, sha)) };
    }
    return this.promptSet.rows.slice(0, cell.run.n_prompts);
  }

  /** The group's engine, started if need be. A crash at load is tried again; other faults are the whole group's. */
  private async warmEngine(claim: Claim, cell: ClaimedCell): Promise<WarmEngine> {
    // An engine that died after its last cell must not cost the next cell a try.
    if (this.engine?.process.ended) await this.discard();
    if (this.engine) return this.engine;
    const { model, backend, numerics, threads, memory_limit } = cell.run;
    const path = await this.deps.models.resolve(model);
    const load = {
      model: { path, sha256: model.sha256 },
      backend,
      ...(threads === null ? {} : { threads }),
      ...(memory_limit === undefined ? {} : { memory_limit }),
      ...(model.chat_template === undefined ? {} : { chat_template: model.chat_template }),
    };
    for (let tries = 1; ; tries++) {
      try {
        this.engine = await this.deps.pool.acquire(claim.engineKey, load, this.signal);
        const { hello } = this.engine;
        const computes = hello.numerics[backend] ?? `nothing on ${backend}`;
        if (computes !== numerics) {
          const remedy = 'bring all nodes to one version of the engine and resume, or launch under another id';
          throw new EngineFault(
            'other_numerics',
            `the sweep was planned for numerics ${numerics}, the engine of this node computes ${computes}; ${remedy}`,
          );
        }
        this.engineBuildId = await this.query(() => this.deps.engineBuild(hello));
        this.heart.touch();
        return this.engine;
      } catch (error) {
        if (!(error instanceof EngineFault) || verdict(error, tries) !== 'again') throw error;
        this.heart.touch();
      }
    }
  }

  /** Takes back the start of a cell that never ran. Best effort: what stays is one try of three. */
  private async unstart(): Promise<void> {
    const cellNo = this.startedCell;
    this.startedCell = null;
    if (cellNo === null) return;
    const fence = { sweepNo: this.input.sweepNo, cellNo, lease: this.lease.lease };
    await unstartCell(this.deps.db, fence).catch((error: unknown) => {
      this.context.log.warn('could not take back a start', { cellNo, error: String(error) });
    });
  }

  /** Decides what an error of the attempt means, cleans up accordingly, and returns what to throw. */
  private async ended(error: unknown): Promise<unknown> {
    await this.unstart();
    if (this.signal.aborted) return await this.interrupted();
    if (error instanceof ledger.StaleAttempt) {
      await this.discard();
      await this.end('stale').catch(() => {}); // its own line of history; the fence guards the cells alone
      return staleAttempt(error);
    }
    if (this.deps.drain.killed) {
      await this.giveBack('left');
      return ApplicationFailure.retryable('the worker was told to stop at once', 'WorkerStopped');
    }
    if (error instanceof EngineFault) {
      this.context.log.warn('the group failed', {
        ...this.lease,
        kind: error.kind,
        tail: error.tail,
        error: String(error),
      });
      await this.discard();
      if (drainsWorker(error)) this.deps.drain.drain(`${error.kind}: ${error.message}`);
      await this.end('failed').catch(() => {}); // the failure itself says more than a second one would
      return asGroupFailure(error);
    }
    return error;
  }

  private async interrupted(): Promise<unknown> {
    await this.discard();
    const details = this.context.cancellationDetails;
    // Order matters: several flags may be set, and work that belongs to someone else must not be written to.
    if (details?.timedOut || details?.notFound) return this.signal.reason;
    await this.giveBack(details?.cancelRequested ? 'cancelled' : 'left');
    return this.signal.reason;
  }

  /** Best effort: a stale lease has nothing to release, and without Postgres the next claim takes the cells over. */
  private async giveBack(outcome: ledger.AttemptOutcome): Promise<void> {
    try {
      await ledger.releaseGroup(this.deps.db, this.lease);
      await this.end(outcome);
    } catch (error) {
      this.context.log.warn('could not give the group back', { error: String(error) });
    }
  }

  private async discard(): Promise<void> {
    const engine = this.engine;
    this.engine = null;
    if (engine) await this.deps.pool.discard(engine);
  }

  private async end(outcome: ledger.AttemptOutcome): Promise<void> {
    const { engineBuildId } = this;
    await patiently({ limitMs: this.deps.databaseMs, signal: NEVER, onWait: () => this.heart.touch() }, () =>
      ledger.endAttempt(this.deps.db, { ...this.lease, outcome, engineBuildId }),
    );
  }

  private async query<T>(f: () => Promise<T>): Promise<T> {
    return await patiently({ limitMs: this.deps.databaseMs, signal: this.signal, onWait: () => this.heart.touch() }, f);
  }
}
