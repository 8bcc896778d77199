/**
 * The three answers as short text: printed by `npm run demo` and `kvsweep report`, and opening the HTML report. Every
 * number is one of the model's; where something was not measured, the sentence says so.
 */

import { unsteady } from './limits.ts';
import type {
  GenerationSetting,
  LengthEntry,
  PooledLengths,
  PooledSetting,
  ReportModel,
  Story,
  ThroughputPoint,
  ThroughputSetting,
} from './model.ts';
import type { NegativesSetting } from './model-scores.ts';
import { entryName, shortNames } from './names.ts';
import { headlineSums, negativeWords, sumName } from './negatives.ts';
import { isPooled, ratioRange } from './pooled.ts';
import { ranking } from './ranking.ts';
import { rankColumns, rankingWords } from './sections/ranking.ts';
import { figure, fixed, headline, list, minus, percent, plural, ratio, whole } from './words.ts';

/** Share of cut answers from which a headline says so. */
const MAX_CUT = 0.02;

const MAX_NEGATIVE_LINES = 6;
const MAX_LENGTH_LINES = 30;
const MAX_STORY_LINES = 4;

export interface AnswerBlock {
  question: string;
  lines: string[];
  /** Lines are set in columns and must not be wrapped. */
  columns?: boolean;
  /** What to know before the lines are believed. */
  notes?: string[];
}

export function threeAnswers(model: ReportModel): AnswerBlock[] {
  const blocks = [
    {
      question: 'Throughput: how much faster are prefill and decode?',
      lines: speedLines(model.throughputs),
      columns: true,
      notes: unsteady(model.throughputs),
    },
    {
      question: 'Answer length: do answers get longer?',
      lines: [
        ...model.pooled.flatMap(pooledLines),
        ...aloneIn(model).flatMap((setting) => lengthLines(setting, where(model, setting))),
      ],
    },
    {
      question: 'Single prompts: where does it show?',
      lines: [...model.negatives.flatMap(negativeLines), ...storyLines(model)],
    },
  ];
  // scores from files have neither times nor lengths: those questions were not asked
  if (model.negatives.length > 0 && model.generations.length + model.throughputs.length === 0) return blocks.slice(2);
  return blocks.map((block) =>
    block.lines.length > 0 ? block : { question: block.question, lines: ['Not measured in this sweep.'] },
  );
}

export interface Headline {
  label: string;
  batch: number;
  /** Which prompts, where a report has several settings; else empty. */
  where: string;
  says: string;
}

/** One line per compressor and batch size: tokens x faster, answers y longer, requests slower. */
export function headlines(model: ReportModel): Headline[] {
  const pooled = model.pooled.flatMap((pool) =>
    pool.latencies.map(({ label, batch, inert, summary }): Headline => {
      const left = inert > 0 ? ` (it did not act on ${plural(inert, 'data set')})` : '';
      const several = `${plural(pool.datasets.length, 'data set')}`;
      const said = model.pooled.length > 1 ? `${pool.model}, ${pool.sampling}, ${several}` : several;
      return { label, batch, where: said, says: `${headline(summary)}${pooledCutWords(pool, label, batch)}${left}` };
    }),
  );
  const alone = aloneIn(model).flatMap((setting) =>
    setting.latencies.map(
      ({ label, batch, inert, summary }): Headline => ({
        label,
        batch,
        where: where(model, setting),
        says: inert
          ? 'did not act on these prompts: nothing was compressed'
          : `${headline(summary)}${cutWords(setting, label, batch)}`,
      }),
    ),
  );
  return [...pooled, ...alone];
}

/** `batch 8`, `batch 8, 14 data sets`. */
export function headlinePlace({ batch, where }: Headline): string {
  return where === '' ? `batch ${batch}` : `batch ${batch}, ${where}`;
}

/** Settings that are told one by one: no other data set of the same model and sampling stands beside them. */
function aloneIn(model: ReportModel): GenerationSetting[] {
  return model.generations.filter((setting) => !isPooled(model.pooled, setting));
}

/** Empty where the sweep has one setting alone. */
function where(model: ReportModel, setting: GenerationSetting): string {
  if (model.generations.length < 2) return '';
  const models = new Set(model.generations.map((s) => s.model));
  const sameSet = model.generations.filter((s) => s.dataset === setting.dataset && s.model === setting.model);
  const parts = [
    models.size > 1 && setting.model,
    setting.dataset,
    sameSet.length > 1 && `${setting.sampling}, up to ${setting.maxNewTokens}`,
  ];
  return parts.filter((part) => part !== false).join(', ');
}

/** A ratio of cut answers understates lengthening; the headline does not hide it. */
function cutWords(setting: GenerationSetting, label: string, batch: number): string {
  const entry = setting.lengths.find((e) => e.label === label && e.batches.includes(batch));
  const cut = entry?.summary.censoredComp ?? 0;
  return cut > MAX_CUT ? ` (${percent(cut)} of its answers cut at ${setting.maxNewTokens} tokens)` : '';
}

