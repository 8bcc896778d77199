import { beforeAll, expect, test } from 'vitest';
import { answersText, threeAnswers } from '../report/answers.ts';
import { histogramBars } from '../report/charts/lengths.ts';
import { renderReport } from '../report/html.ts';
import { limitsOf } from '../report/limits.ts';
import { renderMarkdown } from '../report/markdown.ts';
import type { ReportModel } from '../report/model.ts';
import { THEME } from '../report/palette.ts';
import { commonPrefix } from '../report/sections/samples.ts';
import { toSvg } from '../report/svg.ts';
import { compared, figure, fixed, headline, list, percent } from '../report/words.ts';
import { syntheticReport } from './fixtures/synthetic-report.ts';

let model: ReportModel;
let page: string;
beforeAll(async () => {
  model = syntheticReport();
  page = await renderReport(model);
});

test('the headline is that of the design page', () => {
  expect(headline({ x: 4 / 3, y: 1.5, serviceRatio: 1.12 })).toBe(
    'tokens 1.33× faster, answers 1.50× longer, requests 1.12× slower',
  );
  expect(headline({ x: 0.8, y: 0.5, serviceRatio: 0.8 })).toBe(
    'tokens 1.25× slower, answers 2.00× shorter, requests 1.25× faster',
  );
  expect(compared(1.004, 'faster', 'slower', 'as fast')).toBe('as fast');
});

test('figures round halves to the even digit', () => {
  expect([fixed(0.125, 2), fixed(0.375, 2), percent(0.125), percent(0.135)]).toEqual([
    '0.12',
    '0.38',
    '12\u00a0%',
    '14\u00a0%',
  ]);
  expect([figure(1234.5), figure(56.78), figure(5.678), figure(0.5678)]).toEqual(['1,234', '56.8', '5.68', '0.568']);
  expect([list([]), list([1]), list([1, 2]), list(['a', 'b', 'c'])]).toEqual(['', '1', '1 and 2', 'a, b and c']);
});

test('a report that was written before all intervals were there says how many cells lack them', () => {
  const early = structuredClone(model);
  expect(limitsOf(early).join(' ')).not.toContain('still being computed');
  early.sweep.estimatesOpen = 12;
  expect(limitsOf(early)).toContainEqual(
    expect.stringMatching(/^Intervals and tests of 12 cells were still being computed/),
  );
});

