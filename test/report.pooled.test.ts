/** Several data sets of one model: told together, pair by pair, and the single ones behind. */
import { beforeAll, describe, expect, test } from 'vitest';
import { answersText, headlines, threeAnswers } from '../report/answers.ts';
import { renderReport } from '../report/html.ts';
import { renderMarkdown } from '../report/markdown.ts';
import type { ReportModel } from '../report/model.ts';
import { shortNames } from '../report/names.ts';
import { type PoolableSetting, poolSettings, ratioRange } from '../report/pooled.ts';
import { syntheticReport, syntheticSettings } from './fixtures/synthetic-report.ts';

let model: ReportModel;
let settings: PoolableSetting[];
beforeAll(() => {
  const [a, b] = [syntheticSettings(12), syntheticSettings(30)];
  settings = [
    { ...a, facts: { ...a.facts, dataset: 'longbench/trec', maxNewTokens: 64 } },
    { ...b, facts: { ...b.facts, dataset: 'longbench/lcc' } },
  ];
  const one = syntheticReport();
  const generation = one.generations[0]!;
  model = {
    ...one,
    generations: settings.map(({ facts }) => ({ ...generation, ...facts })),
    pooled: poolSettings(settings),
  };
});

describe('the pool of two data sets', () => {
  test('holds every pair of both once: counts add up, ratios come from sums', () => {
    const [pool] = poolSettings(settings);
    expect(pool).toMatchObject({ datasets: ['longbench/trec', 'longbench/lcc'], nPrompts: 42, neverActed: [] });
    for (const entry of pool!.lengths) {
      const cells = settings.map(
        ({ cells }) => cells.find((c) => c.label === entry.label && c.batch === entry.batches[0])!.sums!.whole,
      );
      const sum = (of: 'n' | 'gt50' | 'same' | 'sumBase' | 'sumComp') => cells.reduce((total, s) => total + s[of], 0);
      expect(entry.all.n).toBe(sum('n'));
      expect(entry.all.gt50!.value).toBeCloseTo(sum('gt50') / sum('n'), 12);
      expect(entry.all.shareSame).toBeCloseTo(sum('same') / sum('n'), 12);
      expect(entry.all.ratioOfMeans).toBeCloseTo(sum('sumComp') / sum('sumBase'), 12);
      expect(entry.noise!.n).toBe(sum('n'));
    }
    expect(pool!.latencies.map(({ label, batch }) => [label, batch])).toEqual(
      settings[0]!.cells.filter((c) => !c.isBaseline).map(({ label, batch }) => [label, batch]),
    );
  });

  test('leaves out a data set on which the compressor did not act, and says so', () => {
    const label = settings[0]!.cells.find((c) => !c.isBaseline)!.label;
    const inert = settings.map((setting, i) => ({
      ...setting,
      cells: setting.cells.map((c) => (i === 0 && c.label === label ? { ...c, inert: true } : c)),
    }));
    const [pool] = poolSettings(inert);
    const entry = pool!.lengths.find((e) => e.label === label)!;
    expect(entry.inert).toBe(1);
    expect(entry.byDataset.map((d) => d.dataset)).toEqual(['longbench/lcc']);
    expect(ratioRange(entry)).toBeNull();
    const never = inert.map((setting) => ({
      ...setting,
      cells: setting.cells.map((c) => (c.label === label ? { ...c, inert: true } : c)),
    }));
    const [other] = poolSettings(never);
    expect(other!.neverActed).toEqual([label]);
    expect(other!.lengths.some((e) => e.label === label)).toBe(false);
  });

  test('has no noise floor unless every data set has one', () => {
    const without = [settings[0]!, { ...settings[1]!, cells: settings[1]!.cells.filter((c) => c.noiseKind === null) }];
    expect(poolSettings(without)[0]!.lengths.map((e) => e.noise)).toEqual(
      poolSettings(without)[0]!.lengths.map(() => null),
    );
  });

  test('is not made of one data set alone, of one that comes twice, or of two models', () => {
    const [first, second] = settings as [PoolableSetting, PoolableSetting];
    expect(poolSettings([first])).toEqual([]);
    expect(poolSettings([first, { ...first, facts: { ...first.facts, maxNewTokens: 9 } }])).toEqual([]);
    expect(poolSettings([first, { ...second, facts: { ...second.facts, model: 'other' } }])).toEqual([]);
  });
});

