/** Do answers get longer: the distribution of D, beside what two uncompressed runs differ by. */
import { D_QUANTILES, SHARES, type Share, type ShareName } from '../../analysis/length-summary.ts';
import { noiseWords } from '../answers.ts';
import { densityChart, lengthChart } from '../charts/lengths.ts';
import { figure } from '../figure.ts';
import { html, type Markup, note, swatch, table } from '../markup.ts';
import type { Estimated, GenerationSetting, LengthEntry, ReportModel } from '../model.ts';
import { entryName } from '../names.ts';
import { fixed, list, minus, percent, plural, pValue, ratio } from '../words.ts';

export async function lengthSection(model: ReportModel, colors: ReadonlyMap<string, string>): Promise<Markup> {
  const parts: Markup[] = [];
  for (const setting of model.generations) parts.push(await settingPart(setting, colors, model.generations.length > 1));
  return html`<section><h2 id="length">Answer length</h2>
${
  parts.length === 0
    ? note('No cell that generates answers is done in this sweep.')
    : html`<p>D = (L<sub>baseline</sub> − L<sub>compressed</sub>) / L<sub>baseline</sub> for each prompt, L in generated tokens. D below 0: the compressed answer is longer. D = −1: twice as long.</p>${parts}`
}</section>`;
}

async function settingPart(
  setting: GenerationSetting,
  colors: ReadonlyMap<string, string>,
  several: boolean,
): Promise<Markup> {
  const shown = setting.lengths.filter((entry) => !entry.inert && entry.summary.n > 0);
  const density = densityChart(shown, colors);
  return html`${several && html`<h3>${setting.model}, ${setting.dataset}, ${setting.sampling}</h3>`}
${baselineWords(setting)}
${noiseText(setting)}
${shown.length > 0 && (await figure(lengthChart(shown, colors), 'Distribution of D per compressor (bars) and between two uncompressed runs (outline)'))}
${density && (await figure(density, 'Density of D (Gaussian kernel, bandwidth by Scott), all compressors'))}
${shown.length > 0 && [shares(setting, shown, colors), ratios(setting, shown, colors), quantiles(setting, shown, colors)]}`;
}

function baselineWords(setting: GenerationSetting): Markup {
  return html`<p>${setting.baselines.map((b) => {
    const median = b.medianLength === null ? `beyond ${setting.maxNewTokens}` : String(b.medianLength);
    return `Uncompressed at batch ${b.batch}: median length ${median} tokens, ${percent(b.censored)} of ${plural(b.n, 'answer')} cut at the limit. `;
  })}</p>`;
}

function noiseText(setting: GenerationSetting): Markup {
  const floors = setting.baselines.filter((b) => b.noise);
  if (floors.length === 0)
    return html`<p class="warn">Noise floor not measured: no noise cell is done, so it is unknown how far two uncompressed runs differ.</p>`;
  return html`<p>Noise floor: ${floors.map((b, i) => {
    const { noise } = b;
    return `${i > 0 ? '; ' : ''}at batch ${b.batch}, two uncompressed runs with ${noiseWords(noise!.kind)} gave identical answers to ${percent(noise!.shareSame)} of ${plural(noise!.n, 'prompt')}, and 95 % of them stayed within |D| ≤ ${fixed(noise!.d95, 2)}`;
  })}.</p>`;
}

const nameOf = (setting: GenerationSetting, colors: ReadonlyMap<string, string>) => (entry: LengthEntry) =>
  html`${swatch(entry.label, colors)}${entryName(entry, setting.lengths).slice(entry.label.length)}`;

/** Value, then its interval in a line of its own. */
function withInterval(value: string, e: Estimated | undefined, show: (x: number) => string): Markup {
  return html`${value}${e && html`<span class="ci">${show(e.lo)} to ${show(e.hi)}</span>`}`;
}

function bounds(share: Share): string {
  return share.hi - share.lo > 0 ? ` [${percent(share.lo)}, ${percent(share.hi)}]` : '';
}

