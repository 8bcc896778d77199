/** Parts of the report that compute: sums of negatives, the frontier, kept maps, names beside points, what is read. */
import { expect, test } from 'vitest';
import { densityAt } from '../analysis/histogram.ts';
import { curvesOf } from '../report/charts/density.ts';
import { keptThirds, keptWords } from '../report/charts/kept.ts';
import { thin } from '../report/charts/latency.ts';
import { placeNames } from '../report/charts/placement.ts';
import { renderReport } from '../report/html.ts';
import { renderMarkdown } from '../report/markdown.ts';
import { plainText, table } from '../report/markup.ts';
import type { NegativeRow } from '../report/model-scores.ts';
import { groupSums, headlineSums, negativeWords, sumNegatives } from '../report/negatives.ts';
import { frontier, paretos } from '../report/pareto.ts';
import { keptShares } from '../report/read/kept.ts';
import { within } from '../report/read/rows.ts';
import { textWidth } from '../report/text-width.ts';
import { syntheticReport } from './fixtures/synthetic-report.ts';

const row = (over: Partial<NegativeRow>): NegativeRow => ({
  label: 'kivi-4',
  batch: 1,
  dataset: 'qasper',
  taskType: '',
  metric: 'qa_f1',
  variant: '',
  rule: 'default',
  theta: 0.1,
  n: 200,
  eligible: 100,
  negatives: 7,
  mirrored: 5,
  baseRuns: 1,
  runs: 1,
  robust: null,
  stable: null,
  noiseNegatives: null,
  threshold: 0.15,
  meanBase: 0.6,
  meanScore: 0.2,
  ...over,
});

test('negatives of several data sets add up, with the p of the design page', () => {
  // 4.4: kivi-4 102 against 107, p = .78; gear-8 172 against 134, p = .034
  const parts = (label: string, n: number, m: number) => [
    row({ label, negatives: n - 2, mirrored: m }),
    row({ label, dataset: 'lcc', negatives: 2, mirrored: 0, meanBase: 1, meanScore: 0 }),
  ];
  const sums = sumNegatives([...parts('kivi-4', 102, 107), ...parts('gear-8', 172, 134)]);
  expect(sums.map((s) => [s.label, s.eligible, s.negatives, s.mirrored, s.net, s.p.toFixed(3)])).toEqual([
    ['kivi-4', 200, 102, 107, -5, '0.782'],
    ['gear-8', 200, 172, 134, 38, '0.034'],
  ]);
  expect(sums[0]!.meanBase).toBeCloseTo((100 * 0.6 + 2) / 102, 12);
  expect(negativeWords(sums[0]!)).toBe(
    '102 single-run negatives of 200 eligible prompts (51.0\u00a0%), 107 the other way round: net −5, p\u00a0=\u00a00.782. Not evidence of harm: two equal models differ as much.',
  );
});

test('robust counts are told with the runs they are over, and not if one part lacks replicates', () => {
  const replicated = row({ robust: 3, stable: 90, noiseNegatives: 4, baseRuns: 2 });
  const [both] = sumNegatives([replicated, replicated]);
  expect(negativeWords(both!)).toContain(
    'two uncompressed runs give 8; 6 robust negatives over 2 uncompressed runs and 1 compressed one',
  );
  const [mixed] = sumNegatives([replicated, row({ dataset: 'lcc' })]);
  expect([mixed!.robust, mixed!.noiseNegatives]).toEqual([null, null]);
});

test('a metric that explains another is not counted twice', () => {
  const rows = [row({ metric: 'contains' }), row({ metric: 'passkey_partial', negatives: 50 })];
  expect(headlineSums({ model: 'm', imported: false, rows, examples: [] }).map((s) => s.negatives)).toEqual([7]);
});

