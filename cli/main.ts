/** Makes a program of the table of commands: parsing, help, Ctrl-C, and what a user sees of an error. */
import { appendFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Command as Commander, CommanderError } from 'commander';
import { type Config, readConfig } from '../workers/config.ts';
import { type Command, EXIT, type Options } from './command.ts';
import { createContext } from './context.ts';
import { UsageError } from './usage-error.ts';

export interface Streams {
  stdout: { write(text: string): unknown };
  stderr: { write(text: string): unknown };
}

/** Runs one command line; returns its exit code and never throws. */
export async function main(
  commands: readonly Command[],
  argv: string[],
  streams: Streams = process,
  config: Config = readConfig(),
): Promise<number> {
  let code: number = EXIT.done;
  const program = new Commander('kvsweep');
  program
    .description('Measures what KV-cache compression does to throughput, answer length and single prompts.')
    .exitOverride()
    .configureOutput({ writeOut: (t) => streams.stdout.write(t), writeErr: (t) => streams.stderr.write(t) })
    .showHelpAfterError('(kvsweep --help lists the commands)');
  const add = (parent: Commander, command: Command) => {
    const sub = parent.command(command.name).description(command.about).exitOverride();
    for (const arg of command.args ?? []) sub.argument(arg);
    for (const option of command.options ?? []) {
      if (option.many)
        sub.option(option.flags, option.about, (value: string, all: string[]) => [...(all ?? []), value], undefined);
      else sub.option(option.flags, option.about, option.fallback);
    }
    sub.option('--json', 'results as JSON on stdout');
    sub.action(async (...given: unknown[]) => {
      // Commander passes the arguments, then the options, then itself.
      const args = given.slice(0, -2) as (string | undefined)[];
      // With commands below it, a command shares options such as --json with them.
      code = await runCommand(command, args, sub.optsWithGlobals() as Options, streams, config);
    });
    for (const below of command.commands ?? []) add(sub, below);
  };
  for (const command of commands) add(program, command);
  try {
    await program.parseAsync(argv, { from: 'user' });
    return code;
  } catch (error) {
    // Help and version are no mistakes; everything else that commander throws is wrong use.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
    return tellError(error, streams, config);
  }
}

async function runCommand(
  command: Command,
  args: (string | undefined)[],
  options: Options,
  streams: Streams,
  config: Config,
): Promise<number> {
  const abort = new AbortController();
  const onSignal = () => abort.abort();
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  try {
    await using context = createContext({
      config,
      json: options.json === true,
      interrupted: abort.signal,
      ...streamsOf(streams),
    });
    return await command.run(context, args, options);
  } catch (error) {
    if (abort.signal.aborted && error instanceof Error && error.name === 'AbortError') return EXIT.interrupted;
    return tellError(error, streams, config);
  } finally {
    process.off('SIGINT', onSignal);
    process.off('SIGTERM', onSignal);
  }
}

function streamsOf({ stdout, stderr }: Streams): Streams {
  return { stdout, stderr };
}

/**
 * Errors that are a sentence for the user, by name, with the exit code. Anything else is a bug: the user gets one
 * line, the stack goes to the log.
 */
const TOLD: Record<string, number> = {
  PlanError: EXIT.usage,
  DatasetError: EXIT.usage,
  ImportError: EXIT.usage,
  SpecConflict: EXIT.usage,
  LedgerRefusal: EXIT.usage,
  QueryRefusal: EXIT.usage,
  EngineUnavailable: EXIT.failed,
  NoStack: EXIT.failed,
  StackRuns: EXIT.failed,
};

function tellError(thrown: unknown, streams: Streams, config: Config): number {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  if (error instanceof UsageError) {
    streams.stderr.write(`${error.message}\n`);
    return error.exitCode;
  }
  const known = TOLD[error.name];
  if (known !== undefined) {
    streams.stderr.write(`${error.message}\n`);
    return known;
  }
  const log = join(config.paths.logs, 'cli-errors.log');
  try {
    mkdirSync(config.paths.logs, { recursive: true });
    appendFileSync(
      log,
      `${new Date().toISOString()} ${process.argv.slice(2).join(' ')}\n${error.stack}\n${causes(error)}\n`,
    );
  } catch {
    // The log is a help, not the message: an unwritable folder must not hide the error itself.
  }
  streams.stderr.write(`kvsweep failed: ${firstLine(error)}\n(details in ${log})\n`);
  return EXIT.failed;
}

/** The message; for one that says nothing (an AggregateError of a connection) that of its first cause. */
function firstLine(error: Error): string {
  if (error.message) return error.message;
  const inner = (error as AggregateError).errors?.[0] ?? error.cause;
  return inner instanceof Error ? firstLine(inner) : error.name;
}

function causes(error: Error): string {
  return error.cause instanceof Error ? `caused by ${error.cause.stack}\n${causes(error.cause)}` : '';
}
