import { readFile } from 'node:fs/promises';
import { text as readAll } from 'node:stream/consumers';
import { type QueryResult, readerUrl, runReadOnly } from '../activities/reader.ts';
import { type Command, EXIT, type Options } from './command.ts';
import type { Context } from './context.ts';
import { oneOf, positiveInteger } from './options.ts';
import { renderCsv, renderTable } from './table.ts';
import { UsageError } from './usage-error.ts';

const FORMATS = ['table', 'csv', 'jsonl', 'json'] as const;

export const query: Command = {
  name: 'query',
  args: ['[sql]'],
  about: 'run one SQL query on the views of schema kv, as a role that can only read',
  options: [
    { flags: '--format <name>', about: `${FORMATS.join(', ')}`, fallback: 'table' },
    { flags: '--file <path>', about: 'read the query from a file; - is standard input' },
    { flags: '--param <value>', about: 'value of $1, then $2, ...; may be given more than once', many: true },
    { flags: '--explain', about: 'show how Postgres would run it' },
    { flags: '--timeout <seconds>', about: 'end it after so long', fallback: '30' },
    { flags: '--max-rows <n>', about: 'cut the result there', fallback: '10000' },
  ],
  async run(context, [sql], options) {
    const format = context.json ? 'json' : oneOf(options.format, FORMATS, '--format');
    const text = await queryText(sql, options);
    const { databaseUrl } = await context.addresses();
    const result = await runReadOnly(
      await readerUrl(databaseUrl),
      options.explain === true ? `explain ${text}` : text,
      {
        timeoutMs: positiveInteger(options.timeout, '--timeout') * 1000,
        maxRows: positiveInteger(options.maxRows, '--max-rows'),
        params: (options.param as string[] | undefined) ?? [],
      },
    );
    show(context, result, options.explain === true ? 'table' : format, options.explain === true);
    if (result.truncated) {
      const limit = result.truncated === 'rows' ? `--max-rows ${String(options.maxRows)}` : 'the limit of 64 MiB';
      context.note(`the result is cut at ${limit}; there are more rows`);
    }
    return EXIT.done;
  },
};

async function queryText(sql: string | undefined, options: Options): Promise<string> {
  const { file } = options;
  if ((sql === undefined) === (file === undefined)) {
    throw new UsageError('give the query as an argument or with --file, as: kvsweep query "select * from kv.cells"');
  }
  if (sql !== undefined) return withoutEnd(sql);
  if (file === '-') return withoutEnd(await readAll(process.stdin));
  return withoutEnd(
    await readFile(String(file), 'utf8').catch((error: NodeJS.ErrnoException) => {
      throw new UsageError(`query file ${String(file)} cannot be read (${error.code})`);
    }),
  );
}

/** A closing semicolon is habit, not a second statement. */
function withoutEnd(text: string): string {
  return text.trim().replace(/;\s*$/, '');
}

function show(context: Context, result: QueryResult, format: (typeof FORMATS)[number], plain: boolean): void {
  const columns = result.columns.map((c) => c.name);
  if (plain && !context.json) {
    context.print(result.rows.map((row) => String(row[0])).join('\n'));
    return;
  }
  if (format === 'table') {
    // Two columns may have one name; positions keep them apart.
    const keys = columns.map((name, i) => (columns.indexOf(name) === i ? name : `${name} ${i + 1}`));
    context.print(
      renderTable(
        result.rows.map((row) => Object.fromEntries(keys.map((key, i) => [key, row[i]]))),
        keys,
      ),
    );
    return;
  }
  const rows = result.rows.map((row) => Object.fromEntries(columns.map((name, i) => [name, row[i]])));
  if (format === 'csv') context.print(renderCsv(rows, columns));
  else if (format === 'json') context.print(JSON.stringify(rows));
  else for (const row of rows) context.print(JSON.stringify(row));
}
