/**
 * How long the aggregation of a large sweep takes: fills a fresh database (Postgres with its durable defaults) with
 * cells x prompts samples, aggregates from scratch, then again after 1 % of the cells have changed, and times the views
 * that read the result. A sample of cells is computed a second time, the plain way, and compared.
 *
 *   npm run scale:analysis -- [--cells 10000] [--prompts 1000] [--labels 18] [--datasets 50] [--seed 1] [--promised] [--report] [--json]
 *
 * Ends with 1 if a bar is missed or any number differs.
 */
import { chmod, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cpuUsage, resourceUsage } from 'node:process';
import { parseArgs } from 'node:util';
import { ESTIMATE_STAGES, runStage, SUMMARY_STAGES } from '../activities/aggregate/sweep.ts';
import { type Db, openDatabase, query } from '../activities/database.ts';
import { migrate } from '../migrations/migrate.ts';
import { readReport } from '../report/data.ts';
import { renderReport } from '../report/html.ts';
import { startPostgres } from '../workers/embedded-postgres.ts';
import { checkCells } from './scale-analysis/check.ts';
import { CELLS_WITH_TOKENS, generate } from './scale-analysis/generate.ts';

const { values } = parseArgs({
  options: {
    cells: { type: 'string', default: '10000' },
    prompts: { type: 'string', default: '1000' },
    labels: { type: 'string', default: '18' },
    datasets: { type: 'string', default: '50' },
    seed: { type: 'string', default: '1' },
    /** Leaves out the stages that have no bar. */
    promised: { type: 'boolean', default: false },
    /** Times the report of the whole sweep too. */
    report: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
});
const [cells, prompts, labels, datasets, seed] = [
  values.cells,
  values.prompts,
  values.labels,
  values.datasets,
  values.seed,
].map(Number) as [number, number, number, number, number];

/** Stages whose time is a promise; the others are given by their cost a cell. */
const PROMISED = SUMMARY_STAGES;
const BARS = { scratch: 180, incremental: 5, view: 2 };

const result: Record<string, number> = {};
const say = (text: string) => {
  if (!values.json) process.stderr.write(`${text}\n`);
};

/**
 * CPU seconds of the server's processes, from /proc; null where there is none. Those that have ended count in their
 * parent.
 */
async function serverCpu(): Promise<number | null> {
  try {
    let ticks = 0;
    for (const pid of (await readdir('/proc')).filter((name) => /^[0-9]+$/.test(name))) {
      const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
      // after the name in brackets: state, parent, ...; user and system time are the 12th and 13th, those of ended children next
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      const sum = (from: number) => Number(fields[from]) + Number(fields[from + 1]);
      if (Number(pid) === server.pid) ticks += sum(11) + sum(13);
      else if (Number(fields[1]) === server.pid) ticks += sum(11);
    }
    return ticks / 100;
  } catch {
    return null;
  }
}

/** Seconds by the clock; and of CPU, in this process and in Postgres. */
async function timed<T>(name: string, work: () => Promise<T>): Promise<T> {
  const start = performance.now();
  const before = cpuUsage();
  const serverBefore = await serverCpu();
  const done = await work();
  const { user, system } = cpuUsage(before);
  const serverAfter = await serverCpu();
  result[name] = round((performance.now() - start) / 1000, 2);
  result[`${name}_cpu`] = round((user + system) / 1e6);
  if (serverBefore !== null && serverAfter !== null) result[`${name}_cpu_postgres`] = round(serverAfter - serverBefore);
  say(
    `${name}: ${result[name]} s; CPU ${result[`${name}_cpu`]} s here, ${result[`${name}_cpu_postgres`] ?? '?'} s in Postgres`,
  );
  return done;
}

const folder = await mkdtemp(join(tmpdir(), 'kvsweep-scale-analysis-'));
await chmod(folder, 0o755); // as root, Postgres runs as another user
const server = await startPostgres({ dataDir: join(folder, 'data') });
const db = openDatabase(server.url, { max: 6 });
try {
  await migrate(db);
  const sweepNo = await timed('generate', async () => await generate(db, { cells, prompts, labels, datasets, seed }));
  const [size] = await query<{ samples: number; bytes: number }>(
    db,
    'select (select count(*) from sample) as samples, pg_database_size(current_database()) as bytes',
  );
  result.samples = size!.samples;
  say(`${size!.samples} samples in ${cells} cells, ${round(size!.bytes / 1e9)} GB`);

  const from = performance.now();
  for (const stage of PROMISED) await timed(stage.name, async () => await runStage(db, sweepNo, stage));
  result.scratch = round((performance.now() - from) / 1000);
  await query(db, 'analyze cell_stats, cell_stage, score, negative_summary');

  await changeCells(db, sweepNo, Math.ceil(cells / 100));
  const again = performance.now();
  for (const stage of PROMISED) await timed(`again_${stage.name}`, async () => await runStage(db, sweepNo, stage));
  result.peak_mb = round(resourceUsage().maxRSS / 1024, 0);
  result.incremental = round((performance.now() - again) / 1000);

  for (const view of ['length_shift_summary', 'negatives_summary', 'noise_floor', 'e2e_latency_summary'])
    result[`rows_${view}`] = (
      await timed(`view_${view}`, async () => await query(db, `select * from kv.${view}`))
    ).length;

  await timed('pairs_of_a_cell', async () => {
    const [cell] = await query<{ key: string }>(db, `select encode(key, 'hex') as key from cell where cell_no = 2`);
    await query(db, 'select avg(d) from kv.length_shift where cell_key = $1', [cell!.key]);
  });

  if (values.report) {
    const model = await timed('report_read', async () => await readReport(db, 'scale-analysis'));
    const text = await timed('report_html', async () => await renderReport(model));
    say(`report: ${round(text.length / 1e6)} million characters`);
  }

  result.checked = await checkCells(db, sweepNo, Math.min(cells, 10));
  const slow = [['intervals', 5] as const, ['diagnostics', CELLS_WITH_TOKENS] as const];
  for (const [name, few] of values.promised ? [] : slow) {
    const stage = ESTIMATE_STAGES.find((one) => one.name === name)!;
    await timed(name, async () => await runStage(db, sweepNo, stage, undefined, {}, (cell) => cell.cellNo < few));
    // the baseline of the family is compared with nothing
    const per1000 = 1000 / ((few - 1) * prompts);
    result[`${name}_cpu_per_1000_pairs`] = round(
      (result[`${name}_cpu`]! + (result[`${name}_cpu_postgres`] ?? 0)) * per1000,
      2,
    );
    say(`${name}: ${result[`${name}_cpu_per_1000_pairs`]} s of CPU for 1,000 pairs`);
  }
} finally {
  await db.destroy();
  await server.stop();
  await rm(folder, { recursive: true, force: true });
}

const missed = Object.entries({
  scratch: result.scratch! > BARS.scratch,
  incremental: result.incremental! > BARS.incremental,
  view: result.view_length_shift_summary! > BARS.view,
}).flatMap(([name, isMissed]) => (isMissed ? [name] : []));
process.stdout.write(
  values.json
    ? `${JSON.stringify(result)}\n`
    : `${result.samples} samples: ${result.scratch} s from scratch, ${result.incremental} s after 1 % of the cells changed, ` +
        `${result.view_length_shift_summary} s for kv.length_shift_summary${missed.length > 0 ? `; over the bar: ${missed.join(', ')}` : ''}\n`,
);
process.exitCode = missed.length > 0 ? 1 : 0;

/** New answers for compressed cells, evenly chosen, as if they had been run again. */
async function changeCells(db: Db, sweepNo: number, n: number): Promise<void> {
  const chosen = await query<{ cell_no: number }>(
    db,
    `update cell set finished_at = clock_timestamp()
      where sweep_no = $1 and cell_no in (
            select cell_no from (select cell_no, row_number() over (order by cell_no) as place, count(*) over () as all
                                   from cell where sweep_no = $1 and compressor <> 'none') c
             where c.place * $2 / c.all <> (c.place - 1) * $2 / c.all)
     returning cell_no`,
    [sweepNo, n],
  );
  await query(
    db,
    `update sample set new_tokens = new_tokens / 2, decode_us = decode_us / 2
      where sweep_no = $1 and cell_no = any($2) and sample_idx % 7 = 0`,
    [sweepNo, chosen.map((row) => row.cell_no)],
  );
  result.changed_cells = chosen.length;
}

function round(value: number, digits = 1): number {
  return Math.round(value * 10 ** digits) / 10 ** digits;
}
