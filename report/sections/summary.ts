/** Opening: what was run, one line per compressor, the three answers. */
import { type AnswerBlock, headlines, speedTable, threeAnswers } from '../answers.ts';
import { html, type Markup, swatch, table } from '../markup.ts';
import type { ReportModel } from '../model.ts';
import { list, plural, whole } from '../words.ts';

export function summarySection(model: ReportModel, colors: ReadonlyMap<string, string>): Markup {
  const { sweep } = model;
  const lines = headlines(model);
  const several = model.generations.length > 1;
  return html`<header>
<p class="kicker">kvsweep report · sweep <span class="mono">${sweep.id}</span> · ${sweep.status} · ${day(sweep.reportedAt)}</p>
<h1>What KV-cache compression did to throughput, answer length and single prompts</h1>
<p class="lede">${conditions(model)}</p>
</header>
${
  lines.length > 0 &&
  html`<ul class="headlines" aria-label="Headline per compressor">${lines.map(
    ({
      label,
      batch,
      setting,
      says,
    }) => html`<li><span class="what">${swatch(label, colors)} <span class="soft">· batch ${batch}${several && ` · ${setting.model} · ${setting.dataset}`}</span></span>
<span class="says">${says}</span></li>
`,
  )}</ul>
<p class="note">Per request: rate of decode steps, number of decode steps and service time (prefill + decode), each summed over the same prompts and set against the uncompressed run.</p>`
}
<section class="answers" aria-label="The three answers">${threeAnswers(model).map(
    (block) => html`<h3>${block.question}</h3>${block.columns ? speeds(model, colors) : bullets(block)}
`,
  )}</section>`;
}

function bullets(block: AnswerBlock): Markup {
  return html`<ul>${block.lines.map((line) => html`<li>${line}</li>`)}</ul>`;
}

function speeds(model: ReportModel, colors: ReadonlyMap<string, string>): Markup {
  const { labels, rows } = speedTable(model.throughputs);
  const caption = 'Speed-up against the uncompressed rate at the same batch size';
  return table(caption, rows, [
    { head: 'phase', words: true, cell: (row) => (row.where ? `${row.phase}, ${row.where}` : row.phase) },
    { head: 'prompt tokens', cell: (row) => whole(row.promptTokens) },
    { head: 'batch', cell: (row) => row.batch },
    { head: 'uncompressed, tokens/s', cell: (row) => row.base },
    ...labels.map((label, i) => ({
      head: swatch(label, colors),
      cell: (row: (typeof rows)[number]) => row.cells[i]!,
    })),
  ]);
}

function day(iso: string): string {
  return iso.slice(0, 16).replace('T', ' ');
}

/** `12 prompts of sharegpt, up to 384 new tokens, greedy; SmolLM2 on cpu`. */
export function conditions(model: ReportModel): string {
  const runs = model.generations.map((s) => {
    const batches = list([...new Set(s.baselines.map((b) => b.batch))]);
    return `${plural(s.nPrompts, 'prompt')} of ${s.dataset}, up to ${s.maxNewTokens} new tokens, ${s.sampling}, batch ${batches}; ${s.model} on ${s.backend}`;
  });
  const rates = model.throughputs.map((s) => `${s.promptTokens}`);
  const speed = rates.length > 0 ? `Rates over fixed batches at ${list(rates)} prompt tokens` : '';
  const devices = [...new Set(model.throughputs.map((s) => s.device).filter((d) => d !== null))];
  const where = devices.length > 0 ? ` on ${list(devices)}` : '';
  return [runs.join('. '), speed && `${speed}${where}`]
    .filter((part) => part !== '')
    .join('. ')
    .concat('.');
}
