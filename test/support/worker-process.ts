/** An engine worker as a process of its own, for tests that kill it. Its configuration is its argument. */
import { type EngineWorkerConfig, startEngineWorker } from '../../workers/engine.ts';
import { runUntilSignal } from '../../workers/runtime.ts';

const config = JSON.parse(process.argv[2] ?? '') as EngineWorkerConfig;
// The test's own end, however it comes, ends this process too.
process.stdin.resume().once('end', () => process.kill(process.pid, 'SIGKILL'));
const handle = await startEngineWorker(config);
process.stdout.write('ready\n');
const reason = await runUntilSignal(handle);
process.exit(reason === 'fault' ? 3 : 0);
