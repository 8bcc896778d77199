import { createWriteStream } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Db } from '../activities/database.ts';
import {
  type ComparedCell,
  comparedCells,
  countNegativeRows,
  type NegativeCount,
  type NegativeFilter,
  storedCounts,
} from '../activities/ledger/negatives.ts';
import { readSweep } from '../activities/ledger.ts';
import { aggregateSweepNow } from '../activities/sweep-client.ts';
import { RULE_NAMES, RULES, type RuleName, THETAS } from '../analysis/negatives.ts';
import { type Command, EXIT, type Options } from './command.ts';
import type { Context } from './context.ts';
import { groupsOf, type Mode, type NegativeEntry, negativeEntries } from './negative-entries.ts';
import { exportLine } from './negative-export.ts';
import { type CountLine, countTable, entryText, kindOfList } from './negative-text.ts';
import { oneOf, positiveInteger, wholeNumber } from './options.ts';
import { sweepOrNewest } from './sweep-argument.ts';
import { renderTable } from './table.ts';
import { UsageError } from './usage-error.ts';

const LISTED = 20;
const WIDTH = 100;

export const negatives: Command = {
  name: 'negatives',
  args: ['[sweep]'],
  about:
    'samples that the uncompressed model answers well and a compressor loses: prompt, reference, both answers, scores',
  options: [
    { flags: '--theta <percent>', about: 'by how much the score has to fall', fallback: '10' },
    {
      flags: '--rule <name>',
      about: RULE_NAMES.map((name) => `${name} (${RULES[name].about})`).join(', '),
      fallback: 'default',
    },
    { flags: '--method <label>', about: 'only this compressor; may be given more than once', many: true },
    { flags: '--all', about: 'samples that every chosen compressor loses' },
    { flags: '--any', about: 'samples that at least one of them loses, each once' },
    { flags: '--task <type>', about: 'only this task type' },
    { flags: '--metric <name>', about: 'only this metric' },
    { flags: '--replicate <n>', about: 'only this replicate' },
    { flags: '--limit <n>', about: `list so many; ${LISTED} on a terminal, else all` },
    { flags: '--out <file>', about: 'write them as JSONL, a line a prompt: a data set for the next sweep' },
  ],
  async run(context, [name], options) {
    const sweepId = await sweepOrNewest(context, name);
    const { filter, mode, limit } = wanted(options);
    const db = await context.db();
    await readSweep(db, sweepId);
    const every = await comparedCells(db, sweepId);
    if (every.some((cell) => cell.kind !== 'import')) await refresh(context, sweepId);
    const cells = chosen(every, options, sweepId);
    if (typeof options.out === 'string') return await write(context, db, cells, filter, mode, limit, options.out);
    const counts = countTable(await countLines(db, cells, filter, mode), filter.rule === 'artifact');
    const entries = firstOf(negativeEntries(db, cells, filter, mode), limit ?? (context.json ? null : LISTED));
    if (context.json)
      await printJson(context, { sweep: sweepId, theta: filter.theta, rule: filter.rule, counts }, entries);
    else await printList(context, sweepId, filter, counts, entries, limit ?? LISTED);
    return EXIT.done;
  },
};

function wanted(options: Options): { filter: NegativeFilter; mode: Mode; limit: number | null } {
  const percent = Number(options.theta);
  if (!(percent > 0 && percent < 100)) {
    throw new UsageError(`--theta ${String(options.theta)} is not a percentage between 0 and 100`);
  }
  if (options.all === true && options.any === true) throw new UsageError('give --all or --any, not both');
  const text = (value: Options[string]) => (typeof value === 'string' ? value : null);
  return {
    filter: {
      theta: percent / 100,
      rule: oneOf(options.rule, RULE_NAMES, '--rule') satisfies RuleName,
      task: text(options.task),
      metric: text(options.metric),
      replicate: options.replicate === undefined ? null : wholeNumber(options.replicate, '--replicate'),
    },
    mode: options.all === true ? 'all' : options.any === true ? 'any' : 'each',
    limit: options.limit === undefined ? null : positiveInteger(options.limit, '--limit'),
  };
}

/** The aggregation does nothing where it is up to date; without Temporal what is stored is shown. */
async function refresh(context: Context, sweepId: string): Promise<void> {
  try {
    await aggregateSweepNow((await context.temporal()).workflow, sweepId);
  } catch (error) {
    context.note(`shown as last aggregated: ${(error as Error).message}`);
  }
}

function chosen(cells: readonly ComparedCell[], options: Options, sweepId: string): ComparedCell[] {
  if (cells.length === 0) {
    throw new UsageError(`sweep ${sweepId} has no done cell of a compressor beside a done baseline`, EXIT.failed);
  }
  const labels = [...new Set(cells.map((cell) => cell.label))].sort();
  const methods = (options.method as string[] | undefined) ?? labels;
  const unknown = methods.find((method) => !labels.includes(method));
  if (unknown !== undefined) throw new UsageError(`--method ${unknown} is not one of ${labels.join(', ')}`);
  const own = cells.filter((cell) => methods.includes(cell.label));
  if (options.all !== true) return own;
  // "Every compressor" can only be said where all of them ran.
  return groupsOf(own, 'all').flatMap((group) =>
    new Set(group.map((cell) => cell.label)).size === new Set(methods).size ? group : [],
  );
}

