import { setTimeout as sleep } from 'node:timers/promises';
import { type Progress, readProgress } from '../activities/ledger.ts';
import { aggregateSweepNow } from '../activities/sweep-client.ts';
import { printAnswers } from './answers.ts';
import { type Command, EXIT } from './command.ts';
import type { Context } from './context.ts';
import { waitForEstimates } from './estimates.ts';
import { etaText, progressLine, progressText } from './progress-text.ts';
import { sweepOrNewest } from './sweep-argument.ts';
import { isOver } from './sweep-over.ts';

export const watch: Command = {
  name: 'watch',
  args: ['[sweep]'],
  about: 'show the progress of a sweep until it ends (the newest one by default)',
  async run(context, [name]) {
    return await watchSweep(context, await sweepOrNewest(context, name), { answers: false });
  },
};

const PERIOD_MS = 1_000;
/** Without a terminal a line now and then is enough. */
const LINE_PERIOD_MS = 15_000;

/** Follows a sweep from its rows; 0 all done, 3 some failed, 1 stopped or all failed, 130 interrupted. */
export async function watchSweep(
  context: Context,
  sweepId: string,
  options: { answers: boolean; afterRun?: number },
): Promise<number> {
  const afterRun = options.afterRun ?? null;
  const db = await context.db();
  const view = process.stderr.isTTY && !context.json ? liveView() : lineView(context);
  let progress = await retrying(context, () => readProgress(db, sweepId));
  while (progress !== null && !isOver(progress, afterRun)) {
    view.show(progress);
    await sleep(PERIOD_MS, undefined, { signal: context.interrupted }).catch(() => undefined);
    if (context.interrupted.aborted) break;
    progress = await retrying(context, () => readProgress(db, sweepId));
  }
  if (progress === null || !isOver(progress, afterRun)) {
    view.end(progress);
    context.note(
      `the sweep goes on; \`kvsweep watch ${sweepId}\` shows it again, \`kvsweep pause ${sweepId}\` holds it`,
    );
    return EXIT.interrupted;
  }
  view.end(progress);
  if (options.answers && progress.counts.done > 0) {
    await aggregateSweepNow((await context.temporal()).workflow, sweepId);
    await waitForEstimates(context, sweepId);
    await printAnswers(context, sweepId);
  } else if (context.json) context.print(JSON.stringify(progress));
  return exitCode(context, progress);
}

function exitCode(context: Context, p: Progress): number {
  const { failed, lost, done } = p.counts;
  if (p.alarms > 0)
    context.note(`${p.alarms} samples differ from an earlier run of the same cell: the engine was not deterministic`);
  if (p.status === 'finished' && failed + lost === 0) return EXIT.done;
  if (p.status === 'cancelled') context.note('the sweep was cancelled; `kvsweep resume` goes on with it');
  else if (p.status === 'stopped')
    context.note(`the sweep stopped: ${p.stopReason ?? 'cells are left open'}; \`kvsweep resume\` goes on with it`);
  else
    context.note(
      `${failed} cells failed, ${lost} were lost; \`kvsweep logs ${p.sweepId}\` says why, \`kvsweep resume --failed ${p.sweepId}\` runs them again`,
    );
  return p.status === 'finished' && done > 0 ? EXIT.partial : EXIT.failed;
}

/** Postgres may be restarting: a watcher waits for it as workers do. */
async function retrying<T>(context: Context, read: () => Promise<T>): Promise<T | null> {
  for (let failures = 0; ; failures++) {
    try {
      return await read();
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      if (!/ECONN|terminat|shutting down|starting up|Connection|timeout/i.test(message) || failures >= 60) throw error;
      if (failures === 0) context.note(`the database does not answer (${message}); waiting for it`);
      await sleep(PERIOD_MS, undefined, { signal: context.interrupted }).catch(() => undefined);
      if (context.interrupted.aborted) return null;
    }
  }
}

interface View {
  show(progress: Progress): void;
  end(progress: Progress | null): void;
}

/** Redraws some lines of the terminal in place. */
function liveView(): View {
  let drawn = 0;
  const draw = (text: string) => {
    const width = process.stderr.columns || 80;
    const lines = text.split('\n').map((line) => line.slice(0, width - 1));
    process.stderr.write(
      `${drawn > 0 ? `\x1b[${drawn}A` : ''}${lines.map((line) => `\x1b[2K${line}\n`).join('')}\x1b[J`,
    );
    drawn = lines.length;
  };
  return {
    show: (p) => draw(progressText(p)),
    end: (p) => {
      if (p) draw(progressText(p));
    },
  };
}

function lineView(context: Context): View {
  let last = '';
  let at = 0;
  const tell = (p: Progress, force: boolean) => {
    const line = progressLine(p);
    if (line === last || (!force && Date.now() - at < LINE_PERIOD_MS)) return;
    last = line;
    at = Date.now();
    context.note(`${line}${etaText(p)}`);
  };
  return { show: (p) => tell(p, false), end: (p) => p && tell(p, true) };
}