test('the file needs no network and forbids it', () => {
  expect(page).toContain("default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-");
  expect(page).not.toMatch(/<script[^>]|<link|<img|<iframe|@import|url\(/i);
  expect(page.match(/https?:\/\/[^"'<\s]+/g)?.filter((url) => !url.startsWith('http://www.w3.org/'))).toEqual([]);
});

test('model output and prompts cannot break out of their text', async () => {
  const hostile = '</div><script>alert(1)</script><img src=x onerror=alert(1)>';
  const evil = structuredClone(model);
  const story = evil.generations[0]!.stories[0]!;
  story.prompt = hostile;
  story.base.text = hostile;
  story.comp.text = `${hostile}"'&`;
  story.promptKey = hostile;
  evil.provenance.spec = hostile;
  evil.sweep.id = hostile;
  const out = await renderReport(evil);
  expect(out.match(/<script>/g)).toHaveLength(1);
  expect(out).not.toContain('<script>alert');
  expect(out).not.toContain('<img');
  expect(out).toContain('&lt;script&gt;alert(1)&lt;/script&gt;');
});

test('every chart is drawn in a wide and a narrow form with the same text', () => {
  const figures = page.match(/<figure>[\s\S]*?<\/figure>/g)!;
  // rates by batch and by length of two phases; histogram, two densities; decomposition twice, requests; negatives by four
  // rules and by task type; Pareto twice; two maps
  expect(figures).toHaveLength(4 + 3 + 3 + 5 + 2 + 2);
  for (const figure of figures) {
    const texts = [...figure.matchAll(/<svg role="img" aria-label="([^"]{60,})"/g)].map((m) => m[1]);
    expect([texts.length, new Set(texts).size]).toEqual([2, 1]);
  }
});

test('every colour of the page exists in both themes, with enough contrast', () => {
  const used = new Set([...page.matchAll(/var\(--([a-z0-9-]+)\)/g)].map((m) => m[1]!));
  expect([...used].filter((name) => !(name in THEME))).toEqual([]);
  for (const mode of ['light', 'dark'] as const) {
    for (const [name, value] of Object.entries(THEME)) {
      if (['paper', 'panel', 'rule', 'differ'].includes(name)) continue;
      const least = ['ink', 'soft', 'link', 'warn'].includes(name) ? 4.5 : 3;
      expect(contrast(value[mode], THEME.paper![mode]), `${name}, ${mode}`).toBeGreaterThanOrEqual(least);
    }
    // body text also stands on panels and on marks
    for (const ground of ['panel', 'differ'])
      expect(contrast(THEME.ink![mode], THEME[ground]![mode])).toBeGreaterThan(7);
  }
});

/** Contrast ratio of two hex colours by WCAG 2. */
function contrast(a: string, b: string): number {
  const luminance = (hex: string) => {
    const [r, g, bl] = [1, 3, 5].map((i) => {
      const c = Number.parseInt(hex.slice(i, i + 2), 16) / 255;
      return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r! + 0.7152 * g! + 0.0722 * bl!;
  };
  const [hi, lo] = [luminance(a), luminance(b)].sort((x, y) => y - x);
  return (hi! + 0.05) / (lo! + 0.05);
}

test('the answers name every compressor and the noise floor', () => {
  const [speed, lengths, prompts] = threeAnswers(model);
  for (const label of ['streaming_llm-128', 'kivi-4', 'kivi-2']) {
    expect(speed!.lines[0]).toContain(label);
    expect(lengths!.lines.some((line) => line.startsWith(label))).toBe(true);
  }
  expect(lengths!.lines.at(-1)).toMatch(/^noise floor \(two uncompressed runs, another order of sums\)/);
  expect(prompts!.lines[0]).toMatch(/single-run negatives of 228 eligible prompts/);
  expect(prompts!.lines[3]).toMatch(/under kivi-2: .* tokens \(D = −/);
  // a table has the width of its columns
  const [text] = answersText(model, 100).split('   of f16') as [string];
  for (const line of text.split('\n').filter((l) => !l.includes('of f16')))
    expect(line.length).toBeLessThanOrEqual(101);
});

test('rates that were noisy, and a machine that drifted, are told beside the rates', async () => {
  const shaken = structuredClone(model);
  const { points } = shaken.throughputs[0]!;
  for (const point of points) Object.assign(point, { noisy: false, drift: null });
  expect(threeAnswers(shaken)[0]!.notes).toEqual([]);
  points[0]!.noisy = true;
  points[1]!.drift = 0.08;
  const all = shaken.throughputs.flatMap((setting) => setting.points).length;
  const times = (text: string, part: string) => text.split(part).length - 1;
  const [terminal, ...reports] = [answersText(shaken, 200), renderMarkdown(shaken), await renderReport(shaken)];
  // a report says it under Limits too
  for (const part of [`1 of ${all} rates are noisy`, 'The machine drifted']) {
    expect(times(terminal!, part)).toBe(1);
    expect(reports.map((text) => times(text, part))).toEqual([2, 2]);
  }
});

test('what the numbers do not say is said', () => {
  const said = limitsOf(model).join('\n');
  expect(said).toContain('Few clusters: 16 prompts');
  expect(said).toContain('Answers are judged only where they have references');
  const bare = structuredClone(model);
  for (const baseline of bare.generations[0]!.baselines) baseline.noise = null;
  bare.generations[0]!.baselines[0]!.nondeterministic = true;
  bare.sweep.cells.failed = 2;
  bare.throughputs[0]!.points[0]!.drift = 0.04;
  const more = limitsOf(bare).join('\n');
  for (const words of ['Noise floor not measured at batch 1 and 8', 'Nondeterministic', '2 cells failed', 'drifted']) {
    expect(more).toContain(words);
  }
});

test('a prompt is called negative in words only if every run says so', () => {
  const [, , { lines }] = threeAnswers(model) as [unknown, unknown, { lines: string[] }];
  const [single, robust] = ['kivi-2', 'kivi-4'].map((label) => lines.find((line) => line.startsWith(label))!);
  expect(single).toMatch(/single-run negatives/);
  expect(single).not.toMatch(/robust/);
  expect(robust).toMatch(/robust negatives over 2 uncompressed runs and 2 compressed ones/);
});

test('shares left open by cut answers show both bounds and ask for a larger limit', async () => {
  const cut = structuredClone(model);
  const entry = cut.generations[0]!.lengths[0]!;
  entry.summary.longer50 = { value: 0.25, lo: 0.25, hi: 0.5 };
  expect(limitsOf(cut).join('\n')).toContain('A larger limit would close them');
  expect(await renderReport(cut)).toContain('[25\u00a0%, 50\u00a0%]');
});

test("D stands in the artifact's form too, with what that form drops", async () => {
  const few = structuredClone(model);
  few.generations.splice(1);
  few.generations[0]!.lengths.splice(1);
  few.generations[0]!.lengths[0]!.ds = [0, -0.5, -1, 0.75, -0.125, -2.4133, 0.4140625, 0, -2.25];
  const [kept, dropped, bins] = /In the form of the study[\s\S]*?<tbody>([\s\S]*?)<\/tbody>/
    .exec(await renderReport(few))![1]!
    .split(/<\/t[dh]>/)
    .map((cell) => cell.replaceAll(/<[^>]*>/g, '').trim())
    .filter((cell) => /^[\d−]/.test(cell));
  expect([kept, dropped]).toEqual(['7', '2']);
  expect(bins!.split('; ')).toHaveLength(20);
  // 1 of 7 values in the first bin of 8.75 percent
  expect(bins!.startsWith('−100.0: 0.016; ')).toBe(true);
});

test('without a noise cell the length section says so at its top', async () => {
  const bare = structuredClone(model);
  for (const baseline of bare.generations[0]!.baselines) baseline.noise = null;
  for (const entry of bare.generations[0]!.lengths) entry.noise = null;
  const out = await renderReport(bare);
  expect(out).toContain('Noise floor not measured');
  expect(answersText(bare)).toContain('noise floor not measured: no noise cell is done');
});

test('bars of a histogram add up to one, the underflow included', () => {
  const { histogram } = model.generations[0]!.lengths[2]!;
  for (const merge of [1, 2, 5]) {
    const bars = histogramBars(histogram, merge);
    expect(bars.reduce((sum, bar) => sum + bar.share, 0)).toBeCloseTo(1, 12);
    expect(bars[0]!.end).toBe(-2);
    expect(bars.at(-1)!.end).toBe(1);
  }
});

test('the common beginning of two answers ends with a whole word', () => {
  expect(commonPrefix('one two three', 'one two thread')).toBe(8);
  expect(commonPrefix('one two', 'one two')).toBe(7);
  expect(commonPrefix('one', 'one two')).toBe(3);
  expect(commonPrefix('', 'x')).toBe(0);
  expect(commonPrefix('a \u{1f600}', 'a \u{1f601}')).toBe(2);
});

test('a chart that asks for data from elsewhere is refused', async () => {
  const spec = { data: { url: 'https://example.org/x.csv' }, mark: 'point', encoding: {} };
  await expect(toSvg(spec as never, 'label')).rejects.toThrow('charts carry their data');
});

test('more batch sizes than bars can show become lines', async () => {
  const many = structuredClone(model);
  const [setting] = many.throughputs;
  setting!.points = [1, 2, 4, 8].flatMap((batch) =>
    setting!.points.filter((p) => p.batch === 1).map((p) => ({ ...p, batch })),
  );
  expect(await renderReport(many)).toContain('aria-label="Lines of the decode rate in tokens per second by batch size');
});

test('the Markdown form has the same headline and table, and escapes what prompts and labels say', () => {
  const odd = structuredClone(model);
  odd.sweep.id = 'a_b|c';
  odd.generations[0]!.stories[0]!.promptKey = '<b>*x*';
  const text = renderMarkdown(odd);
  expect(text).toMatch(/^# kvsweep: a\\_b\\\|c\n/);
  expect(text).toContain('\\<b\\>\\*x\\* under kivi-2');
  expect(text).toContain(
    '| phase | prompt tokens | batch | uncompressed, tokens/s | streaming\\_llm-128 | kivi-4 | kivi-2 |',
  );
  expect(text.split('\n').filter((line) => line.startsWith('| decode') || line.startsWith('| prefill'))).toHaveLength(
    8,
  );
});
