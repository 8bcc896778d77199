/** Several data sets of one model together: lengths in one table, then by data set and by task type; times beside. */
import { SHARES, type Share, type ShareName } from '../../analysis/length-summary.ts';
import { type Colors, swatch } from '../marks.ts';
import { type Column, html, type Markup, note, type Part, type Table, table } from '../markup.ts';
import type { GenerationSetting, PooledLatency, PooledLengthEntry, PooledSetting, ReportModel } from '../model.ts';
import { entryName, poolName, settingName, shortNames } from '../names.ts';
import { isPooled } from '../pooled.ts';
import { percent, plural, ratio, whole } from '../words.ts';
import { boundsWords } from './length-tables.ts';

const SHARE_NAMES = ['gt50', 'longer50', 'shorter50'] as const satisfies readonly ShareName[];

const share = (s: Share | null) => (s === null ? '–' : `${percent(s.value)}${boundsWords(s)}`);
const optional = (x: number | null) => (x === null ? '–' : percent(x));
const optionalRatio = (x: number | null) => (x === null ? '–' : ratio(x));
const labelled = { label: (row: { label: string }) => row.label };

function nameColumn(pool: PooledSetting, colors: Colors): Column<PooledLengthEntry> {
  return {
    head: 'compressor',
    words: true,
    cell: (e) =>
      html`${swatch(e.label, colors)}${entryName(e, pool.lengths).slice(e.label.length)}${inertFlag(e.inert)}`,
  };
}

const inertFlag = (inert: number): Part =>
  inert > 0 && html`<span class="flag">did not act on ${plural(inert, 'data set')}</span>`;

/** Shares over all pairs, with those of the noise floor over the same data sets. */
export function pooledTable(pool: PooledSetting, colors: Colors): Table {
  return table(
    `All data sets together, pair by pair; [bounds] where cut answers leave a share open, ${poolName(pool)}`,
    pool.lengths,
    [
      nameColumn(pool, colors),
      { head: 'pairs', cell: (e) => whole(e.all.n) },
      {
        head: 'all tokens',
        hint: 'sum of lengths over sum of baseline lengths',
        cell: (e) => optionalRatio(e.all.ratioOfMeans),
      },
      ...SHARE_NAMES.map((of) => ({ head: SHARES[of].says, cell: (e: PooledLengthEntry) => share(e.all[of]) })),
      {
        head: 'noise floor',
        hint: 'share of which the length changed by more than half between two uncompressed runs of the same data sets',
        cell: (e) => share(e.noise?.gt50 ?? null),
      },
      { head: 'identical', hint: 'all token ids are the same', cell: (e) => optional(e.all.shareSame) },
      { head: 'typical prompt', hint: 'geometric mean of the ratios', cell: (e) => optionalRatio(e.all.geoRatio) },
      { head: 'cut', hint: 'share of compressed answers cut at the limit', cell: (e) => optional(e.all.censoredComp) },
    ],
    labelled,
  );
}

/** One column a data set: where is it that answers grow? */
export function byDatasetTable(pool: PooledSetting, colors: Colors): Table {
  const names = shortNames(pool.datasets);
  return table(
    `Length ratio of all tokens by data set, ${poolName(pool)}`,
    pool.lengths,
    [
      nameColumn(pool, colors),
      ...pool.datasets.map((dataset, i) => ({
        head: names[i]!,
        cell: (e: PooledLengthEntry) =>
          optionalRatio(e.byDataset.find((d) => d.dataset === dataset)?.lengths.ratioOfMeans ?? null),
      })),
    ],
    labelled,
  );
}

export function byTaskTable(pool: PooledSetting, colors: Colors): Table | null {
  const rows = pool.lengths.flatMap((e) => e.byTask.map((task) => ({ e, task, label: e.label })));
  if (rows.length === 0) return null;
  const name = nameColumn(pool, colors);
  return table(
    `Lengths by task type over all data sets, ${poolName(pool)}`,
    rows,
    [
      { ...name, cell: (r) => name.cell(r.e) },
      { head: 'task type', words: true, cell: (r) => r.task.taskType },
      { head: 'pairs', cell: (r) => whole(r.task.lengths.n) },
      ...SHARE_NAMES.map((of) => ({
        head: SHARES[of].says,
        cell: (r: (typeof rows)[number]) => share(r.task.lengths[of]),
      })),
      { head: 'all tokens', cell: (r) => optionalRatio(r.task.lengths.ratioOfMeans) },
      { head: 'typical prompt', cell: (r) => optionalRatio(r.task.lengths.geoRatio) },
    ],
    labelled,
  );
}

/** The decomposition over the requests of all data sets. */
export function pooledLatencyTable(pool: PooledSetting, colors: Colors): Table | null {
  if (pool.latencies.length === 0) return null;
  return table<PooledLatency>(
    `Requests of all data sets together, ${poolName(pool)}`,
    pool.latencies,
    [
      { head: 'compressor', words: true, cell: (e) => html`${swatch(e.label, colors)}${inertFlag(e.inert)}` },
      { head: 'batch', cell: (e) => e.batch },
      { head: 'requests', cell: (e) => whole(e.summary.n) },
      { head: 'token rate', cell: (e) => ratio(e.summary.x) },
      { head: 'answer length', hint: 'in decode steps', cell: (e) => ratio(e.summary.y) },
      { head: 'request time', cell: (e) => ratio(e.summary.serviceRatio) },
      { head: 'slower', hint: 'share of requests that took longer', cell: (e) => percent(e.summary.shareSlower) },
      { head: 'paradox', hint: 'faster per token, and yet later done', cell: (e) => percent(e.summary.shareParadox) },
    ],
    labelled,
  );
}

export function pooledLengthTables(pool: PooledSetting, colors: Colors): (Table | null)[] {
  return [pooledTable(pool, colors), byDatasetTable(pool, colors), byTaskTable(pool, colors)];
}

/** A heading of its own, before the parts of the single data sets. */
export function pooledPart(pool: PooledSetting, tables: readonly (Markup | null)[]): Markup {
  return html`<h3>${plural(pool.datasets.length, 'data set')} together, ${poolName(pool)}</h3>${tables}`;
}

/** Data sets of a pool that are told one by one too: a part with its charts is half a megabyte. */
const MAX_PARTS = 24;

/** The settings that have a part of their own, and a note on those that have not. */
export function settingsInFull(model: ReportModel): { shown: GenerationSetting[]; left: Markup | '' } {
  let parts = 0;
  const shown = model.generations.filter((s) => !isPooled(model.pooled, s) || parts++ < MAX_PARTS);
  const left = model.generations.length - shown.length;
  return {
    shown,
    left:
      left > 0
        ? note(`${plural(left, 'data set')} more in the tables above; kvsweep report --format json has all.`)
        : '',
  };
}

/** One setting of a section: alone without a heading, within a pool closed until asked for. */
export function partOf(model: ReportModel, setting: GenerationSetting, content: Markup): Markup {
  if (model.generations.length < 2) return content;
  if (isPooled(model.pooled, setting))
    return html`<details class="part"><summary>${settingName(setting)}</summary>
${content}</details>`;
  return html`<h3>${settingName(setting)}</h3>${content}`;
}