function shares(
  setting: GenerationSetting,
  entries: readonly LengthEntry[],
  colors: ReadonlyMap<string, string>,
): Markup {
  const shareColumn = (name: ShareName) => ({
    head: SHARES[name].says,
    cell: (e: LengthEntry) => {
      const s = e.summary[name]!;
      return withInterval(`${percent(s.value)}${bounds(s)}`, e.estimates[`share_${name}`], (x) => percent(x));
    },
  });
  const caption = 'Shares of prompts; 95 % intervals over prompts below, [bounds] where cut answers leave a share open';
  return html`${table(caption, entries, [
    { head: 'compressor', words: true, cell: nameOf(setting, colors) },
    { head: 'pairs', cell: (e) => e.summary.n },
    shareColumn('gt50'),
    shareColumn('longer50'),
    shareColumn('shorter50'),
    {
      head: 'identical',
      hint: 'all token ids are the same',
      cell: (e) => withInterval(percent(e.summary.shareSame!), e.estimates.share_same, (x) => percent(x)),
    },
  ])}${excess(setting, entries, colors)}`;
}

function excess(
  setting: GenerationSetting,
  entries: readonly LengthEntry[],
  colors: ReadonlyMap<string, string>,
): Markup | '' {
  const measured = entries.filter((e) => e.noise && e.estimates.excess_share_gt50);
  if (measured.length === 0) return '';
  const points = (x: number) => `${x > 0 ? '+' : ''}${minus(fixed(100 * x, 0))}`;
  const column = (name: 'gt50' | 'longer50') => [
    { head: `noise: ${SHARES[name].says}`, cell: (e: LengthEntry) => percent(e.noise![name]) },
    {
      head: 'excess, points',
      cell: (e: LengthEntry) => {
        const x = e.estimates[`excess_share_${name}`];
        return x ? withInterval(points(x.value), x, points) : '–';
      },
    },
    {
      head: 'p',
      hint: 'one-sided sign-flip test against the noise floor',
      cell: (e: LengthEntry) => pOf(e.estimates[`excess_share_${name}`]),
    },
  ];
  return table(
    'Excess over the noise floor: share under the compressor minus share between two uncompressed runs, on the same prompts',
    measured,
    [{ head: 'compressor', words: true, cell: nameOf(setting, colors) }, ...column('gt50'), ...column('longer50')],
  );
}

const pOf = (e: Estimated | undefined) => (e?.p === undefined ? '–' : pValue(e.p));

function ratios(
  setting: GenerationSetting,
  entries: readonly LengthEntry[],
  colors: ReadonlyMap<string, string>,
): Markup {
  const optional = (x: number | null) => (x === null ? '–' : ratio(x));
  return table('Length ratios, compressed to baseline; they answer different questions', entries, [
    { head: 'compressor', words: true, cell: nameOf(setting, colors) },
    {
      head: 'all tokens',
      hint: 'sum of compressed lengths over sum of baseline lengths: tokens to pay for',
      cell: (e) => withInterval(optional(e.summary.ratioOfMeans), e.estimates.ratio_of_means, ratio),
    },
    {
      head: 'typical prompt',
      hint: 'geometric mean of the ratios',
      cell: (e) => withInterval(optional(e.summary.geoRatio), e.estimates.geo_ratio, ratio),
    },
    { head: 'median', cell: (e) => optional(e.summary.medianRatio) },
    { head: 'mean of ratios', hint: 'led by short baselines', cell: (e) => optional(e.summary.meanOfRatios) },
    {
      head: 'p (Holm)',
      hint: 'sign-flip test of the typical ratio, adjusted over compressors',
      cell: (e) => (e.pHolm === null ? '–' : pValue(e.pHolm)),
    },
    { head: 'cut, baseline', cell: (e) => percent(e.summary.censoredBase!) },
    { head: 'cut, compressed', cell: (e) => percent(e.summary.censoredComp!) },
  ]);
}

function quantiles(
  setting: GenerationSetting,
  entries: readonly LengthEntry[],
  colors: ReadonlyMap<string, string>,
): Markup {
  const show = (x: number | null | undefined) => (x === null || x === undefined ? '–' : minus(fixed(x, 2)));
  const stops = list(
    entries
      .filter((e) => e.summary.stopMissed + e.summary.stopEarly > 0)
      .map(
        (e) =>
          `${entryName(e, setting.lengths)} ${plural(e.summary.stopMissed, 'missed stop')} and ${plural(e.summary.stopEarly, 'early stop')}`,
      ),
  );
  return html`${table('Quantiles of D', entries, [
    { head: 'compressor', words: true, cell: nameOf(setting, colors) },
    ...D_QUANTILES.map((q, i) => ({
      head: `${fixed(q * 100, 0)} %`,
      cell: (e: LengthEntry) => show(e.summary.quantiles[i]),
    })),
    { head: 'IQR', cell: (e) => show(e.summary.iqr) },
  ])}
${stops !== '' && note(`Same words, another end: ${stops} (one answer is the beginning of the other).`)}`;
}
