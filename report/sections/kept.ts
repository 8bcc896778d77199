/** Which tokens died: one map per compressor, layers by positions. */
import { keptDrawing, keptThirds, keptWords } from '../charts/kept.ts';
import { drawn } from '../figure.ts';
import { type Colors, swatch } from '../marks.ts';
import { html, type Markup, note, type Table, table } from '../markup.ts';
import type { ReportModel } from '../model.ts';
import type { KeptMap } from '../model-scores.ts';
import { percent, whole } from '../words.ts';

export function keptSection(model: ReportModel, colors: Colors): Markup {
  const { kept } = model;
  return html`<section aria-labelledby="kept"><h2 id="kept">Which tokens were kept</h2>
${
  kept.length === 0
    ? note('Kept tokens were not traced in this sweep: add trace: [kept] to a workload to see them.')
    : html`<p>One traced sample per compressor, the one that saw most tokens, at its end. Rows are layers from the first to the last, columns token positions; the stronger the colour, the more kv heads still hold the token; blank: it is gone.</p>
${kept.map((map) => keptPart(map, colors))}
${keptTable(kept, colors)}`
}</section>`;
}

function keptPart(map: KeptMap, colors: Colors): Markup {
  const { wide, narrow } = keptDrawing(map);
  const layers = map.share.map((shares, layer) => ({
    layer,
    held: shares.reduce((sum, s) => sum + s, 0) / shares.length,
  }));
  const data = table(`Tokens held by layer, ${map.label}`, layers, [
    { head: 'layer', cell: (r) => r.layer },
    { head: 'held', cell: (r) => percent(r.held, 1) },
  ]);
  return html`<div data-label="${map.label}"><h3>${swatch(map.label, colors)}</h3><p>${keptWords(map)}</p>
${drawn(wide, narrow, `Layers 0 to ${map.share.length - 1} by token positions 0 to ${whole(map.seen - 1)}, ${map.promptKey}`, data)}</div>`;
}

export function keptTable(kept: readonly KeptMap[], colors: Colors): Table {
  return table(
    'Tokens held at the end of the traced samples',
    kept,
    [
      { head: 'compressor', words: true, cell: (m) => swatch(m.label, colors) },
      { head: 'prompt', words: true, cell: (m) => m.promptKey },
      { head: 'tokens seen', cell: (m) => whole(m.seen) },
      { head: 'held', cell: (m) => percent(m.keptMean / m.seen, 1) },
      ...(['first third', 'middle third', 'last third'] as const).map((head, i) => ({
        head,
        cell: (m: KeptMap) => percent(keptThirds(m)[i]!),
      })),
    ],
    { label: (m) => m.label },
  );
}
