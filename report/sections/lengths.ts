/** Do answers get longer: the distribution of D, beside what two uncompressed runs differ by. */
import { MAX_BOUND_WIDTH } from '../../analysis/length-summary.ts';
import { noiseWords } from '../answers.ts';
import { curvesOf, densityChart } from '../charts/density.ts';
import { histogramBars, lengthChart } from '../charts/lengths.ts';
import { figure } from '../figure.ts';
import { type Colors, swatch } from '../marks.ts';
import { type Column, choices, html, type Markup, more, note, type Part, table } from '../markup.ts';
import type { GenerationSetting, LengthEntry, ReportModel } from '../model.ts';
import { entryName, settingName } from '../names.ts';
import { fixed, list, minus, percent, plural } from '../words.ts';
import { artifactTable, excessTable, quantileTable, ratioTable, shareTable, taskTable } from './length-tables.ts';
import { partOf, pooledLengthTables, pooledPart, settingsInFull } from './pooled.ts';

/** Panels of one chart; the tables have all. */
const MAX_PANELS = 16;

export async function lengthSection(model: ReportModel, colors: Colors): Promise<Markup> {
  const parts: Markup[] = model.pooled.map((pool) => pooledPart(pool, pooledLengthTables(pool, colors)));
  const { shown, left } = settingsInFull(model);
  for (const setting of shown) {
    const content = await settingPart(setting, colors, model.generations.length > 1);
    parts.push(partOf(model, setting, content));
  }
  if (left) parts.push(left);
  return html`<section aria-labelledby="length"><h2 id="length">Answer length</h2>
${
  parts.length === 0
    ? note('No cell that generates answers is done in this sweep.')
    : html`<p>D = (L<sub>baseline</sub> − L<sub>compressed</sub>) / L<sub>baseline</sub> for each prompt, L in generated tokens. D below 0: the compressed answer is longer. D = −1: twice as long.</p>${parts}`
}</section>`;
}

async function settingPart(setting: GenerationSetting, colors: Colors, several: boolean): Promise<Markup> {
  const shown = setting.lengths.filter((entry) => !entry.inert && entry.summary.n > 0);
  const where = several ? `, ${settingName(setting)}` : '';
  const name = (entry: LengthEntry) =>
    html`${swatch(entry.label, colors)}${entryName(entry, setting.lengths).slice(entry.label.length)}`;
  const parts: Part[] = [noiseText(setting), baselineWords(setting)];
  if (shown.length > 0) {
    const context = { entries: shown, where, name };
    parts.push(
      await histogram(shown, where, colors),
      await density(shown, where, colors),
      shareTable(context),
      advice(setting, shown),
      excessTable(context),
      ratioTable(context),
      quantileTable(context),
      taskTable(context),
      artifactTable(context),
      stops(setting, shown),
    );
  }
  return html`${parts}`;
}

async function histogram(shown: readonly LengthEntry[], where: string, colors: Colors): Promise<Markup> {
  const drawn = shown.slice(0, MAX_PANELS);
  const caption = `Distribution of D per compressor (bars) and between two uncompressed runs (outline)${where}`;
  const left = shown.length - drawn.length;
  return html`${await figure(lengthChart(drawn, colors), caption, binsTable(drawn, where))}${left > 0 && note(`${plural(left, 'compressor')} more in the tables.`)}`;
}

/** The stored bins, those of 0.05 put together in fours. */
function binsTable(entries: readonly LengthEntry[], where: string): Markup {
  const bars = entries.map((e) => histogramBars(e.histogram, 4));
  const noise = entries.map((e) => histogramBars(e.noise?.histogram ?? [], 4));
  const edges = bars[0]!.map((bar, i) => ({
    i,
    says: i === 0 ? 'below −2' : `${minus(fixed(bar.start, 1))} to ${minus(fixed(bar.end, 1))}`,
  }));
  const columns = entries.flatMap((e, at): Column<(typeof edges)[number]>[] => [
    { head: entryName(e, entries), cell: (edge) => percent(bars[at]![edge.i]!.share, 1) },
    ...(noise[at]!.length > 0 && (at === 0 || e.noise !== entries[at - 1]!.noise)
      ? [{ head: 'noise floor', cell: (edge: (typeof edges)[number]) => percent(noise[at]![edge.i]!.share, 1) }]
      : []),
  ]);
  return table(`Share of prompts by D, in bins of 0.2${where}`, edges, [
    { head: 'D', words: true, cell: (edge) => edge.says },
    ...columns,
  ]);
}

