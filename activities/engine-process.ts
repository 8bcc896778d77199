/**
 * The life of one engine process: start, lines in and out, bounded memory, and an end that leaves nothing behind.
 *
 * The engine leads its own process group, so that a signal reaches whatever it starts. If this process is killed
 * with SIGKILL no code of ours runs: the engine then sees the end of its stdin and exits by itself (protocol 1).
 */
import { once } from 'node:events';
import { execa } from 'execa';
import { type EngineEvent, type EngineRequest, MAX_LINE_BYTES, parseEvent } from './engine-protocol.ts';
import { EngineFault } from './failures.ts';

export interface EngineCommand {
  path: string;
  args: string[];
  /** The whole environment of the engine: an allow-list, never ours. */
  env: Record<string, string>;
}

export interface EngineLimits {
  /** Between SIGTERM and SIGKILL of the group. */
  killAfterMs: number;
  /** Of stderr, the newest bytes are kept. */
  stderrBytes: number;
  /** Events read ahead of their reader; beyond it the pipe fills and the engine waits. */
  queueEvents: number;
}

export const ENGINE_LIMITS: EngineLimits = { killAfterMs: 5_000, stderrBytes: 64 * 1024, queueEvents: 4_096 };

export interface EngineExit {
  code: number | null;
  signal: string | null;
}

export interface EngineProcess extends AsyncDisposable {
  readonly pid: number;
  readonly closed: Promise<EngineExit>;
  /** Nothing more will come of it: it has ended or broken the protocol. */
  readonly ended: boolean;
  send(...requests: EngineRequest[]): Promise<void>;
  /** The next event; throws an {@link EngineFault} on a stall, a broken protocol or the engine's end. */
  next(options: { stallMs: number; signal?: AbortSignal }): Promise<EngineEvent>;
  stderrTail(): string;
  /** SIGTERM to the group, SIGKILL after `killAfterMs`; resolves when all pipes are closed. */
  stop(): Promise<EngineExit>;
}

