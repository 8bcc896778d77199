/** Opening: what was run, one line per compressor, the answers in words. */
import { type AnswerBlock, headlinePlace, headlines, speedTable, threeAnswers } from '../answers.ts';
import { type Colors, swatch } from '../marks.ts';
import { html, type Markup, note, table } from '../markup.ts';
import type { GenerationSetting, PooledSetting, ReportModel } from '../model.ts';
import type { NegativesSetting } from '../model-scores.ts';
import { isPooled } from '../pooled.ts';
import { list, plural, whole } from '../words.ts';

/** Lines of the opening; the tables below have all. */
const MAX_HEADLINES = 24;

export function headerPart(model: ReportModel): Markup {
  const { sweep } = model;
  return html`<header>
<p class="kicker">kvsweep report · sweep <span class="mono">${sweep.id}</span> · ${sweep.status} · ${day(sweep.reportedAt)}</p>
<h1>What KV-cache compression did to throughput, answer length and single prompts</h1>
<p class="lede">${conditions(model)}</p>
</header>`;
}

export function summarySection(model: ReportModel, colors: Colors): Markup {
  const lines = headlines(model);
  const left = lines.length - MAX_HEADLINES;
  return html`${
    lines.length > 0 &&
    html`<ul class="headlines" aria-label="Headline per compressor">${lines.slice(0, MAX_HEADLINES).map(
      (line) =>
        html`<li data-label="${line.label}"><span class="what">${swatch(line.label, colors)} <span class="soft">· ${headlinePlace(line)}</span></span>
<span class="says">${line.says}</span></li>
`,
    )}</ul>
${left > 0 && html`<p class="note">${plural(left, 'line')} more under <a href="#latency">Latency</a>.</p>`}
<p class="note">Per request: rate of decode steps, number of decode steps and service time (prefill + decode), each summed over the same prompts and set against the uncompressed run.</p>`
  }
<section class="answers" aria-label="The answers">${threeAnswers(model).map(
    (
      block,
    ) => html`<h2>${block.question}</h2>${block.columns ? speeds(model, colors) : bullets(block)}${(block.notes ?? []).map(note)}
`,
  )}</section>`;
}

function bullets(block: AnswerBlock): Markup {
  return html`<ul>${block.lines.map((line) => html`<li>${line}</li>`)}</ul>`;
}

function speeds(model: ReportModel, colors: Colors): Markup {
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
  const alone = model.generations.filter((s) => !isPooled(model.pooled, s));
  const runs = [
    ...model.pooled.map((pool) => poolConditions(model, pool)),
    ...alone.map((s) => runConditions([s], `of ${s.dataset}`)),
  ];
  const rates = [...new Set(model.throughputs.map((s) => s.promptTokens))].sort((a, b) => a - b).map(whole);
  const speed = rates.length > 0 ? `Rates over fixed batches at ${list(rates)} prompt tokens` : '';
  const devices = [...new Set(model.throughputs.map((s) => s.device).filter((d) => d !== null))];
  const where = devices.length > 0 ? ` on ${list(devices)}` : '';
  const imported = model.negatives.filter((s) => s.imported).map(importedWords);
  const parts = [...runs, speed && `${speed}${where}`, ...imported].filter((part) => part !== '');
  return parts.length === 0 ? 'Nothing of this sweep is done yet.' : `${parts.join('. ')}.`;
}

function poolConditions(model: ReportModel, pool: PooledSetting): string {
  const settings = model.generations.filter((s) => isPooled([pool], s));
  return runConditions(settings, `of ${plural(pool.datasets.length, 'data set')} (${list(pool.datasets)})`);
}

/** Of settings that share model, backend and sampling. */
function runConditions(settings: readonly GenerationSetting[], of: string): string {
  const { model, backend, sampling } = settings[0]!;
  const nPrompts = settings.reduce((sum, s) => sum + s.nPrompts, 0);
  const limits = settings.map((s) => s.maxNewTokens).sort((a, b) => a - b);
  const limit = limits[0] === limits.at(-1) ? `up to ${limits[0]}` : `at most ${limits[0]} to ${limits.at(-1)}`;
  const batches = list([...new Set(settings.flatMap((s) => s.baselines.map((b) => b.batch)))]);
  const at = batches === '' ? '' : `, batch ${batches}`;
  return `${plural(nPrompts, 'prompt')} ${of}, ${limit} new tokens, ${sampling}${at}; ${model} on ${backend}`;
}

function importedWords(setting: NegativesSetting): string {
  const own = setting.rows.filter((row) => row.taskType === '');
  const datasets = new Set(own.map((row) => row.dataset)).size;
  const labels = list([...new Set(own.map((row) => row.label))]);
  return `Imported scores of ${labels} against the baseline, ${plural(datasets, 'data set')}; ${setting.model}`;
}
