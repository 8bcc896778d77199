/** A process is named by pid and start time: a pid alone may have been given to another program since. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

export interface ProcessIdentity {
  pid: number;
  /** Opaque; equal for the same process, different for a later one of the same pid. */
  started: string;
}

/** Identity of a running process, null if there is none of that pid. */
export async function identify(pid: number): Promise<ProcessIdentity | null> {
  const started = await startTime(pid);
  return started === null ? null : { pid, started };
}

/** Whether that very process still runs (a zombie waiting for its parent does not). */
export async function isRunning(process: ProcessIdentity): Promise<boolean> {
  return (await startTime(process.pid)) === process.started;
}

/** Sends a signal if that very process still runs; false if it does not. */
export async function signal(target: ProcessIdentity, name: NodeJS.Signals): Promise<boolean> {
  if (!(await isRunning(target))) return false;
  try {
    process.kill(target.pid, name);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}

/** Waits until the process has ended; false if it still runs after `timeoutMs`. */
export async function waitForEnd(target: ProcessIdentity, timeoutMs: number): Promise<boolean> {
  const deadline = Date.now() + timeoutMs;
  while (await isRunning(target)) {
    if (Date.now() > deadline) return false;
    await sleep(50);
  }
  return true;
}

async function startTime(pid: number): Promise<string | null> {
  if (process.platform === 'linux') {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null);
    if (stat === null) return null;
    // The name in parentheses may hold spaces; field 3 is the state, field 22 the start in clock ticks since boot.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? null : fields[19]!;
  }
  const ps = await promisify(execFile)('ps', ['-o', 'stat=,lstart=', '-p', String(pid)]).catch(() => ({ stdout: '' }));
  const line = ps.stdout.trim();
  return line === '' || line.startsWith('Z') ? null : line.replace(/^\S+\s+/, '');
}
