/** The report for readers who use a keyboard, a screen reader, a phone, or no scripts: what a page can be asked without layout. */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type { AxeResults } from 'axe-core';
import { JSDOM, VirtualConsole } from 'jsdom';
import { beforeAll, expect, test } from 'vitest';
import { renderReport } from '../report/html.ts';
import { SCRIPT, SCRIPT_HASH } from '../report/script.ts';
import { syntheticReport } from './fixtures/synthetic-report.ts';

let page: string;
let axe: string;
beforeAll(async () => {
  page = await renderReport(syntheticReport());
  axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
});

/**
 * The page in a browser without layout. What is inside a picture is left out: it has no meaning of its own beside the text
 * of the picture, and hundreds of thousands of its nodes would be asked one by one.
 * @param scripts whether the page's script runs
 */
function open(scripts: boolean): JSDOM {
  const errors: unknown[] = [];
  const virtualConsole = new VirtualConsole();
  virtualConsole.on('jsdomError', (error) => {
    // this parser of styles does not know all of today's
    if (!String(error).includes('Could not parse CSS')) errors.push(error);
  });
  // without its styles everything counts as shown, and is asked much faster
  const bare = page
    .replace(/<style>[\s\S]*?<\/style>/, '')
    .replace(/(<svg role="img"[^>]*>)[\s\S]*?<\/svg>/g, '$1</svg>');
  const runScripts = scripts ? 'dangerously' : 'outside-only';
  const dom = new JSDOM(bare, { runScripts, pretendToBeVisual: true, virtualConsole });
  expect(errors).toEqual([]);
  return dom;
}

async function violations(dom: JSDOM): Promise<string[]> {
  dom.window.eval(axe);
  const found = (await dom.window.eval(
    // contrast needs layout: tools/report-screens.mjs asks for it in a real browser
    `axe.run(document, { resultTypes: ['violations'], rules: { 'color-contrast': { enabled: false } } })`,
  )) as AxeResults;
  return found.violations.map(
    (v) =>
      `${v.id}: ${v.nodes
        .map((n) => n.target.join(' '))
        .slice(0, 3)
        .join(', ')}`,
  );
}

test('axe finds nothing, without scripts and with them', async () => {
  const still = open(false);
  for (const el of still.window.document.querySelectorAll('details')) el.open = true;
  expect(await violations(still)).toEqual([]);
  expect(await violations(open(true))).toEqual([]);
}, 120_000);

test('axe would find a picture without a text', async () => {
  const dom = open(false);
  dom.window.document.querySelector('figure svg')!.removeAttribute('aria-label');
  expect(await violations(dom)).toEqual([expect.stringContaining('svg-img-alt')]);
}, 60_000);

test('every picture has a text, or is a mark beside a text', () => {
  const { document } = open(false).window;
  const pictures = [...document.querySelectorAll('svg, img')];
  expect(pictures.length).toBeGreaterThan(20);
  for (const svg of pictures) {
    if (svg.getAttribute('aria-hidden') === 'true') expect(svg.parentElement!.textContent!.trim()).not.toBe('');
    else {
      expect(svg.getAttribute('role')).toBe('img');
      expect(svg.getAttribute('aria-label')!.length).toBeGreaterThan(60);
    }
  }
});

test('every chart has its numbers in a table beside it', () => {
  const { document } = open(false).window;
  const figures = [...document.querySelectorAll('figure')];
  expect(figures.length).toBeGreaterThan(10);
  for (const figure of figures) {
    const rows = figure.querySelectorAll('details table tbody tr');
    expect(rows.length, figure.querySelector('figcaption')!.textContent!).toBeGreaterThan(0);
    expect(figure.querySelector('details')!.textContent).not.toMatch(/undefined|NaN|null/);
  }
});

test('every table has a caption, heads of columns and rows, and a box that scrolls and has a name', () => {
  const { document } = open(false).window;
  const tables = [...document.querySelectorAll('table')];
  expect(tables.length).toBeGreaterThan(20);
  for (const table of tables) {
    expect(table.caption!.textContent!.trim()).not.toBe('');
    const heads = [...table.querySelectorAll('thead th')];
    for (const head of heads)
      expect([head.getAttribute('scope'), head.textContent!.trim() === '']).toEqual(['col', false]);
    for (const row of table.tBodies[0]!.rows) {
      expect(row.cells).toHaveLength(heads.length);
      expect(row.cells[0]!.getAttribute('scope')).toBe('row');
    }
    const box = table.parentElement!;
    expect([box.className, box.tabIndex, box.getAttribute('role')]).toEqual(['scroll', 0, 'group']);
    expect(box.getAttribute('aria-label')).toBe(`Table: ${table.caption!.textContent}`);
  }
});