/** The same over data sets, each of which may have a limit of its own. */
function pooledCutWords(pool: PooledSetting, label: string, batch: number): string {
  const entry = pool.lengths.find((e) => e.label === label && e.batches.includes(batch));
  const cut = entry?.all.censoredComp ?? 0;
  return cut > MAX_CUT ? ` (${percent(cut)} of its answers cut at the limit of their data set)` : '';
}

/** The answers for a terminal. */
export function answersText(model: ReportModel, width = 100): string {
  const lines: string[] = [];
  for (const line of headlines(model)) {
    lines.push(...wrap(`${line.label}, ${headlinePlace(line)}: ${line.says}`, width, '', '  '));
  }
  for (const [i, block] of threeAnswers(model).entries()) {
    lines.push('', `${i + 1}. ${block.question}`);
    for (const line of block.lines) {
      if (block.columns) lines.push(`   ${line}`);
      else lines.push(...wrap(line, width, '   - ', '     '));
    }
    for (const note of block.notes ?? []) lines.push(...wrap(note, width, '   ', '   '));
  }
  lines.push(...rankingLines(model, width));
  return lines.join('\n').replace(/^\n+/, '');
}

/** The ranking in columns; nothing if there is none. */
export function rankingLines(model: ReportModel, width = 100): string[] {
  const found = ranking(model);
  if (!found) return [];
  const columns = rankColumns(found);
  const head = ['', 'compressor', ...columns.map((c) => c.head)];
  const body = found.rows.map((row) => [
    row.rank === null ? '' : `${row.rank}.`,
    row.inert ? `${row.label} (did not act)` : row.label,
    ...columns.map((c) => c.cell(row)),
  ]);
  const widths = head.map((_, i) => Math.max(...[head, ...body].map((cells) => cells[i]!.length)));
  const line = (cells: string[]) =>
    `   ${cells.map((cell, i) => (i === 1 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  ')}`;
  return ['', ...wrap(`Ranking. ${rankingWords(found)}`, width, '', ''), ...[head, ...body].map(line)];
}

function wrap(text: string, width: number, first: string, rest: string): string[] {
  const out: string[] = [];
  let line = first;
  for (const word of text.split(' ')) {
    if (line.length + word.length > width && line.trim() !== first.trim()) {
      out.push(line.trimEnd());
      line = rest;
    }
    line += `${word} `;
  }
  return [...out, line.trimEnd()];
}

/** Speed-ups by phase, prompt length and batch size: one row per baseline point, one column per compressor. */
export interface SpeedTable {
  labels: string[];
  rows: { where: string; phase: string; promptTokens: number; batch: number; base: string; cells: string[] }[];
}

export function speedTable(settings: readonly ThroughputSetting[]): SpeedTable {
  const points = settings.flatMap((setting) => setting.points);
  const labels = [...new Set(points.filter((point) => !point.isBaseline).map((point) => point.label))];
  const several = new Set(settings.map((setting) => setting.model)).size > 1;
  const rows = (['decode', 'prefill'] as const).flatMap((phase) =>
    settings.flatMap((setting) => {
      const ofPhase = setting.points.filter((point) => point.phase === phase);
      const bases = ofPhase.filter((point) => point.isBaseline).sort((a, b) => a.batch - b.batch);
      return bases.map((base) => ({
        where: several ? setting.model : '',
        phase,
        promptTokens: setting.promptTokens,
        batch: base.batch,
        base: figure(base.tokS),
        cells: labels.map((label) => speedUp(ofPhase.find((p) => p.label === label && p.batch === base.batch))),
      }));
    }),
  );
  return { labels, rows };
}

function speedUp(point: ThroughputPoint | undefined): string {
  if (!point) return '–';
  if (point.inert) return 'did not act';
  return point.sSame === null ? '–' : ratio(point.sSame);
}

/** The table in columns of fixed width. */
function speedLines(settings: readonly ThroughputSetting[]): string[] {
  const { labels, rows } = speedTable(settings);
  if (rows.length === 0) return [];
  const head = ['phase', 'prompt', 'batch', 'uncompressed', ...labels];
  const body = rows.map((row) => [
    row.where ? `${row.phase}, ${row.where}` : row.phase,
    whole(row.promptTokens),
    `${row.batch}`,
    `${row.base} tokens/s`,
    ...row.cells,
  ]);
  const widths = head.map((_, i) => Math.max(...[head, ...body].map((cells) => cells[i]!.length)));
  return [head, ...body].map((cells) =>
    cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  '),
  );
}

