/** How much faster are prefill and decode, at which batch size and prompt length, and how far from what is attainable. */
import { rateLines } from '../charts/rates.ts';
import { type Phase, throughputChart } from '../charts/throughput.ts';
import { figure } from '../figure.ts';
import { type Colors, swatch } from '../marks.ts';
import { html, type Markup, more, note, type Table, table } from '../markup.ts';
import type { ReportModel, ThroughputPoint, ThroughputSetting } from '../model.ts';
import { bytes, figure as number, percent, ratio, whole } from '../words.ts';

/** Above this many batch sizes, lines over a log axis read better than bars. */
const MAX_BAR_BATCHES = 3;
const PHASES = ['decode', 'prefill'] as const;

export async function throughputSection(model: ReportModel, colors: Colors): Promise<Markup> {
  const groups = new Map<string, ThroughputSetting[]>();
  for (const setting of model.throughputs) {
    const key = `${setting.model} on ${setting.backend}${setting.device ? ` (${setting.device})` : ''}`;
    groups.set(key, [...(groups.get(key) ?? []), setting]);
  }
  const parts: Markup[] = [];
  for (const [where, settings] of groups) {
    if (groups.size > 1) parts.push(html`<h3>${where}</h3>`);
    parts.push(...(await group(settings, groups.size > 1 ? `, ${where}` : '', colors)));
  }
  return html`<section aria-labelledby="throughput"><h2 id="throughput">Throughput</h2>
${
  parts.length === 0
    ? note('No throughput cell is done in this sweep.')
    : html`<p>Median over repeated runs of a full static batch. Speed-up is against the uncompressed run at the same batch size; below 1 is a slow-down. Prefill includes all compression work on the prompt. The attainable bound is the time that moving the weights and the cache, or the arithmetic, takes at the measured speed of the machine.</p>${parts}`
}</section>`;
}

async function group(settings: readonly ThroughputSetting[], where: string, colors: Colors): Promise<Markup[]> {
  const fixedBatch = settings.flatMap((s) => s.points.filter((p) => !p.isMax));
  const parts: Markup[] = [];
  if (fixedBatch.length > 0) {
    const batches = new Set(fixedBatch.map((p) => p.batch));
    const lengths = new Set(settings.filter((s) => s.points.some((p) => !p.isMax)).map((s) => s.promptTokens));
    for (const phase of PHASES) {
      const name = phase === 'decode' ? 'Decode' : 'Prefill';
      const data = (how: string) => chartTable(settings, phase, `${name} rates ${how}${where}`, colors);
      parts.push(
        batches.size > MAX_BAR_BATCHES
          ? await figure(
              rateLines(settings, phase, 'batch', colors),
              `${name} rate by batch size${where}`,
              data('by batch size'),
            )
          : await figure(
              throughputChart(settings, phase, colors),
              `${name} rate by prompt length and batch size${where} (line: middle half of the repeats; upright stroke: attainable bound)`,
              data('by batch size'),
            ),
      );
      if (lengths.size > 1)
        parts.push(
          await figure(
            rateLines(settings, phase, 'promptTokens', colors),
            `${name} rate by prompt length${where}`,
            data('by prompt length'),
          ),
        );
    }
  }
  parts.push(
    ownLargest(settings, where, colors),
    ...settings.map((s) =>
      more(`Every rate at ${whole(s.promptTokens)} prompt tokens, ${s.newTokens} decode steps`, rateTable(s, colors)),
    ),
  );
  return parts;
}

function chartTable(settings: readonly ThroughputSetting[], phase: Phase, caption: string, colors: Colors): Markup {
  const rows = settings.flatMap(({ promptTokens, points }) =>
    points.filter((p) => p.phase === phase && !p.isMax).map((p) => ({ ...p, promptTokens })),
  );
  return table(
    caption,
    rows,
    [
      { head: 'compressor', words: true, cell: (p) => swatch(p.label, colors) },
      { head: 'prompt tokens', cell: (p) => whole(p.promptTokens) },
      { head: 'batch', cell: (p) => p.batch },
      { head: 'tokens/s', cell: (p) => number(p.tokS) },
      { head: 'slow quarter', cell: (p) => number(p.tokSQ25) },
      { head: 'fast quarter', cell: (p) => number(p.tokSQ75) },
      { head: 'bound, tokens/s', cell: (p) => (p.ofBound === null ? '–' : number(p.tokS / p.ofBound)) },
    ],
    { label: (p) => p.label },
  );
}

