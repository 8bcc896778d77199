/**
 * Warm engines of one worker process: engine key -> loaded process. A group takes one, gives it back warm, or
 * discards it; the least recently used idle one goes when a slot is needed for another key.
 */
import type { EngineCommand, EngineExit, EngineLimits, EngineProcess } from './engine-process.ts';
import { ENGINE_LIMITS, startEngine } from './engine-process.ts';
import { type EventOf, type LoadRequest, PROTOCOL } from './engine-protocol.ts';
import { EngineFault } from './failures.ts';

/** What a process is loaded with; equal engine keys mean equal load requests. */
export type EngineLoad = Omit<LoadRequest, 'op' | 'id'>;

export interface WarmEngine {
  readonly key: string;
  readonly process: EngineProcess;
  readonly hello: EventOf<'hello'>;
  readonly loaded: EventOf<'loaded'>;
}

export interface EnginePool extends AsyncDisposable {
  /** Waits for one of the slots; while it waits nothing is claimed. */
  slot(signal: AbortSignal): Promise<Disposable>;
  /** A warm engine for the key, or a fresh one with `load` done. Call it only while holding a slot. */
  acquire(key: string, load: EngineLoad, signal: AbortSignal): Promise<WarmEngine>;
  /** Back to the idle ones. */
  release(engine: WarmEngine): void;
  /** Ends the process; resolves when it is gone. */
  discard(engine: WarmEngine): Promise<EngineExit>;
  /** Pids of all live engines, idle or busy. */
  pids(): number[];
  /** Ends all; later calls of `acquire` are refused. */
  close(): Promise<void>;
}

export interface EnginePoolOptions {
  /** Engines that may run at once: GPUs, or 1 on a CPU. */
  slots: number;
  command: EngineCommand;
  /** Without an event for so long a load has hung. */
  loadStallMs: number;
  /** A warm engine that does not answer a ping in time is replaced. */
  pingMs?: number;
  limits?: EngineLimits;
}

export function createEnginePool(options: EnginePoolOptions): EnginePool {
  const idle: WarmEngine[] = []; // oldest first
  const live = new Set<EngineProcess>();
  const waiting: (() => void)[] = [];
  let free = options.slots;
  let closed = false;
  let pings = 0;

  const end = async (process: EngineProcess) => {
    const exit = await process.stop();
    live.delete(process);
    return exit;
  };

  const answersPing = async (engine: WarmEngine): Promise<boolean> => {
    const id = `p${++pings}`;
    const stallMs = options.pingMs ?? 5_000;
    try {
      await engine.process.send({ op: 'ping', id });
      const event = await engine.process.next({ stallMs });
      return event.event === 'pong' && event.id === id;
    } catch (error) {
      if (error instanceof EngineFault) return false; // dead or hung while idle: the caller starts another
      throw error;
    }
  };

  const start = async (key: string, load: EngineLoad, signal: AbortSignal): Promise<WarmEngine> => {
    const process = startEngine(options.command, options.limits ?? ENGINE_LIMITS);
    live.add(process);
    try {
      const hello = await process.next({ stallMs: options.loadStallMs, signal });
      if (hello.event !== 'hello') throw new EngineFault('protocol', `the engine began with ${hello.event}, not hello`);
      if (hello.protocol !== PROTOCOL) {
        throw new EngineFault(
          'protocol',
          `the engine speaks protocol ${hello.protocol}, this kvsweep needs ${PROTOCOL}; build both from one checkout`,
        );
      }
      await process.send({ op: 'load', id: key.slice(0, 16), ...load });
      for (;;) {
        const event = await process.next({ stallMs: options.loadStallMs, signal });
        if (event.event === 'loaded') return { key, process, hello, loaded: event };
        if (event.event === 'failed') {
          throw new EngineFault(event.kind, event.message, { tail: process.stderrTail(), usable: event.usable });
        }
        if (event.event !== 'progress')
          throw new EngineFault('protocol', `the engine answered load with ${event.event}`);
      }
    } catch (error) {
      await end(process);
      throw error;
    }
  };

  const pool: EnginePool = {
    async slot(signal) {
      if (free > 0) free--;
      else {
        await new Promise<void>((resolve, reject) => {
          const go = () => {
            signal.removeEventListener('abort', stop);
            resolve();
          };
          const stop = () => {
            waiting.splice(waiting.indexOf(go), 1);
            reject(signal.reason);
          };
          signal.addEventListener('abort', stop, { once: true });
          waiting.push(go);
        });
      }
      return {
        [Symbol.dispose]: () => {
          const next = waiting.shift();
          if (next) next();
          else free++;
        },
      };
    },
    async acquire(key, load, signal) {
      if (closed) throw new Error('the worker is shutting down');
      const at = idle.findIndex((engine) => engine.key === key);
      if (at !== -1) {
        const [engine] = idle.splice(at, 1);
        if (await answersPing(engine!)) return engine!;
        await end(engine!.process);
      }
      // Two big models do not fit beside each other: the old process is gone before the new one starts.
      while (live.size >= options.slots && idle.length > 0) await end(idle.shift()!.process);
      return await start(key, load, signal);
    },
    release(engine) {
      if (closed) void end(engine.process);
      else idle.push(engine);
    },
    discard: (engine) => end(engine.process),
    pids: () => [...live].map((process) => process.pid),
    async close() {
      closed = true;
      idle.length = 0;
      await Promise.all([...live].map(end));
    },
    [Symbol.asyncDispose]: () => pool.close(),
  };
  return pool;
}
