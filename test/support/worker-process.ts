/** A worker as a process of its own, for tests that kill it and for `tools/scale.ts`. Its configuration is its argument. */
import { type ControlWorkerConfig, startControlWorker } from '../../workers/control.ts';
import { type EngineWorkerConfig, startEngineWorker } from '../../workers/engine.ts';
import { runUntilSignal } from '../../workers/runtime.ts';
import { NO_JOBS } from './no-jobs.ts';

type Config = ({ kind: 'engine' } & EngineWorkerConfig) | ({ kind: 'control' } & Omit<ControlWorkerConfig, 'jobs'>);

const config = JSON.parse(process.argv[2] ?? '') as Config;
// The parent's end, however it comes, ends this process too.
process.stdin.resume().once('end', () => process.kill(process.pid, 'SIGKILL'));
const handle =
  config.kind === 'engine' ? await startEngineWorker(config) : await startControlWorker({ ...config, jobs: NO_JOBS });
process.stdout.write('ready\n');
const drain = (reason: string) => {
  handle.drain(reason);
  process.stdout.write('draining\n');
};
const reason = await runUntilSignal({ ...handle, drain });
process.exit(reason === 'fault' ? 3 : 0);
