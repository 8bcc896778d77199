/** What accuracy each byte and each token per second buys, and which compressors no other one beats. */
import { paretoChart } from '../charts/pareto.ts';
import { figure } from '../figure.ts';
import { type Colors, swatch } from '../marks.ts';
import { html, type Markup, note, type Table, table } from '../markup.ts';
import type { ReportModel } from '../model.ts';
import { type Pareto, type ParetoPoint, paretos } from '../pareto.ts';
import { fixed, list, figure as number, percent, ratio } from '../words.ts';

export async function paretoSection(model: ReportModel, colors: Colors): Promise<Markup> {
  const found = paretos(model);
  const parts: Markup[] = [];
  for (const pareto of found) parts.push(await part(pareto, colors, found.length > 1));
  return html`<section aria-labelledby="pareto"><h2 id="pareto">Accuracy, memory, speed</h2>
${parts.length > 0 ? parts : note('Accuracy was not measured: no workload of this sweep gives scores or perplexity for two compressors or more.')}</section>`;
}

async function part(pareto: Pareto, colors: Colors, several: boolean): Promise<Markup> {
  const { points, model, decodeAt } = pareto;
  const where = several ? `, ${model}` : '';
  const timed = points.filter((p) => p.tokS !== null);
  const held = points.filter((p) => p.ofF16 !== null);
  const data = paretoTable(pareto, colors, where);
  return html`${several && html`<h3>${model}</h3>`}
<p>${paretoWords(pareto)}</p>
${held.length > 1 && (await figure(paretoChart(pareto, 'ofF16', colors), `Accuracy against memory; ringed: on the frontier${where}`, plainTable(pareto, 'ofF16', colors, where)))}
${timed.length > 1 && decodeAt && (await figure(paretoChart(pareto, 'tokS', colors), `Accuracy against decode speed at ${decodeAt.promptTokens} prompt tokens, batch ${decodeAt.batch}; ringed: on the frontier${where}`, plainTable(pareto, 'tokS', colors, where)))}
${data}`;
}

export function paretoWords({ points, by }: Pareto): string {
  const names = (on: (p: ParetoPoint) => boolean) =>
    list(points.filter((p) => on(p) && !p.isBaseline).map((p) => p.label));
  const quality = by === 'perplexity' ? 'perplexity' : 'score';
  const said = (names: string, than: string) =>
    names === ''
      ? `In ${quality} and ${than} together no compressor beats the baseline.`
      : `Beaten by none in ${quality} and ${than} together: ${names}.`;
  return [
    said(
      names((p) => p.onMemory),
      'memory',
    ),
    points.some((p) => p.tokS !== null)
      ? said(
          names((p) => p.onSpeed),
          'decode speed',
        )
      : '',
  ]
    .filter((s) => s !== '')
    .join(' ');
}

const quality = (pareto: Pareto) => ({
  head: pareto.by === 'perplexity' ? 'perplexity' : 'mean score',
  cell: (p: ParetoPoint) => (pareto.by === 'perplexity' ? fixed(p.quality, 2) : percent(p.quality, 1)),
});
const name = (colors: Colors) => ({
  head: 'compressor',
  words: true,
  cell: (p: ParetoPoint) => swatch(p.label, colors),
});
const bytes = { head: 'of f16', cell: (p: ParetoPoint) => (p.ofF16 === null ? '–' : percent(p.ofF16, 1)) };
const speed = { head: 'decode, tokens/s', cell: (p: ParetoPoint) => (p.tokS === null ? '–' : number(p.tokS)) };

function plainTable(pareto: Pareto, against: 'ofF16' | 'tokS', colors: Colors, where: string): Markup {
  const caption = `Accuracy against ${against === 'ofF16' ? 'memory' : 'decode speed'}, as drawn${where}`;
  const rows = pareto.points.filter((p) => p[against] !== null);
  return table(caption, rows, [name(colors), against === 'ofF16' ? bytes : speed, quality(pareto)], {
    label: (p) => p.label,
  });
}

export function paretoTable(pareto: Pareto, colors: Colors, where: string): Table {
  const base = pareto.points.find((p) => p.isBaseline);
  const mark = (on: boolean) => (on ? 'yes' : 'no');
  return table(
    `Accuracy, memory and speed of each compressor${where}`,
    pareto.points,
    [
      name(colors),
      quality(pareto),
      bytes,
      speed,
      {
        head: 'speed-up',
        cell: (p) => (p.tokS === null || !base?.tokS || p.isBaseline ? '–' : ratio(p.tokS / base.tokS)),
      },
      { head: 'frontier of memory', cell: (p) => mark(p.onMemory) },
      { head: 'frontier of speed', cell: (p) => mark(p.onSpeed) },
    ],
    { label: (p) => p.label },
  );
}
