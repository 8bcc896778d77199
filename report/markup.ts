/** HTML by template literals that escape every value; only what was made here goes in as it is. */
import { escapeHtml } from './svg.ts';

/** Text that is HTML already. */
export class Markup {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
  toString(): string {
    return this.text;
  }
}

type Part = Markup | string | number | null | undefined | false | readonly Part[];

function render(part: Part): string {
  if (part === null || part === undefined || part === false) return '';
  if (part instanceof Markup) return part.text;
  if (typeof part === 'object') return part.map(render).join('');
  return escapeHtml(String(part));
}

export function html(strings: TemplateStringsArray, ...parts: Part[]): Markup {
  return new Markup(strings.reduce((out, text, i) => out + render(parts[i - 1]) + text));
}

export interface Column<Row> {
  head: Part;
  /** What the figure is, for a reader who points at the heading. */
  hint?: string;
  cell(row: Row): Part;
  /** Words are set left, figures right. */
  words?: boolean;
}

export function table<Row>(caption: string, rows: readonly Row[], columns: readonly Column<Row>[]): Markup {
  const side = (column: Column<Row>) => (column.words ? 'w' : 'n');
  return html`<div class="scroll" tabindex="0" role="region" aria-label="${caption}"><table>
<caption>${caption}</caption>
<thead><tr>${columns.map((c) => html`<th scope="col" class="${side(c)}"${c.hint ? html` title="${c.hint}"` : ''}>${c.head}</th>`)}</tr></thead>
<tbody>${rows.map(
    (row) => html`<tr>${columns.map((c, i) =>
      i === 0
        ? html`<th scope="row" class="${side(c)}">${c.cell(row)}</th>`
        : html`<td class="${side(c)}">${c.cell(row)}</td>`,
    )}</tr>
`,
  )}</tbody></table></div>`;
}

/** `name  value` lines. */
export function facts(pairs: readonly (readonly [name: string, value: Part])[]): Markup {
  return html`<dl>${pairs.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}

/** A label with the colour that it has in the charts. */
export function swatch(label: string, colors: ReadonlyMap<string, string>): Markup {
  return html`<span class="swatch" style="background:${colors.get(label) ?? 'var(--soft)'}"></span>${label}`;
}

export function note(text: Part): Markup {
  return html`<p class="note">${text}</p>`;
}
