import type { Progress } from '../activities/ledger.ts';

/**
 * Whether a sweep has ended. After a launch or a resume the rows still tell the end of the run before until the new
 * run has opened: `afterRun` is the number of that earlier run.
 */
export function isOver(p: Pick<Progress, 'status' | 'runNo' | 'counts'>, afterRun: number | null): boolean {
  if (p.status !== 'finished' && p.status !== 'stopped' && p.status !== 'cancelled') return false;
  const open = p.counts.pending + p.counts.leased + p.counts.lost;
  return open === 0 || afterRun === null || p.runNo > afterRun;
}