async function countLines(db: Db, cells: ComparedCell[], filter: NegativeFilter, mode: Mode): Promise<CountLine[]> {
  const isStored = mode === 'each' && THETAS.includes(filter.theta) && filter.replicate === null;
  const stored = isStored
    ? await storedCounts(
        db,
        cells.map((cell) => cell.cellKey),
        filter,
      )
    : null;
  const lines = new Map<string, CountLine>();
  for (const group of groupsOf(cells, mode)) {
    const count = stored
      ? stored.get(group[0]!.cellKey)
      : await countNegativeRows(
          db,
          group.map((cell) => cell.cellKey),
          filter,
          mode === 'any' ? 'any' : 'all',
        );
    if (!count) continue;
    const compressor = mode === 'each' ? group[0]!.label : `${mode} of ${group.map((cell) => cell.label).join(', ')}`;
    const key = `${compressor}\n${group[0]!.batch}`;
    const sum = lines.get(key);
    lines.set(key, { compressor, batch: group[0]!.batch, ...(sum ? added(sum, count) : count) });
  }
  return [...lines.values()];
}

function added(a: NegativeCount, b: NegativeCount): NegativeCount {
  return {
    n: a.n + b.n,
    eligible: a.eligible + b.eligible,
    negatives: a.negatives + b.negatives,
    mirrored: a.mirrored + b.mirrored,
    robust: a.robust === null && b.robust === null ? null : (a.robust ?? 0) + (b.robust ?? 0),
  };
}

async function* firstOf<T>(items: AsyncIterable<T>, limit: number | null): AsyncGenerator<T> {
  let left = limit ?? Number.POSITIVE_INFINITY;
  if (left === 0) return;
  for await (const item of items) {
    yield item;
    if (--left === 0) return;
  }
}

/** One JSON value, written as it is found. */
async function printJson(context: Context, head: object, entries: AsyncIterable<NegativeEntry>): Promise<void> {
  context.print(`${JSON.stringify(head).slice(0, -1)},"negatives":[`);
  let isFirst = true;
  for await (const entry of entries) {
    context.print(`${isFirst ? '' : ','}${JSON.stringify(entry)}`);
    isFirst = false;
  }
  context.print(']}');
}

async function printList(
  context: Context,
  sweepId: string,
  { theta, rule }: NegativeFilter,
  counts: ReturnType<typeof countTable>,
  entries: AsyncIterable<NegativeEntry>,
  limit: number,
): Promise<void> {
  const about = RULES[rule as RuleName].about;
  context.print(
    `${sweepId}: scores that fell by ${Number((100 * theta).toPrecision(6))} % or more, rule ${rule} (${about})\n\n`,
  );
  context.print(renderTable(counts));
  context.print(`\n${kindOfList(counts)}\n\n`);
  const width = Math.max(40, process.stdout.columns ?? WIDTH);
  let no = 0;
  for await (const entry of entries) context.print(`${entryText(entry, ++no, width)}\n\n`);
  if (no === 0) context.print('none to list');
  else if (no === limit) context.note(`the first ${limit}; --limit N lists more, --out FILE writes them all`);
}

async function write(
  context: Context,
  db: Db,
  cells: ComparedCell[],
  filter: NegativeFilter,
  mode: Mode,
  limit: number | null,
  out: string,
): Promise<number> {
  const file = resolve(out);
  await mkdir(dirname(file), { recursive: true });
  // A data set has a prompt once, whoever loses it and at whichever batch size.
  const seen = new Set<string>();
  let textless = 0;
  const lines = async function* () {
    for await (const entry of negativeEntries(db, cells, filter, mode === 'each' ? 'any' : mode)) {
      if (seen.has(entry.promptKey)) continue;
      const line = exportLine(entry, filter);
      if (line === null) {
        textless++;
        continue;
      }
      seen.add(entry.promptKey);
      yield `${JSON.stringify(line)}\n`;
      if (seen.size === limit) return;
    }
  };
  await pipeline(Readable.from(lines()), createWriteStream(file));
  const reason = 'no text of their prompts is stored (an import has scores alone)';
  if (textless > 0 && seen.size === 0) {
    await rm(file);
    throw new UsageError(`nothing to write: of ${textless} negatives ${reason}`, EXIT.failed);
  }
  if (textless > 0) context.note(`${textless} negatives left out: ${reason}`);
  context.result({ file, prompts: seen.size, textless }, `${seen.size} prompts written to ${file}`);
  return EXIT.done;
}
