import { listSweeps, readCells, readEvents, readProgress } from '../activities/ledger.ts';
import { type Command, EXIT } from './command.ts';
import { etaText, progressText } from './progress-text.ts';
import { roleOf } from './role.ts';
import { renderTable } from './table.ts';

export const status: Command = {
  name: 'status',
  args: ['[sweep]'],
  about: 'all sweeps; with a name, its cells by state and what was done to it',
  async run(context, [name]) {
    const db = await context.db();
    if (name === undefined) {
      const rows = (await listSweeps(db)).map((s) => ({
        sweep: s.id,
        status: s.status,
        cells: s.total,
        done: s.done,
        failed: s.failed,
        created: s.createdAt,
      }));
      context.rows(rows, ['sweep', 'status', 'cells', 'done', 'failed', 'created']);
      return EXIT.done;
    }
    const progress = await readProgress(db, name);
    const cells = await readCells(db, progress.sweepNo);
    const events = await readEvents(db, progress.sweepNo);
    const sum = Object.values(progress.counts).reduce((a, b) => a + b, 0);
    if (context.json) {
      context.print(JSON.stringify({ ...progress, cells, events }, null, 2));
      return EXIT.done;
    }
    context.print(`${progressText(progress)}`);
    // The states must add up to the grid; if they do not, the ledger is wrong and the user must hear of it.
    context.print(
      `cells by state: ${Object.entries(progress.counts)
        .map(([k, n]) => `${k} ${n}`)
        .join(
          ', ',
        )}; sum ${sum} of ${progress.total}${sum === progress.total ? '' : ' DOES NOT ADD UP'}${etaText(progress)}`,
    );
    context.print(
      renderTable(
        cells.map((c) => ({
          cell: c.cellNo,
          compressor: c.label,
          batch: c.batch ?? 'max',
          workload: c.workload,
          role: roleOf(c),
          status: c.status,
          tries: c.tries,
          from: c.reusedFrom ?? '',
          error: c.errClass ?? '',
        })),
      ),
    );
    if (events.length > 0) {
      context.print(
        `\n${renderTable(events.map((e) => ({ at: e.at, user: e.user, action: e.action, old: e.old, new: e.new, reason: e.reason ?? '' })).map((e) => (e.action === 'amend' ? { ...e, old: '', new: '' } : e)))}`,
      );
    }
    return EXIT.done;
  },
};
