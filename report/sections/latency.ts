/** What a user waits: more tokens per second do not mean an earlier end of the answer. */
import { decompositionChart } from '../charts/decomposition.ts';
import { latencyChart, MAX_DOTS } from '../charts/latency.ts';
import { figure } from '../figure.ts';
import { type Colors, swatch } from '../marks.ts';
import { type Column, html, type Markup, note, type Table, table } from '../markup.ts';
import type { GenerationSetting, LatencyEntry, OwnLargestEntry, ReportModel } from '../model.ts';
import { settingName } from '../names.ts';
import { bytes, headline, percent, plural, ratio } from '../words.ts';
import { partOf, pooledLatencyTable, pooledPart, settingsInFull } from './pooled.ts';

/** Rows of one chart; the tables have all. */
const MAX_ROWS = 24;

export async function latencySection(model: ReportModel, colors: Colors): Promise<Markup> {
  const parts: Markup[] = model.pooled.flatMap((pool) => {
    const times = pooledLatencyTable(pool, colors);
    return times ? [pooledPart(pool, [times])] : [];
  });
  const several = model.generations.length > 1;
  const inFull = settingsInFull(model);
  for (const setting of inFull.shown) {
    const shown = setting.latencies.filter((entry) => !entry.inert);
    if (shown.length === 0) continue;
    const where = several ? `, ${settingName(setting)}` : '';
    parts.push(partOf(model, setting, html`${await settingParts(setting, shown, where, colors)}`));
  }
  if (inFull.left && parts.length > 0) parts.push(inFull.left);
  return html`<section aria-labelledby="latency"><h2 id="latency">Latency of requests</h2>
${
  parts.length === 0
    ? note('No pair of requests with comparable times is done in this sweep.')
    : html`<p>Service time is prefill plus decode of one request; waiting in the queue is left out, since it depends on the order of the run. Exactly: request time = decode share × answer length ÷ token rate + prefill share × prefill time, all relative to the uncompressed run.</p>${parts}`
}</section>`;
}

async function settingParts(
  setting: GenerationSetting,
  shown: readonly LatencyEntry[],
  where: string,
  colors: Colors,
): Promise<Markup[]> {
  const drawn = shown.slice(0, MAX_ROWS);
  const name = (e: LatencyEntry) => `${e.label} · batch ${e.batch}`;
  const dots = drawn.filter((e) => e.ratios.length > 0);
  const parts = [
    html`<ul class="facts">${drawn.map((e) => html`<li data-label="${e.label}">${latencyWords(e)}</li>`)}</ul>`,
    await figure(
      decompositionChart(drawn.map((e) => ({ ...e.summary, name: name(e) }))),
      `Tokens got faster, answers got longer, requests got slower or faster${where}`,
      decompositionTable(drawn, where, colors),
    ),
    latencyTable(shown, where, colors),
  ];
  if (dots.length > 0)
    parts.push(
      await figure(
        latencyChart(dots, colors),
        `Service time of each request against the same request uncompressed (bar: all requests together)${where}`,
        quantileTable(dots, where, colors),
      ),
    );
  parts.push(await ownLargest(setting.ownLargest, where, colors));
  return parts;
}

export function latencyWords({ label, batch, summary }: LatencyEntry): string {
  const { n, shareSlower, shareParadox } = summary;
  const paradox =
    shareParadox > 0
      ? ` For ${percent(shareParadox)} each token came faster and the request still ended later.`
      : ' No request had faster tokens and a later end.';
  return `${label}, batch ${batch}: ${headline(summary)}. ${percent(shareSlower)} of ${plural(n, 'request')} became slower.${paradox}`;
}

const nameColumn = <Entry extends { label: string }>(colors: Colors): Column<Entry> => ({
  head: 'compressor',
  words: true,
  cell: (e) => swatch(e.label, colors),
});

function decompositionTable(entries: readonly LatencyEntry[], where: string, colors: Colors): Markup {
  return table<LatencyEntry>(
    `Token rate, answer length and request time, as drawn${where}`,
    entries,
    [
      nameColumn(colors),
      { head: 'batch', cell: (e) => e.batch },
      { head: 'token rate', cell: (e) => ratio(e.summary.x) },
      { head: 'answer length', cell: (e) => ratio(e.summary.y) },
      { head: 'request time', cell: (e) => ratio(e.summary.serviceRatio) },
    ],
    { label: (e) => e.label },
  );
}

