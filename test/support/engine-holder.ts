/** A parent that holds an engine and does nothing else; a test kills it. */
import { startEngine } from '../../activities/engine-process.ts';
import { fakeEngine } from './fake-engine.ts';

const engine = startEngine(fakeEngine());
await engine.next({ stallMs: 20_000 });
process.stdout.write(`engine ${engine.pid}\n`);
await engine.closed;
