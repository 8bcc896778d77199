/** How much faster are prefill and decode, at which batch size. */
import { throughputChart } from '../charts/throughput.ts';
import { figure } from '../figure.ts';
import { html, type Markup, note, swatch, table } from '../markup.ts';
import type { ReportModel, ThroughputPoint, ThroughputSetting } from '../model.ts';
import { bytes, figure as number, percent, ratio } from '../words.ts';

export async function throughputSection(model: ReportModel, colors: ReadonlyMap<string, string>): Promise<Markup> {
  const groups = new Map<string, ThroughputSetting[]>();
  for (const setting of model.throughputs) {
    const key = `${setting.model} on ${setting.backend}${setting.device ? ` (${setting.device})` : ''}`;
    groups.set(key, [...(groups.get(key) ?? []), setting]);
  }
  const parts: Markup[] = [];
  for (const [where, settings] of groups) {
    if (groups.size > 1) parts.push(html`<h3>${where}</h3>`);
    parts.push(await figure(throughputChart(settings, 'decode', colors), `Decode rate by batch size, ${where}`));
    parts.push(await figure(throughputChart(settings, 'prefill', colors), `Prefill rate by batch size, ${where}`));
    parts.push(...settings.map((setting) => rates(setting, colors)));
    parts.push(...settings.flatMap(ownMaximum));
  }
  return html`<section><h2 id="throughput">Throughput</h2>
${
  parts.length === 0
    ? note('No throughput cell is done in this sweep.')
    : html`<p>Median over repeated runs of a full static batch; the dark line on a bar spans the middle half of the repeats. Speed-up is against the uncompressed run at the same batch size; below 1 is a slow-down. Prefill includes all compression work on the prompt.</p>${parts}`
}</section>`;
}

function rates(setting: ThroughputSetting, colors: ReadonlyMap<string, string>): Markup {
  const caption = `${setting.promptTokens} prompt tokens, ${setting.newTokens} decode steps; tokens/s with the middle half of the repeats below`;
  const rows = [...setting.points].sort(
    (a, b) => a.phase.localeCompare(b.phase) || a.batch - b.batch || Number(b.isBaseline) - Number(a.isBaseline),
  );
  return table<ThroughputPoint>(caption, rows, [
    { head: 'compressor', words: true, cell: (p) => html`${swatch(p.label, colors)}${flags(p)}` },
    { head: 'phase', words: true, cell: (p) => p.phase },
    { head: 'batch', cell: (p) => (p.isMax ? `max = ${p.batch}` : p.batch) },
    {
      head: 'tokens/s',
      cell: (p) => html`${number(p.tokS)}<span class="ci">${number(p.tokSQ25)} – ${number(p.tokSQ75)}</span>`,
    },
    {
      head: 'speed-up',
      hint: 'against the baseline at the same batch size',
      cell: (p) => (p.sSame === null ? '–' : ratio(p.sSame)),
    },
    {
      head: 'of bound',
      hint: 'of what memory bandwidth or arithmetic allows',
      cell: (p) => (p.ofBound === null ? '–' : percent(p.ofBound)),
    },
    { head: 'cache at end', cell: (p) => (p.bytesEnd === null ? '–' : bytes(p.bytesEnd)) },
    { head: 'runs', cell: (p) => p.repeats },
  ]);
}

function flags(point: ThroughputPoint): Markup {
  const words = [point.inert && 'did not act', point.noisy && 'noisy', (point.drift ?? 0) > 0.03 && 'drift'].filter(
    (word) => word !== false,
  );
  return html`${words.map((word) => html`<span class="flag">${word}</span>`)}`;
}

/** What a server gains: each compressor at the largest batch that it fits. */
function ownMaximum(setting: ThroughputSetting): Markup[] {
  const decode = setting.points.filter((p) => p.phase === 'decode' && p.isMax);
  const base = decode.find((p) => p.isBaseline);
  const others = decode.filter((p) => !p.isBaseline && !p.inert);
  if (!base || others.length === 0) return [];
  const said = html`<p>At its own largest batch (${setting.promptTokens} prompt tokens, decode): ${others.map(
    (p, i) => `${i > 0 ? '; ' : ''}${p.label} ${ratio(p.tokS / base.tokS)} (batch ${p.batch} against ${base.batch})`,
  )}.</p>`;
  return [said];
}