export function rateTable(setting: ThroughputSetting, colors: Colors): Table {
  const caption = `${whole(setting.promptTokens)} prompt tokens, ${setting.newTokens} decode steps; tokens/s with the middle half of the repeats below`;
  const rows = [...setting.points].sort(
    (a, b) => a.phase.localeCompare(b.phase) || a.batch - b.batch || Number(b.isBaseline) - Number(a.isBaseline),
  );
  return table<ThroughputPoint>(
    caption,
    rows,
    [
      { head: 'compressor', words: true, cell: (p) => html`${swatch(p.label, colors)}${flags(p)}` },
      { head: 'phase', words: true, cell: (p) => p.phase },
      { head: 'batch', cell: (p) => (p.isMax ? html`${p.batch} <span class="soft">(largest)</span>` : p.batch) },
      {
        head: 'tokens/s',
        cell: (p) => html`${number(p.tokS)}<span class="ci">${number(p.tokSQ25)} – ${number(p.tokSQ75)}</span>`,
      },
      {
        head: 'speed-up, same batch',
        cell: (p) => (p.sSame === null ? '–' : ratio(p.sSame)),
      },
      {
        head: 'bound, ms',
        hint: 'least time of the whole phase that memory bandwidth or arithmetic allow',
        cell: (p) => (p.boundMs === null ? '–' : number(p.boundMs)),
      },
      {
        head: 'of bound',
        hint: 'bound / measured time: 100 % cannot be beaten',
        cell: (p) => (p.ofBound === null ? '–' : percent(p.ofBound)),
      },
      { head: 'cache at end', cell: (p) => (p.bytesEnd === null ? '–' : bytes(p.bytesEnd)) },
      { head: 'runs', cell: (p) => p.repeats },
    ],
    { label: (p) => p.label },
  );
}

function flags(point: ThroughputPoint): Markup {
  const words = [point.inert && 'did not act', point.noisy && 'noisy', (point.drift ?? 0) > 0.03 && 'drift'].filter(
    (word) => word !== false,
  );
  return html`${words.map((word) => html`<span class="flag">${word}</span>`)}`;
}

/** What a server gains, beside what the algorithm alone gains: both speed-ups with both batch sizes. */
function ownLargest(settings: readonly ThroughputSetting[], where: string, colors: Colors): Markup {
  const largest = settings.some((s) => s.points.some((p) => p.isMax));
  const found = ownLargestTable(settings, where, colors);
  if (!found) return note('Largest batch sizes were not measured in this sweep.');
  return html`<h3>Same batch, and each at its own largest</h3>
<p>Two questions: what the algorithm does (same batch), and what a server gains (each side at the largest batch ${largest ? 'that fits' : 'of this sweep; no search for the largest that fits was asked for'}).</p>
${found}`;
}

export function ownLargestTable(settings: readonly ThroughputSetting[], where: string, colors: Colors): Table | null {
  const rows = settings.flatMap((setting) =>
    PHASES.flatMap((phase) => {
      const points = setting.points.filter((p) => p.phase === phase && !p.isBaseline && !p.inert && p.own !== null);
      // one line a compressor: the same-batch speed-up is told at the largest batch that both sides ran
      return [...new Set(points.map((p) => p.label))].map((label) => {
        const own = points.filter((p) => p.label === label);
        const same = own.filter((p) => p.sSame !== null).sort((a, b) => b.batch - a.batch)[0];
        // what a search found goes before the largest of the batch sizes that were asked for
        const at = own.find((p) => p.isMax) ?? own[0]!;
        return { label, phase, promptTokens: setting.promptTokens, same, own: at.own!, memory: at.memory };
      });
    }),
  );
  if (rows.length === 0) return null;
  return table(
    `Speed-up at the same batch and at each side's own largest batch${where}`,
    rows,
    [
      { head: 'compressor', words: true, cell: (r) => swatch(r.label, colors) },
      { head: 'phase', words: true, cell: (r) => r.phase },
      { head: 'prompt tokens', cell: (r) => whole(r.promptTokens) },
      {
        head: 'same batch',
        hint: 'tokens/s against none at that batch size, the largest that both ran',
        cell: (r) => (r.same ? html`${ratio(r.same.sSame!)} <span class="soft">at ${r.same.batch}</span>` : '–'),
      },
      { head: 'own largest', hint: 'tokens/s of each side at its own largest batch', cell: (r) => ratio(r.own.s) },
      { head: 'its batch', cell: (r) => r.own.batch },
      { head: 'batch of none', cell: (r) => r.own.baseBatch },
      {
        head: 'memory',
        hint: 'that cache and workspace were allowed',
        cell: (r) => (r.memory === null ? 'all' : bytes(r.memory)),
      },
    ],
    { label: (r) => r.label },
  );
}
