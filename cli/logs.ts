import { readCellLog, readFailures, readSweep } from '../activities/ledger.ts';
import { type Command, EXIT } from './command.ts';
import { wholeNumber } from './options.ts';
import { sweepOrNewest } from './sweep-argument.ts';

export const logs: Command = {
  name: 'logs',
  args: ['[sweep]'],
  about: 'why cells failed or were lost; with --cell, all attempts, errors and the end of its stderr',
  options: [{ flags: '--cell <n>', about: 'number of a cell, as `status SWEEP` shows it' }],
  async run(context, [name], options) {
    const db = await context.db();
    const sweep = await readSweep(db, await sweepOrNewest(context, name));
    if (options.cell === undefined) {
      const failures = await readFailures(db, sweep.sweepNo);
      if (context.json || failures.length > 0) {
        context.rows(
          failures.map((f) => ({
            cell: f.cellNo,
            compressor: f.label,
            batch: f.batch ?? 'max',
            workload: f.workload,
            status: f.status,
            class: f.errClass,
            kind: f.errKind ?? '',
            tries: f.tries,
            message: f.message ?? '',
          })),
        );
      } else context.print(`${sweep.id}: no cell failed or is lost`);
      return EXIT.done;
    }
    const log = await readCellLog(db, sweep.sweepNo, wholeNumber(options.cell, '--cell'));
    const lines = [`cell ${log.cellNo}, ${log.label}: ${log.status}`];
    for (const a of log.attempts)
      lines.push(
        `attempt on ${a.host ?? 'an unknown host'}, ${a.startedAt.toISOString()} to ${a.endedAt?.toISOString() ?? 'now'}: ${a.outcome ?? 'open'}`,
      );
    for (const e of log.errors) {
      lines.push(`${e.at.toISOString()} ${e.errClass}${e.kind ? ` (${e.kind})` : ''}: ${e.message ?? ''}`);
      if (e.tail) lines.push(e.tail.replaceAll(/^/gm, '    '));
    }
    context.result(log, lines.join('\n'));
    return EXIT.done;
  },
};