test('the breakdown is by task type if there are several, else by data set', () => {
  const setting = (rows: NegativeRow[]) => ({ model: 'm', imported: false, rows, examples: [] });
  const typed = ['QA', 'Code'].map((taskType) => row({ taskType }));
  expect(groupSums(setting([row({}), ...typed]))!.by).toBe('task type');
  const sets = [row({}), row({ dataset: 'lcc' }), row({ taskType: 'QA' })];
  expect(groupSums(setting(sets))).toMatchObject({ by: 'data set', sums: [{ group: 'qasper' }, { group: 'lcc' }] });
  expect(groupSums(setting([row({})]))).toBeNull();
});

test('the frontier holds what nothing beats in all directions; ties stay', () => {
  const rows = [
    [1, 1],
    [2, 0],
    [0, 2],
    [0.5, 0.5],
    [1, 1],
    [null, 9],
  ];
  expect(frontier(rows)).toEqual([true, true, true, false, true, false]);
});

test('perplexity is good when it is low, a score when it is high', () => {
  const [byScore] = paretos(syntheticReport(4));
  expect(byScore!.points.filter((p) => p.onMemory).map((p) => p.label)).toEqual(['none', 'kivi-4', 'kivi-2']);
  const model = syntheticReport(4);
  model.perplexities = model.memory.map(({ bytesEnd: _, bytesF16: __, bytesIdeal: ___, ...name }, i) => ({
    ...name,
    dataset: 'fixed_text',
    nTokens: 10,
    ppl: [4, 9, 4.1, 6][i]!,
    top1: 0.5,
    delta: null,
  }));
  const [byPpl] = paretos(model);
  expect([byPpl!.by, byPpl!.points.filter((p) => p.onMemory).map((p) => p.label)]).toEqual([
    'perplexity',
    ['none', 'kivi-4', 'kivi-2'],
  ]);
});

test('scores are compared over data sets that every compressor answered', () => {
  const model = syntheticReport(4);
  // one compressor failed on a second, easy set: the mean of the others must not gain by it
  const easy = model.scores.filter((s) => s.label !== 'kivi-2').map((s) => ({ ...s, dataset: 'easy', score: 1 }));
  model.scores.push(...easy);
  const points = new Map(paretos(model)[0]!.points.map((p) => [p.label, p.quality]));
  expect(points.get('streaming_llm-128')).toBe(0.2);
  expect(points.get('kivi-2')).toBe(0.45);
});

test('a bitmap becomes shares of heads and tokens by layer and column', () => {
  // 2 layers, 2 kv heads, 10 tokens: 2 bytes a store, bit t & 7 of byte t >> 3
  const bitmap = Uint8Array.from([0b11, 0, 0b01, 0, 0xff, 0b11, 0, 0b10]);
  const share = keptShares(bitmap, 2, 2, 10);
  expect(share[0]!.slice(0, 3)).toEqual([1, 0.5, 0]);
  expect(share[1]!).toEqual([0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 1]);
  // 512 tokens in 128 columns of four
  const long = new Uint8Array(64);
  long[0] = 0b0011;
  expect(keptShares(long, 1, 1, 512)[0]!.slice(0, 2)).toEqual([0.5, 0]);
});

test('a kept map says in words what it shows', () => {
  const share = [
    [1, 0, 1],
    [1, 0, 0.5],
  ];
  const map = {
    model: 'm',
    label: 'h2o-64',
    dataset: 'd',
    batch: 1,
    promptKey: 'd/1',
    seen: 30,
    kvHeads: 2,
    keptMean: 17.5,
    share,
  };
  expect(keptThirds(map)).toEqual([1, 0, 0.75]);
  expect(keptWords(map)).toBe(
    'h2o-64 held 58\u00a0% of 30 tokens of one sample (50\u00a0% to 67\u00a0% by layer): 100\u00a0% of the first third, 0\u00a0% of the middle, 75\u00a0% of the last.',
  );
});

