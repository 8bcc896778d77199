/** Progress of a sweep in words; pure. */
import type { Progress } from '../activities/ledger.ts';
import { durationText } from './table.ts';

export function progressLine(p: Progress): string {
  const { counts } = p;
  const rate = p.tokensPerSecond === null ? '' : `, ${p.tokensPerSecond.toFixed(0)} tokens/s`;
  const failed = counts.failed + counts.lost > 0 ? `, ${counts.failed} failed, ${counts.lost} lost` : '';
  const reused = p.reused > 0 ? ` (${p.reused} reused)` : '';
  return `${p.sweepId} ${p.status}: ${counts.done}/${p.total} cells${reused}, ${p.samplesDone}/${p.samplesPlanned} samples${rate}${failed}`;
}

/** Remaining time of one worker: the plan's estimate of open cells, corrected by how the done ones went. */
export function etaMs(p: Pick<Progress, 'openEstMs' | 'doneEstMs' | 'doneMs'>): number | null {
  if (p.openEstMs === 0) return 0;
  if (p.doneEstMs <= 0 || p.doneMs <= 0) return null;
  return p.openEstMs * (p.doneMs / p.doneEstMs);
}

export function etaText(p: Progress): string {
  const open = p.counts.pending + p.counts.leased + p.counts.lost;
  if (open === 0) return '';
  const ms = etaMs(p);
  return ms === null ? ', ETA unknown until a cell is done' : `, ETA about ${durationText(ms)}`;
}

/** A few lines for a live view. */
export function progressText(p: Progress, width = 40): string {
  const share = p.total === 0 ? 0 : p.counts.done / p.total;
  const filled = Math.round(share * width);
  const lines = [`[${'#'.repeat(filled)}${'.'.repeat(width - filled)}] ${progressLine(p)}${etaText(p)}`];
  for (const cell of p.runningCells) {
    const since = durationText(Date.now() - cell.startedAt.getTime());
    lines.push(`  running ${cell.label}, batch ${cell.batch ?? 'max'}, ${cell.workload}, for ${since}`);
  }
  for (const f of p.failures) lines.push(`  failed: ${f.cells} x ${f.errClass}`);
  if (p.alarms > 0) lines.push(`  ALARM: ${p.alarms} samples differ from an earlier run of the same cell`);
  return lines.join('\n');
}
