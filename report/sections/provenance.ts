/** Where every number comes from, and what the numbers do not say. */
import { limitsOf } from '../limits.ts';
import { facts, html, type Markup } from '../markup.ts';
import type { ReportModel } from '../model.ts';

const mono = (text: string) => html`<span class="mono">${text}</span>`;

export function limitsSection(model: ReportModel): Markup {
  return html`<section aria-labelledby="limits"><h2 id="limits">Limits</h2>
<ul class="limits">${limitsOf(model).map(
    (line) => html`<li>${line}</li>
`,
  )}</ul></section>`;
}

export function provenanceSection(model: ReportModel): Markup {
  const { sweep, provenance: p } = model;
  const { cells } = sweep;
  return html`<section aria-labelledby="provenance"><h2 id="provenance">Exact configuration</h2>
${facts([
  ['sweep', `${sweep.id}, ${sweep.status}, created ${sweep.createdAt}`],
  [
    'cells',
    `${cells.done} of ${cells.planned} done (${cells.reused} reused), ${cells.failed} failed, ${cells.open} open`,
  ],
  ['spec sha256', mono(p.specSha)],
  ...p.versions.map(([name, value]) => [name, mono(value)] as const),
  ...p.settings,
])}
<h3>Compressors, as asked for and as they ran</h3>
${p.configurations.map(
  (c) =>
    html`<div>${facts([
      ['label', html`<strong>${c.label}</strong>`],
      ['requested', mono(c.requested)],
      ['effective', mono(c.effective)],
      c.derived !== '{}' ? ['derived', mono(c.derived)] : ['derived', 'nothing'],
    ])}</div>`,
)}
<h3>Models</h3>
${p.models.map((m) => facts([['name', m.name], ['sha256', mono(m.sha256)], ...m.facts]))}
<h3>Prompts</h3>
${p.promptSets.map((s) => facts([['data set', s.dataset], ['sha256', mono(s.sha256)], ...s.facts]))}
<h3>Hosts</h3>
${p.hosts.map((h) => facts([['name', h.name], ...h.facts]))}
${
  sweep.failures.length > 0 &&
  html`<h3>Failed cells</h3><ul class="limits">${sweep.failures.map(
    (f) => html`<li>${f.label}, ${f.workload}, batch ${f.batch ?? 'max'}: ${f.reason}</li>`,
  )}</ul>`
}
<details><summary>The spec, as it was checked</summary><pre>${p.spec}</pre></details></section>`;
}
