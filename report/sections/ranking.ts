/** One table over all compressors: what each keeps, and what it costs. */
import { type Colors, swatch } from '../marks.ts';
import { html, type Markup, type Table, table } from '../markup.ts';
import type { ReportModel } from '../model.ts';
import { type RankedRow, type Ranking, ranking } from '../ranking.ts';
import { figure, fixed, list, minus, percent, ratio } from '../words.ts';

/** Columns as text, for every form of the report: head, a hint, and the cell. */
export interface RankColumn {
  head: string;
  hint: string;
  cell(row: RankedRow): string;
}

export function rankColumns(found: Ranking): RankColumn[] {
  const { decodeAt } = found;
  const orDash = <T>(value: T | null, text: (value: T) => string) => (value === null ? '–' : text(value));
  return [
    {
      head: 'of f16',
      hint: 'bytes held at the end against the same tokens in 16 bits',
      cell: (r) => orDash(r.ofF16, (v) => percent(v, 1)),
    },
    {
      head: 'payload',
      hint: 'the same without page rounding, positions and scores',
      cell: (r) => orDash(r.payload, (v) => percent(v, 1)),
    },
    {
      head: 'perplexity',
      hint: 'of given continuations, teacher-forced by decode steps',
      cell: (r) => orDash(r.ppl, (v) => (v < 100 ? fixed(v, 2) : figure(v))),
    },
    {
      head: 'delta',
      hint: 'ln perplexity minus that of the baseline, with its 95 % interval',
      cell: (r) =>
        orDash(r.delta, (d) => `${minus(fixed(d.value, 3))} (${minus(fixed(d.lo, 3))} to ${minus(fixed(d.hi, 3))})`),
    },
    {
      head: 'score',
      hint: found.scoredOn.length > 0 ? `mean over answers with a reference: ${list(found.scoredOn)}` : 'not measured',
      cell: (r) => orDash(r.score, (v) => `${percent(v)} of ${r.nScored}`),
    },
    {
      head: 'median D',
      hint: 'below 0: answers got longer',
      cell: (r) => (r.isBaseline ? '–' : orDash(r.dMedian, (v) => minus(fixed(v, 2)))),
    },
    {
      head: 'decode, tokens/s',
      hint: decodeAt ? `${decodeAt.promptTokens} prompt tokens, batch ${decodeAt.batch}` : 'not measured',
      cell: (r) => orDash(r.tokS, figure),
    },
    { head: 'speed-up', hint: 'of decode against the baseline', cell: (r) => orDash(r.sSame, ratio) },
  ];
}

/** What the order is by, and how equal the memory is. */
export function rankingWords({ rows, by, decodeAt }: Ranking): string {
  const shares = rows.filter((row) => row.rank !== null && row.ofF16 !== null).map((row) => row.ofF16!);
  const range =
    shares.length > 0
      ? ` They hold ${percent(Math.min(...shares), 1)} to ${percent(Math.max(...shares), 1)} of the f16 cache at the end.`
      : '';
  const order = by === 'perplexity' ? 'least perplexity first' : 'highest score first';
  const speed = decodeAt ? ` Decode at ${decodeAt.promptTokens} prompt tokens, batch ${decodeAt.batch}.` : '';
  return `In the order of ${by}, ${order}.${range}${speed}`;
}

export function rankingSection(model: ReportModel, colors: Colors): Markup | null {
  const found = ranking(model);
  if (!found) return null;
  return html`<section aria-labelledby="ranking"><h2 id="ranking">Ranking</h2>
<p>${rankingWords(found)}</p>
${rankingTable(found, colors)}</section>`;
}

export function rankingTable(found: Ranking, colors: Colors): Table {
  const several = new Set(found.rows.map((row) => row.model)).size > 1;
  const name = {
    head: 'compressor',
    words: true,
    cell: (r: RankedRow) =>
      html`${r.rank !== null && `${r.rank}. `}${swatch(r.label, colors)}${several && html` <span class="soft">${r.model}</span>`}${r.inert && html`<span class="flag">did not act</span>`}`,
  };
  return table('Every compressor of the sweep', found.rows, [name, ...rankColumns(found)], { label: (r) => r.label });
}
