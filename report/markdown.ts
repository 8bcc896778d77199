/** The answers of a report as Markdown, for a README or an issue: the same numbers as the HTML, without charts. */
import { headlines, speedTable, threeAnswers } from './answers.ts';
import { limitsOf } from './limits.ts';
import type { ReportModel } from './model.ts';
import { ranking } from './ranking.ts';
import { rankColumns, rankingWords } from './sections/ranking.ts';
import { conditions } from './sections/summary.ts';
import { whole } from './words.ts';

/** Nothing of a prompt or label may become markup. */
function plain(text: string): string {
  return text.replace(/[\\`*_{}[\]<>#|]/g, '\\$&');
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map(plain).join(' | ')} |`;
  return [line(head), `|${head.map((_, i) => (i === 0 ? ' --- ' : ' ---: ')).join('|')}|`, ...rows.map(line)].join(
    '\n',
  );
}

export function renderMarkdown(model: ReportModel): string {
  const parts = [`# kvsweep: ${plain(model.sweep.id)}`, plain(conditions(model))];
  const ranked = ranking(model);
  if (ranked) {
    const columns = rankColumns(ranked);
    const name = (row: (typeof ranked.rows)[number]) =>
      `${row.rank === null ? '' : `${row.rank}. `}${row.label}${row.inert ? ' (did not act)' : ''}`;
    parts.push('## Ranking', plain(rankingWords(ranked)));
    parts.push(
      table(
        ['compressor', ...columns.map((c) => c.head)],
        ranked.rows.map((row) => [name(row), ...columns.map((c) => c.cell(row))]),
      ),
    );
  }
  const lines = headlines(model);
  if (lines.length > 0) parts.push(lines.map((l) => `- **${plain(l.label)}**, batch ${l.batch}: ${l.says}`).join('\n'));
  for (const block of threeAnswers(model)) {
    parts.push(`## ${block.question}`);
    parts.push(block.columns ? speeds(model) : block.lines.map((line) => `- ${plain(line)}`).join('\n'));
  }
  parts.push(
    '## Limits',
    limitsOf(model)
      .map((line) => `- ${plain(line)}`)
      .join('\n'),
  );
  return `${parts.join('\n\n')}\n`;
}

function speeds(model: ReportModel): string {
  const { labels, rows } = speedTable(model.throughputs);
  const head = ['phase', 'prompt tokens', 'batch', 'uncompressed, tokens/s', ...labels];
  const body = rows.map((row) => [
    row.where ? `${row.phase}, ${row.where}` : row.phase,
    whole(row.promptTokens),
    String(row.batch),
    row.base,
    ...row.cells,
  ]);
  return table(head, body);
}
