import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { readSweep } from '../activities/ledger.ts';
import { aggregateSweepNow } from '../activities/sweep-client.ts';
import { type Command, EXIT } from './command.ts';
import { sweepOrNewest } from './sweep-argument.ts';

export const report: Command = {
  name: 'report',
  args: ['[sweep]'],
  about: 'write the HTML report of a sweep: one file with its charts, configuration and hashes',
  options: [{ flags: '--out <file>', about: 'where to; default .kvsweep/reports/SWEEP.html' }],
  async run(context, [name], options) {
    const db = await context.db();
    const sweepId = await sweepOrNewest(context, name);
    await readSweep(db, sweepId);
    // What is shown must be as new as the rows; the aggregation does nothing where it is.
    await aggregateSweepNow((await context.temporal()).workflow, sweepId);
    // The chart library takes a second to load; only a report pays for it.
    const { readReport } = await import('../report/data.ts');
    const { renderReport } = await import('../report/html.ts');
    const { rankingLines, threeAnswers } = await import('../report/answers.ts');
    const { ranking } = await import('../report/ranking.ts');
    const model = await readReport(db, sweepId);
    const file =
      typeof options.out === 'string' ? resolve(options.out) : join(context.config.paths.reports, `${sweepId}.html`);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, await renderReport(model));
    const ranked = rankingLines(model).slice(1);
    context.result(
      { sweep: sweepId, file, answers: threeAnswers(model), ranking: ranking(model)?.rows ?? null },
      [...ranked, ...(ranked.length > 0 ? [''] : []), `report: ${file}`].join('\n'),
    );
    return EXIT.done;
  },
};
