import { extname } from 'node:path';
import { readerUrl } from '../activities/reader.ts';
import { streamReadOnly } from '../activities/reader-stream.ts';
import { type Command, EXIT, type Options } from './command.ts';
import { ClosedPipe, type Context } from './context.ts';
import { FORMATS, type FormatName } from './export/formats.ts';
import { type Question, viewQuestion } from './export/question.ts';
import { fileTarget, streamTarget, type Target } from './export/target.ts';
import { oneOf, positiveInteger } from './options.ts';
import { UsageError } from './usage-error.ts';

const NAMES = Object.keys(FORMATS) as FormatName[];
const PROGRESS_MS = 5000;

export const exportCommand: Command = {
  name: 'export',
  args: ['[view]'],
  about: 'write a view of schema kv, or the rows of a query, to a file: CSV, JSON lines or Parquet, of any size',
  options: [
    { flags: '--out <file>', about: 'where to; - is standard output (csv, jsonl)' },
    { flags: '--format <name>', about: `${NAMES.join(', ')}; without it by the ending of the file` },
    { flags: '--sql <query>', about: 'rows of this query instead of a view' },
    { flags: '--sweep <name>', about: 'only rows of the cells of this sweep' },
    {
      flags: '--where <condition>',
      about: 'only rows that fit, in SQL over the columns of the view: "batch_size = 8"',
    },
    {
      flags: '--param <value>',
      about: 'with --sql: value of $1, then $2, ...; may be given more than once',
      many: true,
    },
    { flags: '--timeout <seconds>', about: 'end it after so long', fallback: '3600' },
  ],
  async run(context, [view], options) {
    const out = required(options.out);
    const format = formatOf(options.format, out);
    const question = await questionOf(context, view, options);
    const timeoutMs = positiveInteger(options.timeout, '--timeout') * 1000;
    const { databaseUrl } = await context.addresses();
    const started = performance.now();
    // The query first: if it is refused, no file is touched.
    await using stream = await streamReadOnly(await readerUrl(databaseUrl), question.text, {
      params: question.params,
      timeoutMs,
      signal: context.interrupted,
    });
    checkColumns(stream.columns.map((column) => column.name));
    const target = out === '-' ? streamTarget(context.write) : await fileTarget(out);
    let rows = 0;
    try {
      const encoder = FORMATS[format].encoder(stream.columns, target.sink);
      let told = started;
      for await (const batch of stream.batches()) {
        await encoder.rows(batch);
        rows += batch.length;
        if (out !== '-' && performance.now() - told > PROGRESS_MS) {
          told = performance.now();
          context.note(`${rows} rows, ${megabytes(target)}`);
        }
      }
      await encoder.end();
      await target.finish();
    } catch (error) {
      await target.abandon();
      if (error instanceof ClosedPipe) return EXIT.done;
      // A value that the format cannot hold: its author can write the query otherwise.
      if (error instanceof RangeError) throw new UsageError(error.message);
      throw error;
    }
    const ms = Math.round(performance.now() - started);
    if (out === '-') context.note(`${rows} rows`);
    else
      context.result({ out, format, rows, bytes: target.bytes(), ms }, `${rows} rows, ${megabytes(target)} in ${out}`);
    return EXIT.done;
  },
};

function required(out: Options[string]): string {
  if (typeof out === 'string' && out !== '') return out;
  throw new UsageError('say where to: --out FILE, or --out - for standard output');
}

function formatOf(format: Options[string], out: string): FormatName {
  const name =
    format === undefined
      ? NAMES.find((one) => FORMATS[one].extension === extname(out).toLowerCase())
      : oneOf(format, NAMES, '--format');
  if (name === undefined) {
    throw new UsageError(`--format is needed: the name ${out} does not tell which of ${NAMES.join(', ')} is wanted`);
  }
  if (out === '-' && !FORMATS[name].isText) {
    throw new UsageError(`${name} is not text: give it a file (--out FILE)`);
  }
  return name;
}

async function questionOf(context: Context, view: string | undefined, options: Options): Promise<Question> {
  const { sql, sweep, where } = options;
  if ((view === undefined) === (sql === undefined)) {
    throw new UsageError('name a view or give --sql, as: kvsweep export length_shift --out lengths.parquet');
  }
  if (sql === undefined) {
    if (options.param !== undefined) throw new UsageError('--param belongs to --sql');
    return await viewQuestion(await context.db(), view!, { sweep: sweep as string, where: where as string });
  }
  if (sweep !== undefined || where !== undefined) {
    throw new UsageError('--sweep and --where restrict a view; with --sql write the condition into the query');
  }
  // A closing semicolon is habit, not a second statement.
  return { text: String(sql).trim().replace(/;\s*$/, ''), params: (options.param as string[] | undefined) ?? [] };
}

function checkColumns(names: readonly string[]): void {
  if (names.length === 0) throw new UsageError('the query has no columns, so there is nothing to export');
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) {
    throw new UsageError(`the query has two columns named '${twice}'; name one of them otherwise (... as other_name)`);
  }
}

function megabytes(target: Target): string {
  const bytes = target.bytes();
  return bytes < 1e6 ? `${Math.ceil(bytes / 1000)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}
