/**
 * The report: one HTML file that needs nothing else, neither network nor scripts. Model output is untrusted text, so
 * everything is escaped and a content policy forbids scripts and requests on top.
 */
import { html, Markup } from './markup.ts';
import type { ReportModel } from './model.ts';
import { colorsOf } from './palette.ts';
import { cacheSection } from './sections/cache.ts';
import { latencySection } from './sections/latency.ts';
import { lengthSection } from './sections/lengths.ts';
import { limitsSection, provenanceSection } from './sections/provenance.ts';
import { rankingSection } from './sections/ranking.ts';
import { samplesSection } from './sections/samples.ts';
import { summarySection } from './sections/summary.ts';
import { throughputSection } from './sections/throughput.ts';
import { CSS } from './style.ts';

const SECTIONS = [
  ['ranking', 'Ranking'],
  ['throughput', 'Throughput'],
  ['length', 'Answer length'],
  ['latency', 'Latency'],
  ['prompts', 'Single prompts'],
  ['cache', 'Cache'],
  ['limits', 'Limits'],
  ['provenance', 'Exact configuration'],
] as const;

/** Labels of the whole report, the baseline first: a label keeps its colour from chart to chart. */
export function labelsOf(model: ReportModel): { labels: string[]; isBaseline: (label: string) => boolean } {
  const points = model.throughputs.flatMap((setting) => setting.points);
  const base = new Set([...points, ...model.perplexities].filter((p) => p.isBaseline).map((p) => p.label));
  for (const setting of model.generations) {
    const compressed = new Set(setting.latencies.concat().map((e) => e.label));
    for (const entry of setting.lengths) compressed.add(entry.label);
    for (const cache of setting.caches) if (!compressed.has(cache.label)) base.add(cache.label);
  }
  const all = [
    ...base,
    ...model.generations.flatMap((setting) => setting.lengths.map((entry) => entry.label)),
    ...points.map((point) => point.label),
    ...model.perplexities.map((row) => row.label),
  ];
  return { labels: [...new Set(all)], isBaseline: (label) => base.has(label) };
}

export async function renderReport(model: ReportModel): Promise<string> {
  const { labels, isBaseline } = labelsOf(model);
  const colors = colorsOf(labels, isBaseline);
  const ranked = rankingSection(model, colors);
  const sections = SECTIONS.filter(([id]) => id !== 'ranking' || ranked !== null);
  const body = [
    ranked,
    await throughputSection(model, colors),
    await lengthSection(model, colors),
    await latencySection(model, colors),
    samplesSection(model, colors),
    cacheSection(model, colors),
    limitsSection(model),
    provenanceSection(model),
  ];
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="generator" content="kvsweep">
<title>kvsweep: ${model.sweep.id}</title>
<style>${new Markup(CSS)}</style>
</head>
<body>
<main>
${summarySection(model, colors)}
<nav aria-label="Sections">${sections.map(([id, title]) => html`<a href="#${id}">${title}</a>`)}</nav>
${body}
<footer>Made by kvsweep from its own measurements. Quantiles are of type 7; intervals are 95 % percentile bootstraps over prompts, or Wilson's where a share is 0 or 1.</footer>
</main>
</body>
</html>
`.toString();
}
