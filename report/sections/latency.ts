/** What a user waits: more tokens per second do not mean an earlier end of the answer. */
import { latencyChart } from '../charts/latency.ts';
import { figure } from '../figure.ts';
import { html, type Markup, note, swatch, table } from '../markup.ts';
import type { LatencyEntry, ReportModel } from '../model.ts';
import { percent, ratio } from '../words.ts';

export async function latencySection(model: ReportModel, colors: ReadonlyMap<string, string>): Promise<Markup> {
  const parts: Markup[] = [];
  for (const setting of model.generations) {
    const shown = setting.latencies.filter((entry) => !entry.inert);
    if (shown.length === 0) continue;
    if (model.generations.length > 1)
      parts.push(html`<h3>${setting.model}, ${setting.dataset}, ${setting.sampling}</h3>`);
    parts.push(
      await figure(
        latencyChart(shown, colors),
        'Service time of each request against the same request uncompressed (bar: all requests together)',
      ),
    );
    parts.push(latencyTable(shown, colors));
  }
  return html`<section><h2 id="latency">Latency of requests</h2>
${
  parts.length === 0
    ? note('No pair of requests with comparable times is done in this sweep.')
    : html`<p>Service time is prefill plus decode of one request; waiting in the queue is left out, since it depends on the order of the run. Exactly: request time = decode share × answer length ÷ decode rate + prefill share × prefill time, all relative to the uncompressed run.</p>${parts}`
}</section>`;
}

function latencyTable(entries: readonly LatencyEntry[], colors: ReadonlyMap<string, string>): Markup {
  return table<LatencyEntry>('Service time against the baseline; 95 % interval over prompts below', entries, [
    { head: 'compressor', words: true, cell: (e) => swatch(e.label, colors) },
    { head: 'batch', cell: (e) => e.batch },
    { head: 'decode rate', hint: 'tokens came that much faster', cell: (e) => ratio(e.summary.x) },
    { head: 'answer length', hint: 'in decode steps', cell: (e) => ratio(e.summary.y) },
    { head: 'prefill time', cell: (e) => ratio(e.summary.prefillRatio) },
    {
      head: 'request time',
      cell: (e) =>
        html`${ratio(e.summary.serviceRatio)}${e.serviceRatio && html`<span class="ci">${ratio(e.serviceRatio.lo)} to ${ratio(e.serviceRatio.hi)}</span>`}`,
    },
    { head: 'median', hint: 'of the ratios of single requests', cell: (e) => ratio(e.summary.ratioP50) },
    { head: '95 %', hint: 'quantile of the ratios of single requests', cell: (e) => ratio(e.summary.ratioP95) },
    { head: 'slower', hint: 'share of requests that took longer', cell: (e) => percent(e.summary.shareSlower) },
    { head: 'paradox', hint: 'faster per token, and yet later done', cell: (e) => percent(e.summary.shareParadox) },
  ]);
}