/** Each compressor over all data sets, and between which of them its answers differ most. */
function pooledLines(pool: PooledSetting): string[] {
  const lines = pool.lengths.slice(0, MAX_LENGTH_LINES).map((entry) => {
    const range = ratioRange(entry);
    const [least, most] = shortNames(range ? [range.least.dataset, range.most.dataset] : []);
    const between = range ? ` (${ratio(range.least.ratio)} in ${least} to ${ratio(range.most.ratio)} in ${most})` : '';
    const over = `over ${plural(entry.byDataset.length, 'data set')}`;
    return `${entryName(entry, pool.lengths)}: answers ${ratio(entry.all.ratioOfMeans!)} as long in total ${over}${between}; ${shareWords(entry.all)}`;
  });
  const left = pool.lengths.length - lines.length;
  if (left > 0) lines.push(`${plural(left, 'compressor')} more in the tables`);
  lines.push(...pool.neverActed.map((label) => `${label}: did not act on these prompts`));
  const noise = pool.lengths.find((entry) => entry.noise && entry.inert === 0)?.noise;
  lines.push(
    noise
      ? `noise floor (two uncompressed runs, all data sets): ${percent(noise.gt50!.value)} changed by more than half, ${percent(noise.shareSame!)} stayed identical`
      : 'noise floor not measured on all data sets: a noise cell of each is needed',
  );
  return lines;
}

function shareWords(summary: PooledLengths): string {
  const shares = [
    `${percent(summary.gt50!.value)} changed by more than half`,
    `${percent(summary.longer50!.value)} longer by half or more`,
    `${percent(summary.shareSame!)} identical`,
  ];
  const cut = summary.censoredComp! > 0 ? `; ${percent(summary.censoredComp!)} cut at the limit` : '';
  return `of ${plural(summary.n, 'answer')} ${list(shares)}${cut}`;
}

/** @param at of which prompts, where a report has several settings */
function lengthLines(setting: GenerationSetting, at: string): string[] {
  const told = at === '' ? '' : `${at}: `;
  const lines = setting.lengths.slice(0, MAX_LENGTH_LINES).map((entry) => `${told}${lengthLine(entry, setting)}`);
  const left = setting.lengths.length - lines.length;
  if (left > 0) lines.push(`${plural(left, 'compressor')} more in the tables`);
  const noise = setting.baselines.find((baseline) => baseline.noise)?.noise;
  if (noise) {
    const shares = `${percent(noise.gt50)} changed by more than half, ${percent(noise.shareSame)} stayed identical`;
    lines.push(`${told}noise floor (two uncompressed runs, ${noiseWords(noise.kind)}): ${shares}`);
  } else if (lines.length > 0) lines.push(`${told}noise floor not measured: no noise cell is done`);
  return lines;
}

/** What was changed between the two uncompressed runs. */
export function noiseWords(kind: string): string {
  const says: Record<string, string> = {
    seed: 'other random seeds',
    batch: 'another order of sums',
    backend: 'another backend',
  };
  return says[kind] ?? kind;
}

function lengthLine(entry: LengthEntry, setting: GenerationSetting): string {
  const name = entryName(entry, setting.lengths);
  const { summary } = entry;
  if (entry.inert) return `${name}: did not act on these prompts`;
  if (summary.n === 0 || summary.ratioOfMeans === null) return `${name}: no pair of answers to compare`;
  const interval = entry.estimates.ratio_of_means;
  const range = interval ? ` (95\u00a0% interval ${fixed(interval.lo, 2)} to ${fixed(interval.hi, 2)})` : '';
  return `${name}: answers ${ratio(summary.ratioOfMeans)} as long in total${range}; ${shareWords(summary)}`;
}

/** Of several settings one each, and a few in all: many data sets must not bury the answers. */
function storyLines(model: ReportModel): string[] {
  const each = model.generations.length > 1 ? 1 : MAX_STORY_LINES;
  return model.generations
    .flatMap((setting) => setting.stories.slice(0, each))
    .slice(0, MAX_STORY_LINES)
    .map((story) => `${story.promptKey} under ${story.label}: ${storyWords(story)}`);
}

/** The worst few, by net; the section has all. */
function negativeLines(setting: NegativesSetting): string[] {
  const sums = headlineSums(setting);
  const worst = [...sums].sort((a, b) => b.net - a.net).slice(0, MAX_NEGATIVE_LINES);
  return worst.map((sum) => `${sumName(sum, sums)}, score lost by 10\u00a0% or more: ${negativeWords(sum)}`);
}

export function storyWords(story: Story): string {
  const tokens = `${whole(story.base.tokens)} → ${whole(story.comp.tokens)} tokens`;
  const time = story.timeRatio === null ? '' : `, ${ratio(story.timeRatio)} the time`;
  return `${tokens} (D = ${minus(fixed(story.d, 2))}${time})`;
}