function quantileTable(entries: readonly LatencyEntry[], where: string, colors: Colors): Markup {
  const most = entries.some((e) => e.ratios.length > MAX_DOTS) ? `; at most ${MAX_DOTS} requests a row are drawn` : '';
  return table<LatencyEntry>(
    `Request time against the uncompressed run, as drawn${most}${where}`,
    entries,
    [
      nameColumn(colors),
      { head: 'batch', cell: (e) => e.batch },
      { head: 'requests', cell: (e) => e.ratios.length },
      { head: 'least', cell: (e) => ratio(Math.min(...e.ratios)) },
      { head: 'median', cell: (e) => ratio(e.summary.ratioP50) },
      { head: '95 %', cell: (e) => ratio(e.summary.ratioP95) },
      { head: 'most', cell: (e) => ratio(Math.max(...e.ratios)) },
      { head: 'together', cell: (e) => ratio(e.summary.serviceRatio) },
    ],
    { label: (e) => e.label },
  );
}

export function latencyTable(entries: readonly LatencyEntry[], where: string, colors: Colors): Table {
  return table<LatencyEntry>(
    `Service time against the baseline; 95 % interval over prompts below${where}`,
    entries,
    [
      nameColumn(colors),
      { head: 'batch', cell: (e) => e.batch },
      { head: 'token rate', hint: 'decode steps per second, relative', cell: (e) => ratio(e.summary.x) },
      { head: 'answer length', hint: 'in decode steps, relative', cell: (e) => ratio(e.summary.y) },
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
    ],
    { label: (e) => e.label },
  );
}

/** Measured lengths at the speeds of the largest batch of each side: modelled, and said to be. */
async function ownLargest(entries: readonly OwnLargestEntry[], where: string, colors: Colors): Promise<Markup> {
  if (entries.length === 0)
    return note(
      'Latency at each method’s own largest batch was not measured: it needs throughput cells at the largest batch that fits.',
    );
  const name = (e: OwnLargestEntry) => `${e.label} · batch ${e.batch} against ${e.baseBatch}`;
  const caption = `At each method's own largest batch, modelled${where}`;
  return html`<h3>At each method’s own largest batch</h3>
<p>Modelled: the lengths that were measured, at the prefill and decode speed that each side has at its own largest batch. The speeds are those of the newest throughput cells of the same model, compressor and device in this database, whichever sweep ran them. A larger batch gives each sequence fewer tokens per second and the server more.</p>
<ul class="facts">${entries.map((e) => html`<li data-label="${e.label}">${ownWords(e)}</li>`)}</ul>
${await figure(
  decompositionChart(entries.slice(0, MAX_ROWS).map((e) => ({ ...e, name: name(e) }))),
  caption,
  ownTable(entries, `${caption}: as drawn`, colors),
)}`;
}

export function ownWords(e: OwnLargestEntry): string {
  return `${e.label}, batch ${e.batch} against ${e.baseBatch} of the baseline: ${headline(e)}; ${percent(e.shareSlower)} of requests slower. The server completes ${ratio(e.requestsRatio)} as many requests a second.`;
}

export function ownTable(entries: readonly OwnLargestEntry[], caption: string, colors: Colors): Table {
  return table<OwnLargestEntry>(
    caption,
    entries,
    [
      nameColumn(colors),
      { head: 'its batch', cell: (e) => e.batch },
      { head: 'batch of none', cell: (e) => e.baseBatch },
      { head: 'memory', cell: (e) => (e.memory === null ? 'all' : bytes(e.memory)) },
      { head: 'token rate', cell: (e) => ratio(e.x) },
      { head: 'answer length', cell: (e) => ratio(e.y) },
      { head: 'request time', cell: (e) => ratio(e.serviceRatio) },
      { head: 'slower', cell: (e) => percent(e.shareSlower) },
      { head: 'requests per second', cell: (e) => ratio(e.requestsRatio) },
    ],
    { label: (e) => e.label },
  );
}
