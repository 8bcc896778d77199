import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { readSweep } from '../activities/ledger.ts';
import { aggregateSweepNow } from '../activities/sweep-client.ts';
import type { ReportModel } from '../report/model.ts';
import { type Command, EXIT, type Options } from './command.ts';
import type { Context } from './context.ts';
import { WAIT_OPTION, waitForEstimates } from './estimates.ts';
import { wholeNumber } from './options.ts';
import { sweepOrNewest } from './sweep-argument.ts';
import { UsageError } from './usage-error.ts';

/** Forms of a report: how each is made, and how its file is called. The chart library is loaded only by what needs it. */
const FORMATS: Record<string, { ending: string; render(model: ReportModel): Promise<string> }> = {
  html: { ending: 'html', render: async (model) => await (await import('../report/html.ts')).renderReport(model) },
  md: { ending: 'md', render: async (model) => (await import('../report/markdown.ts')).renderMarkdown(model) },
  json: { ending: 'json', render: async (model) => `${JSON.stringify(model, null, 1)}\n` },
};

export const report: Command = {
  name: 'report',
  args: ['[sweep]'],
  about: 'write the report of a sweep: one HTML file with its charts and hashes, Markdown, or JSON',
  options: [
    { flags: '--format <format>', about: `one of ${Object.keys(FORMATS).join(', ')}`, fallback: 'html' },
    { flags: '--out <file>', about: 'where to, - for stdout; default .kvsweep/reports/SWEEP.FORMAT' },
    WAIT_OPTION,
  ],
  async run(context, [name], options) {
    const format = formatOf(options);
    const waitSeconds = wholeNumber(options.wait, '--wait');
    const db = await context.db();
    const sweepId = await sweepOrNewest(context, name);
    await readSweep(db, sweepId);
    // What is shown must be as new as the rows; the aggregation does nothing where it is.
    await aggregateSweepNow((await context.temporal()).workflow, sweepId);
    await waitForEstimates(context, sweepId, waitSeconds);
    const { readReport } = await import('../report/data.ts');
    const model = await readReport(db, sweepId);
    const text = await format.render(model);
    if (options.out === '-') {
      context.print(text);
      return EXIT.done;
    }
    const file =
      typeof options.out === 'string'
        ? resolve(options.out)
        : join(context.config.paths.reports, `${sweepId}.${format.ending}`);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, text);
    await told(context, model, file);
    return EXIT.done;
  },
};

function formatOf({ format }: Options) {
  const known = FORMATS[String(format)];
  if (known) return known;
  throw new UsageError(`--format ${format} is not known: use ${Object.keys(FORMATS).join(', ')}.`);
}

async function told(context: Context, model: ReportModel, file: string): Promise<void> {
  const { rankingLines, threeAnswers } = await import('../report/answers.ts');
  const { ranking } = await import('../report/ranking.ts');
  const ranked = rankingLines(model).slice(1);
  context.result(
    { sweep: model.sweep.id, file, answers: threeAnswers(model), ranking: ranking(model)?.rows ?? null },
    [...ranked, ...(ranked.length > 0 ? [''] : []), `report: ${file}`].join('\n'),
  );
}
