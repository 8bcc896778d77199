/** Runs the command line in this process, or the built one as a program of its own. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { COMMANDS } from '../../cli/index.ts';
import { main } from '../../cli/main.ts';
import { type Environment, readConfig } from '../../workers/config.ts';

export const FAKE_GPU_RUNNER = fileURLToPath(new URL('./fake-gpu-runner.mjs', import.meta.url));
const ENTRY = fileURLToPath(new URL('../../dist/cli/index.js', import.meta.url));

export interface Outcome {
  code: number;
  stdout: string;
  stderr: string;
}

/** In this process, with an environment of its own. */
export async function kvsweep(env: Environment, ...argv: string[]): Promise<Outcome> {
  let stdout = '';
  let stderr = '';
  const streams = {
    stdout: { write: (text: string) => (stdout += text) },
    stderr: { write: (text: string) => (stderr += text) },
  };
  const code = await main(COMMANDS, argv, streams, readConfig(env));
  return { code, stdout, stderr };
}

/** As a program, from `dist/`. */
export async function kvsweepProgram(env: Environment, ...argv: string[]): Promise<Outcome> {
  const child = spawn(process.execPath, [ENTRY, ...argv], {
    env: env as NodeJS.ProcessEnv,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  // `exit`, not `close`: what a command leaves running on purpose may hold its streams.
  const code = await new Promise<number>((done) =>
    child.once('exit', (c, signal) => done(c ?? (signal === 'SIGINT' ? 130 : -1))),
  );
  return { code, stdout, stderr };
}
