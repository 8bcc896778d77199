/** HTML by template literals that escape every value; only what was made here goes in as it is. */

export function escapeHtml(text: string): string {
  const names: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
  return text.replace(/[&<>"']/g, (c) => names[c]!);
}

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

export type Part = Markup | string | number | null | undefined | false | readonly Part[];

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
  /** What the figure is, where the heading is too short to say it; told under the table. */
  hint?: string;
  cell(row: Row): Part;
  /** Words are set left, figures right. */
  words?: boolean;
}

export interface TableOptions<Row> {
  /** The compressor that a row is about: the page's filter hides rows by it. */
  label?: (row: Row) => string;
  /** Other values that a reader can choose rows by, `rule` or `theta`. */
  choice?: (row: Row) => Readonly<Record<string, string>>;
}

/** A table as HTML, with its cells as plain text for the forms of a report that are not HTML. */
export class Table extends Markup {
  readonly caption: string;
  readonly head: readonly { text: string; words: boolean }[];
  readonly cells: readonly (readonly string[])[];
  constructor(text: string, caption: string, head: Table['head'], cells: Table['cells']) {
    super(text);
    this.caption = caption;
    this.head = head;
    this.cells = cells;
  }
}

/** Text without its markup; what stands in a line of its own in a cell (an interval) goes into brackets. */
export function plainText(part: Part): string {
  return render(part)
    .replace(/<span class="ci">(.*?)<\/span>/g, ' ($1)')
    .replace(/<span class="flag">(.*?)<\/span>/g, ' ($1)')
    .replace(/<[^>]*>/g, '')
    .replace(/&(amp|lt|gt|quot|#39);/g, (entity) => ENTITIES[entity]!)
    .trim();
}

const ENTITIES: Record<string, string> = { '&amp;': '&', '&lt;': '<', '&gt;': '>', '&quot;': '"', '&#39;': "'" };

/** A table in a box of its own that scrolls and can be reached by keyboard. Each row is headed by its first cell. */
export function table<Row>(
  caption: string,
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  { label, choice }: TableOptions<Row> = {},
): Table {
  const side = (column: Column<Row>) => (column.words ? 'w' : 'n');
  const marks = (row: Row) => {
    const data = { ...(label ? { label: label(row) } : {}), ...choice?.(row) };
    return Object.entries(data).map(([name, value]) => html` data-${name}="${value}"`);
  };
  const hints = columns.filter((c) => c.hint);
  const { text } = html`<div class="scroll" tabindex="0" role="group" aria-label="Table: ${caption}"><table>
<caption>${caption}</caption>
<thead><tr>${columns.map((c) => html`<th scope="col" class="${side(c)}">${c.head}</th>`)}</tr></thead>
<tbody>${rows.map(
    (row) => html`<tr${marks(row)}>${columns.map((c, i) =>
      i === 0
        ? html`<th scope="row" class="${side(c)}">${c.cell(row)}</th>`
        : html`<td class="${side(c)}">${c.cell(row)}</td>`,
    )}</tr>
`,
  )}</tbody></table></div>
${hints.length > 0 && html`<p class="hints">${hints.map((c, i) => html`${i > 0 && ' · '}<b>${c.head}</b>: ${c.hint}`)}</p>`}`;
  return new Table(
    text,
    caption,
    columns.map((c) => ({ text: plainText(c.head), words: c.words ?? false })),
    rows.map((row) => columns.map((c) => plainText(c.cell(row)))),
  );
}

/** `name  value` lines. */
export function facts(pairs: readonly (readonly [name: string, value: Part])[]): Markup {
  return html`<dl>${pairs.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}

export function note(text: Part): Markup {
  return html`<p class="note">${text}</p>`;
}

/** Closed on screen until asked for, open in print. */
export function more(summary: string, content: Part): Markup {
  return html`<details><summary>${summary}</summary>
${content}</details>`;
}

/**
 * One of several views of the same thing. Without scripts the first is shown and the others can be opened; with them a
 * row of buttons shows one at a time.
 */
export function choices(what: string, options: readonly { name: string; content: Part }[]): Markup {
  const [first, ...others] = options;
  if (!first) return html``;
  if (others.length === 0) return html`${first.content}`;
  return html`<div class="choices" data-what="${what}"><div data-option="${first.name}">${first.content}</div>
${others.map((o) => html`<details data-option="${o.name}"><summary>${what}: ${o.name}</summary>${o.content}</details>`)}</div>`;
}