test('ids are unique and every link leads to one', () => {
  const { document } = open(false).window;
  const ids = [...document.querySelectorAll('[id]')].map((el) => el.id);
  expect(new Set(ids).size).toBe(ids.length);
  const links = [...document.querySelectorAll('a')].map((a) => a.getAttribute('href')!);
  expect(links[0]).toBe('#main');
  for (const link of links) expect(ids).toContain(link.slice(1));
  for (const el of document.querySelectorAll('[aria-labelledby]'))
    expect(ids).toContain(el.getAttribute('aria-labelledby'));
});

test('headings go down one level at a time', () => {
  const { document } = open(false).window;
  let last = 0;
  for (const heading of document.querySelectorAll('h1,h2,h3,h4,h5,h6')) {
    const level = Number(heading.tagName[1]);
    expect(level, heading.textContent!).toBeLessThanOrEqual(last + 1);
    last = level;
  }
  expect(document.querySelectorAll('h1')).toHaveLength(1);
  expect(document.documentElement.lang).toBe('en');
});

test('without its script the page says the same; the policy allows that script alone', () => {
  const texts = (scripts: boolean) => {
    const { document } = open(scripts).window;
    return document.querySelectorAll('tbody tr').length;
  };
  expect(texts(true)).toBe(texts(false));
  expect(page.match(/<script/g)).toHaveLength(1);
  expect(page).toContain(`<script>${SCRIPT}</script>`);
  expect(page).toContain(`script-src '${SCRIPT_HASH}'`);
  expect(page.replace(/<script>[\s\S]*?<\/script>/, '')).not.toMatch(/ on[a-z]+=/);
});

test('a heading sorts its table, figures by value', () => {
  const { document } = open(true).window;
  const table = [...document.querySelectorAll('table')].find((t) =>
    t.caption!.textContent!.startsWith('Quantiles of D'),
  )!;
  const button = table.tHead!.rows[0]!.cells[2]!.querySelector('button')!;
  button.click();
  const column = () => [...table.tBodies[0]!.rows].map((row) => Number(row.cells[2]!.textContent!.replace('−', '-')));
  expect(button.closest('th')!.getAttribute('aria-sort')).toBe('ascending');
  expect(column()).toEqual([...column()].sort((a, b) => a - b));
  button.click();
  expect(button.closest('th')!.getAttribute('aria-sort')).toBe('descending');
  expect(column()).toEqual([...column()].sort((a, b) => b - a));
});

test('a compressor can be left out, and rows chosen by rule and theta', () => {
  const { document } = open(true).window;
  const shown = (label: string) =>
    [...document.querySelectorAll<HTMLElement>(`tr[data-label="${label}"]`)].filter((row) => !row.hidden).length;
  expect(shown('kivi-2')).toBeGreaterThan(0);
  const box = [...document.querySelectorAll('#tools label')].find((l) => l.textContent!.trim() === 'kivi-2')!;
  box.querySelector('input')!.click();
  expect(shown('kivi-2')).toBe(0);
  expect(shown('kivi-4')).toBeGreaterThan(0);
  box.querySelector('input')!.click();
  const [rule] = document.querySelectorAll<HTMLSelectElement>('.bar select');
  rule!.value = 'mean';
  rule!.dispatchEvent(new document.defaultView!.Event('change'));
  const rows = [...document.querySelectorAll<HTMLElement>('tr[data-rule]')];
  expect(new Set(rows.filter((row) => !row.hidden).map((row) => row.dataset.rule))).toEqual(new Set(['mean']));
});

test('one view of several is shown at a time, and the pressed button says which', () => {
  const { document } = open(true).window;
  const bar = [...document.querySelectorAll('.bar')].find((el) => el.getAttribute('aria-label') === 'Density axis')!;
  const [linear, log] = bar.querySelectorAll('button');
  const options = [...bar.nextElementSibling!.children] as HTMLElement[];
  expect(options.map((o) => o.hidden)).toEqual([false, true]);
  log!.click();
  expect(options.map((o) => o.hidden)).toEqual([true, false]);
  expect([linear, log].map((b) => b!.getAttribute('aria-pressed'))).toEqual(['false', 'true']);
});