test('names beside points cover neither points nor each other', () => {
  const dots = Array.from({ length: 12 }, (_, i) => ({
    name: `compressor-${i}`,
    x: 40 + 30 * (i % 4),
    y: 40 + 25 * Math.floor(i / 4),
  }));
  const placed = placeNames(dots, dots.slice(0, 4), 300, 200);
  const boxes = placed.map(({ name, x, y, align }) => {
    const w = textWidth(name, 11);
    const left = align === 'left' ? x : align === 'right' ? x - w : x - w / 2;
    return { left, right: left + w, top: y - 6.5, bottom: y + 6.5 };
  });
  expect(placed.length).toBeGreaterThan(2);
  for (const [i, a] of boxes.entries()) {
    for (const b of boxes.slice(i + 1)) {
      expect(a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom).toBe(false);
    }
    for (const { x, y } of dots) expect(x > a.left && x < a.right && y > a.top && y < a.bottom).toBe(false);
  }
});

test('dots of many requests are thinned to their shape, the ends among them', () => {
  const ratios = Array.from({ length: 10_001 }, (_, i) => (i * 7919) % 10_001);
  const few = thin(ratios, 101);
  expect(few).toEqual(Array.from({ length: 101 }, (_, i) => i * 100));
  expect(thin([3, 1, 2], 5)).toEqual([3, 1, 2]);
});

test('pairs are read up to a limit, whole cells at a time', () => {
  const cells = [3, 5, 4, 1].map((pairs, i) => ({ key: `c${i}`, pairs }));
  expect(within(cells, 8)).toEqual(['c0', 'c1']);
  expect(within(cells, 7)).toEqual(['c0', 'c2']);
});

test('a density can come from bins alone, and says so', () => {
  const [entry] = syntheticReport(400).generations[0]!.lengths;
  const [exact] = curvesOf([entry!]);
  const [binned] = curvesOf([{ ...entry!, ds: [] }]);
  expect([exact!.fromBins, binned!.fromBins]).toEqual([false, true]);
  const peak = (points: { density: number }[]) => Math.max(...points.map((p) => p.density));
  expect(peak(binned!.density.points) / peak(exact!.density.points)).toBeGreaterThan(0.8);
  expect(exact!.density.points[150]!.density).toBe(densityAt(entry!.ds, exact!.density.bandwidth, 0));
});

test('the text of a cell keeps its interval in brackets and loses its markup', () => {
  const cells = table('c', [{ v: '<b>' }], [{ head: 'a & b', cell: (r) => r.v }]);
  expect([cells.head[0]!.text, cells.cells[0]![0]]).toEqual(['a & b', '<b>']);
  expect(plainText('1 > 0')).toBe('1 > 0');
});

test('scores alone give a report of negatives, and nothing else is said to be missing', async () => {
  const model = syntheticReport(4);
  Object.assign(model, { generations: [], throughputs: [], scores: [], memory: [], kept: [] });
  model.negatives[0]!.imported = true;
  const page = await renderReport(model);
  expect(page.match(/<h2 id="[a-z]+"/g)).toEqual(['<h2 id="negatives"', '<h2 id="limits"', '<h2 id="provenance"']);
  expect(page).not.toContain('Not measured');
  expect(page).toContain('Imported scores of streaming_llm-128, kivi-4 and kivi-2 against the baseline, 3 data sets');
  expect(renderMarkdown(model)).not.toContain('Not measured');
});

test('Markdown has a table for each of the report, without any HTML', () => {
  const text = renderMarkdown(syntheticReport(16));
  for (const title of [
    'Accuracy, memory, speed',
    'Rates',
    'Length',
    'Latency',
    'Negative samples',
    'Cache',
    'Kept tokens',
    'Provenance',
  ])
    expect(text).toContain(`\n## ${title}\n`);
  expect(text).not.toMatch(/<\/?[a-z]/);
  const lines = text.split('\n');
  for (const [i, line] of lines.entries()) {
    if (!/^\|( --- | ---: )/.test(line)) continue;
    const columns = line.split('|').length;
    for (const other of [lines[i - 1]!, lines[i + 1]!])
      expect(other.replaceAll('\\|', '').split('|')).toHaveLength(columns);
  }
});

test('the JSON form names its version and survives being read again', () => {
  const model = syntheticReport(4);
  const again = JSON.parse(JSON.stringify(model));
  expect(again.schema).toBe('kvsweep-report-1');
  expect(again).toEqual(model);
});