export function startEngine(command: EngineCommand, limits: EngineLimits = ENGINE_LIMITS): EngineProcess {
  const child = execa(command.path, command.args, {
    env: command.env,
    extendEnv: false,
    detached: true, // a process group of its own; the cleanup of execa does not apply, stdin's end does
    cleanup: false,
    buffer: false,
    reject: false,
    stdin: 'pipe',
    stdout: 'pipe',
    stderr: 'pipe',
    stripFinalNewline: false,
  });
  const pid = child.pid;
  const tail = ring(limits.stderrBytes);
  const queue: EngineEvent[] = [];
  let fault: EngineFault | null = null;
  let expected = 0;
  let wake: () => void = () => {};
  let drained: () => void = () => {};
  let stopping: Promise<EngineExit> | null = null;

  const fail = (error: EngineFault) => {
    fault ??= error;
    wake();
  };
  const kill = (signal: NodeJS.Signals) => {
    if (pid === undefined) return;
    try {
      process.kill(-pid, signal);
    } catch (error) {
      // The group is gone already: that is what the signal was for.
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  };

  child.stderr.on('data', (chunk: Buffer) => tail.push(chunk));
  child.stdin.on('error', () => {}); // EPIPE of a dead engine: its exit tells more

  const readLines = async () => {
    for await (const line of boundedLines(child.stdout as AsyncIterable<Buffer>, MAX_LINE_BYTES)) {
      if (line === '') continue;
      const event = parseEvent(line);
      if (event.n !== expected) throw new Error(`the engine lost a line: event ${event.n} where ${expected} was due`);
      expected++;
      queue.push(event);
      wake();
      if (queue.length >= limits.queueEvents) {
        await new Promise<void>((resolve) => {
          drained = resolve;
        });
      }
    }
  };
  const reading = readLines().catch((error: Error) => {
    fail(new EngineFault('protocol', error.message, { tail: tail.text(), cause: error }));
    kill('SIGKILL'); // it may be writing without end
    child.stdout.resume(); // or `close` waits for ever on the unread rest
  });

  // `close`, not `exit`: the last line may still be in the pipe when the process is gone.
  const closed = (async (): Promise<EngineExit> => {
    const result = await child;
    await reading;
    const exit = { code: result.exitCode ?? null, signal: result.signal ?? null };
    fail(exitFault(exit, result.originalMessage, command.path, tail.text()));
    return exit;
  })();

  const stop = async () => {
    // Children of the engine may outlive it, hence the group is signalled even if the engine is gone.
    kill('SIGTERM');
    drained();
    const timer = setTimeout(() => kill('SIGKILL'), limits.killAfterMs);
    try {
      return await closed;
    } finally {
      clearTimeout(timer);
      kill('SIGKILL');
    }
  };

  const engine: EngineProcess = {
    pid: pid ?? -1,
    closed,
    get ended() {
      return fault !== null && queue.length === 0;
    },
    async send(...requests) {
      const lines = requests.map((request) => `${JSON.stringify(request)}\n`);
      const tooLong = lines.find((line) => Buffer.byteLength(line) > MAX_LINE_BYTES);
      if (tooLong !== undefined) {
        throw new EngineFault(
          'too_large',
          `a request of ${Buffer.byteLength(tooLong)} bytes is over the line limit of ${MAX_LINE_BYTES}; shorten the prompt`,
          { usable: true },
        );
      }
      if (child.stdin.destroyed || child.stdin.write(lines.join(''))) return;
      await Promise.race([once(child.stdin, 'drain'), closed]);
    },
    async next({ stallMs, signal }) {
      const waitUntil = performance.now() + stallMs;
      for (;;) {
        signal?.throwIfAborted();
        const event = queue.shift();
        if (event) {
          if (queue.length < limits.queueEvents / 2) drained();
          return event;
        }
        if (fault) throw fault;
        const left = waitUntil - performance.now();
        if (left <= 0) {
          throw new EngineFault('stall', `the engine wrote nothing for ${Math.round(stallMs / 1000)} s`, {
            tail: tail.text(),
          });
        }
        await new Promise<void>((resolve) => {
          const done = () => {
            clearTimeout(timer);
            signal?.removeEventListener('abort', done);
            resolve();
          };
          const timer = setTimeout(done, left + 1);
          signal?.addEventListener('abort', done, { once: true });
          wake = done;
        });
      }
    },
    stderrTail: () => tail.text(),
    stop: () => {
      stopping ??= stop();
      return stopping;
    },
    [Symbol.asyncDispose]: async () => {
      await engine.stop();
    },
  };
  return engine;
}

function exitFault(exit: EngineExit, reason: string | undefined, path: string, tail: string): EngineFault {
  if (exit.code === null && exit.signal === null) {
    return new EngineFault(
      'start',
      `the engine ${path} could not be started: ${reason ?? 'unknown reason'}; build it or set KVSWEEP_ENGINE`,
      { tail },
    );
  }
  const how = exit.signal === null ? `exited with code ${exit.code}` : `was ended by ${exit.signal}`;
  // Exit code 3 is the engine's own word for a device that is missing or lost.
  return new EngineFault(exit.code === 3 ? 'device_lost' : 'exit', `the engine ${how}`, { tail });
}

/** Splits a byte stream into lines and never holds more than one line of `limit` bytes. */
export async function* boundedLines(source: AsyncIterable<Buffer>, limit: number): AsyncGenerator<string> {
  let parts: Buffer[] = [];
  let size = 0;
  for await (const chunk of source) {
    let from = 0;
    for (let at = chunk.indexOf(10); at !== -1; at = chunk.indexOf(10, from)) {
      parts.push(chunk.subarray(from, at));
      size += at - from;
      if (size > limit) throw new Error(`the engine wrote a line of more than ${limit} bytes`);
      yield (parts.length === 1 ? parts[0]! : Buffer.concat(parts)).toString('utf8');
      parts = [];
      size = 0;
      from = at + 1;
    }
    if (from < chunk.length) {
      parts.push(chunk.subarray(from));
      size += chunk.length - from;
    }
    if (size > limit) throw new Error(`the engine wrote a line of more than ${limit} bytes`);
  }
  // An unfinished last line is no event: the engine died while it wrote.
}

/** The newest `limit` bytes of what was pushed. */
function ring(limit: number): { push(chunk: Buffer): void; text(): string } {
  let kept = Buffer.alloc(0);
  return {
    push(chunk) {
      const all = chunk.length >= limit ? chunk : Buffer.concat([kept, chunk]);
      kept = Buffer.from(all.subarray(Math.max(0, all.length - limit)));
    },
    text: () => kept.toString('utf8'),
  };
}
