/** `calibrate`: makes the artefact of a calibration key on a warm engine of this worker, unless it is stored already. */
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Context as ActivityContext, type Context } from '@temporalio/activity';
import type { CalibrateInput, CalibrateResult } from '../workflows/contracts.ts';
import type { WarmEngine } from './engine-pool.ts';
import type { CalibrateRequest, EventOf } from './engine-protocol.ts';
import { asGroupFailure, EngineFault } from './failures.ts';
import type { GroupDeps } from './groups.ts';
import { type Heart, startHeart } from './heartbeat.ts';
import * as ledger from './ledger.ts';
import { patiently } from './patience.ts';

/** The token set is one long prefill that says nothing: a calibration may be silent longer than a cell. */
const SILENCE = 6;

type CalibrationDeps = Pick<GroupDeps, 'db' | 'pool' | 'models' | 'stallMs' | 'databaseMs'>;

export function createCalibrate(deps: CalibrationDeps): (input: CalibrateInput) => Promise<CalibrateResult> {
  return async (input) => {
    const context = ActivityContext.current();
    const { cancellationSignal: signal, info } = context;
    const everyMs = Math.min(5_000, (info.heartbeatTimeoutMs ?? 20_000) / 4);
    const beat = (details: unknown) => context.heartbeat(details);
    using heart = startHeart({ beat, everyMs, stallMs: Number.POSITIVE_INFINITY });
    const ask = <T>(f: () => Promise<T>) =>
      patiently({ limitMs: deps.databaseMs, signal, onWait: () => heart.touch() }, f);

    using _slot = await deps.pool.slot(signal);
    const known = await ask(() => ledger.findCalibration(deps.db, input.key));
    if (known) return { ...known, made: false };
    const tokens = await ask(() => tokenSequences(deps, input.tokenSet));
    const bytes = await onEngine(deps, input, tokens, context, heart);
    const stored = await ask(() => ledger.saveCalibration(deps.db, input, bytes));
    return { ...stored, made: true };
  };
}

async function tokenSequences(deps: CalibrationDeps, tokenSet: string): Promise<number[][]> {
  const rows = await ledger.loadPrompts(deps.db, tokenSet);
  return rows.map((row) => row.tokens ?? []);
}

/** Runs the engine's `calibrate`; a fault replaces the engine, a cancel ends it. */
async function onEngine(
  deps: CalibrationDeps,
  input: CalibrateInput,
  tokens: number[][],
  context: Context,
  heart: Heart,
): Promise<Buffer> {
  const { model, backend, threads, numerics } = input;
  const signal = context.cancellationSignal;
  const folder = await mkdtemp(join(tmpdir(), 'kvsweep-calibrate-'));
  let engine: WarmEngine | null = null;
  try {
    const load = {
      model: { path: await deps.models.resolve(model), sha256: model.sha256 },
      backend,
      ...(threads === null ? {} : { threads }),
      ...(model.chat_template === undefined ? {} : { chat_template: model.chat_template }),
    };
    engine = await deps.pool.acquire(input.engineKey, load, signal);
    const computes = engine.hello.numerics[backend];
    if (computes !== numerics) {
      throw new EngineFault(
        'other_numerics',
        `the artefact was asked for with numerics ${numerics}, the engine of this node computes ${computes ?? 'nothing'}; bring all nodes to one version`,
        { usable: true },
      );
    }
    const out = join(folder, 'artefact');
    const request: CalibrateRequest = {
      op: 'calibrate',
      id: input.key.slice(0, 16),
      compressor: input.compressor,
      tokens,
      out,
    };
    await engine.process.send(request);
    const done = await calibrated(engine, request.id, SILENCE * deps.stallMs, signal, heart);
    const bytes = await readFile(out);
    const sha = createHash('sha256').update(bytes).digest('hex');
    if (sha !== done.sha256) {
      throw new EngineFault('protocol', `the engine names its artefact ${done.sha256}, the file's sha256 is ${sha}`);
    }
    deps.pool.release(engine);
    return bytes;
  } catch (error) {
    if (engine) {
      if (error instanceof EngineFault && error.usable) deps.pool.release(engine);
      else await deps.pool.discard(engine);
    }
    if (signal.aborted) throw signal.reason;
    throw error instanceof EngineFault ? asGroupFailure(error) : error;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function calibrated(
  engine: WarmEngine,
  id: string,
  stallMs: number,
  signal: AbortSignal,
  heart: Heart,
): Promise<EventOf<'calibrated'>> {
  for (;;) {
    const event = await engine.process.next({ stallMs, signal });
    heart.touch();
    if (event.event === 'calibrated' && event.id === id) return event;
    if (event.event === 'failed') {
      throw new EngineFault(event.kind, event.message, { tail: engine.process.stderrTail(), usable: event.usable });
    }
    if (event.event !== 'progress') {
      throw new EngineFault('protocol', `the engine sent ${event.event} while it calibrated`);
    }
  }
}