test('the answers have one line a compressor over all data sets, not one for each', () => {
  const [, lengths] = threeAnswers(model);
  const labels = new Set(model.generations[0]!.lengths.map((e) => e.label));
  for (const label of labels) {
    const own = lengths!.lines.filter((line) => line.startsWith(label));
    expect(own.length).toBeGreaterThan(0);
    for (const line of own) expect(line).toMatch(/in total over 2 data sets \(\d\.\d\d× in (trec|lcc) to \d\.\d\d× in/);
  }
  expect(lengths!.lines.at(-1)).toMatch(/^noise floor \(two uncompressed runs, all data sets\)/);
  expect(headlines(model).every((line) => line.where === '2 data sets')).toBe(true);
  expect(answersText(model)).toContain('batch 8, 2 data sets: tokens');
});

test('the headline of a pool does not hide that answers were cut', () => {
  const cut = structuredClone(model);
  for (const entry of cut.pooled[0]!.lengths) entry.all.censoredComp = 0.6;
  expect(
    headlines(cut).every((line) => line.says.endsWith('(60\u00a0% of its answers cut at the limit of their data set)')),
  ).toBe(true);
  for (const entry of cut.pooled[0]!.lengths) entry.all.censoredComp = 0;
  expect(headlines(cut).some((line) => line.says.includes('cut'))).toBe(false);
});

test('settings that are not pooled are told apart by the name of their data set', () => {
  const apart = { ...model, pooled: [] };
  expect(headlines(apart).map((line) => line.where)).toContain('longbench/trec');
  const [, lengths] = threeAnswers(apart);
  expect(lengths!.lines.every((line) => /^longbench\/(trec|lcc): /.test(line))).toBe(true);
});

test('tables of the pool stand in HTML and Markdown; single data sets are folded, not lost', async () => {
  const page = await renderReport(model);
  const markdown = renderMarkdown(model);
  for (const text of [page, markdown]) {
    expect(text).toContain('2 data sets together');
    expect(text).toContain('Length ratio of all tokens by data set');
  }
  expect(page).toMatch(/<details class="part"><summary>[^<]*longbench\/trec[^<]*<\/summary>/);
  expect(
    page.split('42 prompts of 2 data sets (longbench/trec and longbench/lcc), at most 64 to 384 new tokens').length,
  ).toBe(2);
});

test('of very many data sets the first have parts with charts; the tables and the note tell of the others', async () => {
  const [first] = settings as [PoolableSetting];
  const many = Array.from({ length: 30 }, (_, i) => ({ ...first, facts: { ...first.facts, dataset: `set-${i}` } }));
  const pooled = poolSettings(many);
  const bare = many.map(({ facts }) => ({
    ...model.generations[0]!,
    lengths: [],
    latencies: [],
    ownLargest: [],
    ...facts,
  }));
  const page = await renderReport({ ...model, generations: bare, pooled });
  expect(page.match(/<details class="part">/g)).toHaveLength(24);
  expect(page).toContain('6 data sets more in the tables above');
  expect(page).toContain('set-29');
});

test('data sets lose the folder that all of them share, and only then', () => {
  expect(shortNames(['longbench/trec', 'longbench/lcc'])).toEqual(['trec', 'lcc']);
  expect(shortNames(['longbench/trec', 'gsm8k'])).toEqual(['longbench/trec', 'gsm8k']);
  expect(shortNames(['sharegpt', 'gsm8k'])).toEqual(['sharegpt', 'gsm8k']);
});
