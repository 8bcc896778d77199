/** What the cache really held, and what teacher-forced scoring says of it. */
import { type Colors, swatch } from '../marks.ts';
import { html, type Markup, note, type Table, table } from '../markup.ts';
import type { CacheEntry, PerplexityRow, ReportModel } from '../model.ts';
import { bytes, figure, fixed, minus, percent, whole } from '../words.ts';

export function cacheSection(model: ReportModel, colors: Colors): Markup {
  const tables = model.generations
    .filter((setting) => setting.caches.length > 0)
    .map((setting) =>
      cacheTable(setting.caches, `${setting.model}, ${setting.dataset}: means over samples at their end`, colors),
    );
  return html`<section aria-labelledby="cache"><h2 id="cache">What the cache held</h2>
<p>Counted by the engine from allocated pages, scales and side arrays included; pages are whole, so short answers carry some slack.</p>
${tables.length > 0 ? tables : note('No cell that reports its cache is done in this sweep.')}
${model.perplexities.length > 0 && html`<h3>Perplexity of given continuations</h3>${perplexityTable(model.perplexities, colors)}`}</section>`;
}

export function cacheTable(caches: readonly CacheEntry[], caption: string, colors: Colors): Table {
  return table(caption, caches, [
    {
      head: 'compressor',
      words: true,
      cell: (c) => html`${swatch(c.label, colors)}${c.inert && html`<span class="flag">did not act</span>`}`,
    },
    { head: 'batch', cell: (c) => c.batch },
    { head: 'tokens seen', cell: (c) => whole(c.seenMean) },
    { head: 'tokens kept', hint: 'mean over layers and kv heads', cell: (c) => whole(c.keptMean) },
    { head: 'bytes at end', cell: (c) => bytes(c.bytesEndMean) },
    { head: 'of f16', hint: 'bytes against all seen tokens in 16 bits', cell: (c) => percent(c.ofF16) },
    { head: 'bits per kept element', cell: (c) => fixed(c.bitsPerElement, 1) },
  ]);
}

export function perplexityTable(rows: readonly PerplexityRow[], colors: Colors): Table {
  return table(
    'Teacher-forced by decode steps, so that the compressor acts as in generation; delta = ln perplexity minus that of the baseline',
    rows,
    [
      {
        head: 'compressor',
        words: true,
        cell: (r) => html`${swatch(r.label, colors)}${r.inert && html`<span class="flag">did not act</span>`}`,
      },
      { head: 'data set', words: true, cell: (r) => r.dataset },
      { head: 'tokens', cell: (r) => whole(r.nTokens) },
      { head: 'perplexity', cell: (r) => figure(r.ppl) },
      {
        head: 'top-1',
        hint: 'share of positions whose most likely token is the given one',
        cell: (r) => percent(r.top1, 1),
      },
      {
        head: 'delta',
        cell: (r) =>
          r.delta
            ? html`${minus(fixed(r.delta.value, 4))}<span class="ci">${minus(fixed(r.delta.lo, 4))} to ${minus(fixed(r.delta.hi, 4))}</span>`
            : '–',
      },
    ],
  );
}
