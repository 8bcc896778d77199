#!/usr/bin/env node
// Looks at a report in a real browser: axe-core with all its rules, colour contrast among them, at two widths in both
// colour schemes, nothing wider than a phone, and a screenshot of each section.
//
//   node tools/report-screens.mjs REPORT.html [--out DIR] [--sections length,negatives]
//
// Exit 1 on any violation. The browser is `chromium` on the PATH or KVSWEEP_CHROMIUM.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { pathToFileURL } from 'node:url';
import { withPage } from './browser-pipe.mjs';

const WIDTHS = [1280, 390];
const SCHEMES = ['light', 'dark'];
/** Narrowest phone that must not scroll sideways. */
const NARROWEST = 360;
/** Longer sections are cut: a picture of 20,000 px is looked at by nobody. */
const MAX_HEIGHT = 6000;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { out: { type: 'string' }, sections: { type: 'string' } },
});
if (positionals.length !== 1) {
  console.error('use: node tools/report-screens.mjs REPORT.html [--out DIR] [--sections length,negatives]');
  process.exit(2);
}
const url = pathToFileURL(resolve(positionals[0])).href;
const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** In the page: the opening and each section, as name and place. */
const PLACES = `[...document.querySelectorAll('section[aria-labelledby]')].map((el) => {
  const box = el.getBoundingClientRect();
  return { name: el.getAttribute('aria-labelledby'), x: 0, y: box.top + scrollY, width: innerWidth, height: box.height };
})`;

async function check(page, look) {
  const where = `${look.width} px, ${look.scheme}`;
  await page.look(look);
  await page.open(url);
  const wide = await page.evaluate('document.documentElement.scrollWidth - innerWidth');
  const found = wide > 0 ? [`${where}: the page is ${wide} px wider than the screen`] : [];
  await page.evaluate(axe);
  await page.evaluate("for (const el of document.querySelectorAll('details')) el.open = true");
  const violations = await page.evaluate(`axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) =>
    violations.map(({ id, impact, help, nodes }) => ({ id, impact, help,
      nodes: nodes.slice(0, 5).map((n) => n.target.join(' ') + ': ' + n.any.map((c) => c.message).join('; ')), count: nodes.length })))`);
  for (const { id, impact, help, nodes, count } of violations)
    found.push(`${where}: ${id} (${impact}, ${count}): ${help}\n    ${nodes.join('\n    ')}`);
  console.log(`${where}: ${violations.length} violations of axe${wide > 0 ? ', too wide' : ''}`);
  return found;
}

async function shoot(page, look, out, wanted) {
  await page.look(look);
  await page.open(url);
  const sections = await page.evaluate(PLACES);
  const top = Math.min(...sections.map((s) => s.y));
  const places = [{ name: 'summary', x: 0, y: 0, width: look.width, height: top }, ...sections];
  for (const { name, ...place } of places) {
    if (wanted && !wanted.includes(name)) continue;
    const file = join(out, `report-${name}-${look.width}-${look.scheme}.png`);
    await writeFile(file, await page.screenshot({ ...place, height: Math.min(place.height, MAX_HEIGHT) }));
  }
}

const found = await withPage(async (page) => {
  const problems = [];
  for (const scheme of SCHEMES) for (const width of WIDTHS) problems.push(...(await check(page, { width, scheme })));
  problems.push(...(await check(page, { width: NARROWEST, scheme: 'light' })));
  if (values.out) {
    await mkdir(values.out, { recursive: true });
    for (const scheme of SCHEMES)
      for (const width of WIDTHS) await shoot(page, { width, scheme }, values.out, values.sections?.split(','));
  }
  return problems;
});
for (const problem of found) console.log(problem);
process.exitCode = found.length > 0 ? 1 : 0;