async function density(shown: readonly LengthEntry[], where: string, colors: Colors): Promise<Markup> {
  const curves = curvesOf(shown.slice(0, MAX_PANELS));
  if (curves.length === 0) return note('Too few or too equal length differences for a density.');
  const bins = curves.some((c) => c.fromBins) ? ', from the stored bins' : '';
  const at = [-2, -1.5, -1, -0.5, -0.25, 0, 0.25, 0.5, 0.75, 1];
  const data = (scale: string) =>
    table(`Density of D at some values, ${scale} axis${where}`, at, [
      { head: 'D', cell: (d) => minus(fixed(d, 2)) },
      ...curves.map((c) => ({
        head: c.name,
        cell: (d: number) => fixed(c.density.points.find((p) => Math.abs(p.d - d) < 0.011)?.density ?? 0, 3),
      })),
    ]);
  const one = async (scale: 'linear' | 'log') =>
    await figure(
      densityChart(curves, scale, colors),
      `Density of D (Gaussian kernel, bandwidth by Scott${bins}), ${scale === 'log' ? 'logarithmic' : 'linear'} axis${where}`,
      data(scale),
    );
  return choices('Density axis', [
    { name: 'linear', content: await one('linear') },
    { name: 'logarithmic', content: await one('log') },
  ]);
}

export function baselineWords(setting: GenerationSetting): Markup {
  return html`<p>${setting.baselines.map((b) => {
    const median = b.medianLength === null ? `beyond ${setting.maxNewTokens}` : String(b.medianLength);
    return `Uncompressed at batch ${b.batch}: median length ${median} tokens, ${percent(b.censored)} of ${plural(b.n, 'answer')} cut at the limit of ${setting.maxNewTokens}. `;
  })}</p>`;
}

export function noiseText(setting: GenerationSetting): Markup {
  const floors = setting.baselines.filter((b) => b.noise);
  if (floors.length === 0)
    return html`<p class="warn">Noise floor not measured: no noise cell is done, so it is unknown how far two uncompressed runs differ.</p>`;
  return html`<p>Noise floor: ${floors.map((b, i) => {
    const { noise } = b;
    return `${i > 0 ? '; ' : ''}at batch ${b.batch}, two uncompressed runs with ${noiseWords(noise!.kind)} gave identical answers to ${percent(noise!.shareSame)} of ${plural(noise!.n, 'prompt')}, and 95 % of them stayed within |D| ≤ ${fixed(noise!.d95, 2)}`;
  })}.</p>`;
}

/** A larger limit is asked for where cut answers leave shares open by more than two points. */
export function advice(setting: GenerationSetting, entries: readonly LengthEntry[]): Markup | '' {
  const open = entries.filter((e) => {
    const { gt50, longer50, shorter50 } = e.summary;
    return [gt50, longer50, shorter50].some((s) => s && s.hi - s.lo > MAX_BOUND_WIDTH);
  });
  if (open.length === 0) return '';
  return html`<p class="warn">Answers cut at ${setting.maxNewTokens} tokens leave shares open by more than ${percent(MAX_BOUND_WIDTH)} for ${list(open.map((e) => entryName(e, setting.lengths)))}: run with a larger max_new_tokens to close them.</p>`;
}

function stops(setting: GenerationSetting, entries: readonly LengthEntry[]): Markup | '' {
  const words = entries
    .filter((e) => e.summary.stopMissed + e.summary.stopEarly > 0)
    .map(
      (e) =>
        `${entryName(e, setting.lengths)} ${plural(e.summary.stopMissed, 'missed stop')} and ${plural(e.summary.stopEarly, 'early stop')}`,
    );
  if (words.length === 0) return '';
  return more('Same words, another end', note(`${list(words)} (one answer is the beginning of the other).`));
}
