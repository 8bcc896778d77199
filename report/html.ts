/**
 * The report: one HTML file that needs nothing else, no network, and no scripts either. Model output is untrusted text,
 * so everything is escaped, and a content policy forbids requests and every script but the page's own, named by its hash.
 */
import { labelsOf } from './labels.ts';
import { html, Markup } from './markup.ts';
import type { ReportModel } from './model.ts';
import { SCRIPT, SCRIPT_HASH } from './script.ts';
import { cacheSection } from './sections/cache.ts';
import { keptSection } from './sections/kept.ts';
import { latencySection } from './sections/latency.ts';
import { lengthSection } from './sections/lengths.ts';
import { negativesSection } from './sections/negatives.ts';
import { paretoSection } from './sections/pareto.ts';
import { limitsSection, provenanceSection } from './sections/provenance.ts';
import { rankingSection } from './sections/ranking.ts';
import { samplesSection } from './sections/samples.ts';
import { headerPart, summarySection } from './sections/summary.ts';
import { throughputSection } from './sections/throughput.ts';
import { CSS } from './style.ts';

interface Section {
  id: string;
  title: string;
  content: Markup;
}

/** In reading order. Scores from files have neither answers nor times: those sections would only say so. */
async function sectionsOf(model: ReportModel): Promise<Section[]> {
  const { colors } = labelsOf(model);
  const ran = model.generations.length > 0 || model.throughputs.length > 0 || model.perplexities.length > 0;
  const scoresOnly = !ran && model.negatives.length > 0;
  const all: [id: string, title: string, content: Markup | null, always?: boolean][] = [
    ['ranking', 'Ranking', rankingSection(model, colors)],
    ['pareto', 'Accuracy, memory, speed', await paretoSection(model, colors)],
    ['throughput', 'Throughput', await throughputSection(model, colors)],
    ['length', 'Answer length', await lengthSection(model, colors)],
    ['latency', 'Latency', await latencySection(model, colors)],
    ['negatives', 'Negative samples', await negativesSection(model, colors), true],
    ['prompts', 'Single prompts', samplesSection(model, colors)],
    ['cache', 'Cache', cacheSection(model, colors)],
    ['kept', 'Kept tokens', keptSection(model, colors)],
    ['limits', 'Limits', limitsSection(model), true],
    ['provenance', 'Exact configuration', provenanceSection(model), true],
  ];
  return all.flatMap(([id, title, content, always]) =>
    content === null || (scoresOnly && !always) ? [] : [{ id, title, content }],
  );
}

export async function renderReport(model: ReportModel): Promise<string> {
  const { colors } = labelsOf(model);
  const sections = await sectionsOf(model);
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src '${new Markup(SCRIPT_HASH)}'">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="kvsweep">
<title>kvsweep: ${model.sweep.id}</title>
<style>${new Markup(CSS)}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the content</a>
<div class="page">
${headerPart(model)}
<nav aria-label="Sections"><ul>${sections.map(({ id, title }) => html`<li><a href="#${id}">${title}</a></li>`)}</ul></nav>
<main id="main" tabindex="-1">
${summarySection(model, colors)}
<div id="tools" hidden></div>
${sections.map(({ content }) => content)}
</main>
<footer>Made by kvsweep from its own measurements. Quantiles are of type 7; intervals are 95 % percentile bootstraps over prompts, or Wilson's where a share is 0 or 1.</footer>
</div>
<script>${new Markup(SCRIPT)}</script>
</body>
</html>
`.toString();
}
