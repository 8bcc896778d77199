import { expect, test } from 'vitest';
import { aggregateSweep } from '../activities/aggregate/sweep.ts';
import type { ThroughputRow } from '../activities/ledger.ts';
import { answersText } from '../report/answers.ts';
import { readReport } from '../report/data.ts';
import { renderReport } from '../report/html.ts';
import { limitsOf } from '../report/limits.ts';
import { samplingWords } from '../report/words.ts';
import { type Made, PROMPTS, storeSweep, tokens } from './fixtures/stored-sweep.ts';
import { useDatabase } from './support/database.ts';
import { type CellOptions, cellPlan } from './support/plans.ts';

const database = useDatabase();

const BASE = [100, 100, 100, 80, 8, 40].map((n) => tokens(n));
const KIVI = [tokens(100), tokens(150), tokens(200, 2), tokens(20), [9], tokens(130)];
const NOISE = [100, 100, 100, 80, 8, 44].map((n) => tokens(n));
const THROUGHPUT = { throughput: { prompt_tokens: 512, new_tokens: 64, warmup: 1, repeats: 5, seed: 1 } };

function rates(phase: 'prefill' | 'decode', work: number, seconds: number[]): ThroughputRow[] {
  return seconds.map((s, repeat) => ({
    phase,
    repeat,
    guard: false,
    batch: 1,
    promptTokens: 512,
    steps: 64,
    tokens: work,
    seconds: s,
    bytesStep: null,
    boundS: s / 2,
    peakBytes: 1,
    bytesEnd: 4096,
    keptMean: 576,
    clockMhz: null,
    usStep: null,
  }));
}

/** Generate and throughput cells of `none` and `kivi-4` at batch 1 and 8, with a noise cell each. */
function cells(id: string): Made[] {
  const kivi = { compressor: { kivi: { bits: 4 } }, label: 'kivi-4' };
  const generated = [1, 8].flatMap((batch): Made[] => {
    const plan = (name: string, more: CellOptions = {}) =>
      cellPlan(`${id} ${name} ${batch}`, { prompts: PROMPTS, batch, ...more });
    const base = plan('none');
    const baselineKey = base.key;
    const ran = (lists: number[][], usPerToken = 1000) => ({
      lists,
      usPerToken,
      over: { summary: { ...summary, batch } },
    });
    return [
      { plan: base, answers: ran(BASE) },
      { plan: plan('noise', { baselineKey, noise: { kind: 'batch', no: 0 } }), answers: ran(NOISE) },
      { plan: plan('kivi', { baselineKey, ...kivi }), answers: ran(KIVI, batch === 1 ? 800 : 900) },
    ];
  });
  const fast = cellPlan(`${id} speed none`, { prompts: null, workload: THROUGHPUT });
  const slow = cellPlan(`${id} speed kivi`, { prompts: null, workload: THROUGHPUT, baselineKey: fast.key, ...kivi });
  const timed = (decode: number[]) => ({
    lists: [],
    over: { throughput: [...rates('prefill', 512, [1, 1, 1, 1, 1]), ...rates('decode', 64, decode)] },
  });
  return [
    ...generated,
    { plan: fast, answers: timed([1, 1, 1, 1, 1]) },
    { plan: slow, answers: timed([0.7, 0.8, 0.8, 0.8, 0.9]) },
  ];
}

const summary = {
  tokens: 1,
  seconds: 1,
  inert: false,
  peak_bytes: null,
  max_batch: null,
  numerics: 'cpu-1',
  stop_ids: [2],
  page: null,
  memory: null,
};

async function report(id: string, made: readonly Made[]) {
  const sweepNo = await storeSweep(database.db, id, made);
  await aggregateSweep(database.db, sweepNo, undefined, { resamples: 200 });
  return await readReport(database.db, id);
}

test('a stored sweep becomes a report model with true numbers', async () => {
  const model = await report('told', cells('told'));
  expect(model.sweep.cells).toEqual({ planned: 8, done: 8, reused: 0, failed: 0, open: 0 });
  expect(model.generations).toHaveLength(1);
  const [setting] = model.generations;
  expect(setting).toMatchObject({
    model: 'tiny',
    backend: 'cpu',
    dataset: 'chat',
    maxNewTokens: 64,
    sampling: 'greedy',
    nPrompts: 6,
  });

  // the tokens are the same at both batch sizes: lengths are told once, latency twice
  expect(setting!.lengths.map((e) => [e.label, e.batches])).toEqual([['kivi-4', [1, 8]]]);
  expect(setting!.latencies.map((e) => [e.label, e.batch])).toEqual([
    ['kivi-4', 1],
    ['kivi-4', 8],
  ]);
  const [entry] = setting!.lengths;
  expect(entry!.summary.ratioOfMeans).toBeCloseTo(601 / 428, 12);
  expect(entry!.noise).toMatchObject({ kind: 'batch', n: 6, gt50: 0 });
  expect(entry!.estimates.share_longer50).toMatchObject({ value: 0.5 });
  expect(entry!.pHolm).toBe(entry!.estimates.mean_log_ratio!.p);
  // one end id per answer takes a step: steps = tokens; decode 800 us against 1000 us a token
  expect(setting!.latencies[0]!.summary.x).toBeCloseTo(1.25, 12);
  expect(setting!.latencies[0]!.summary.y).toBeCloseTo(601 / 428, 12);
  expect(setting!.latencies[0]!.summary.serviceRatio).toBeCloseTo((60 + 601 * 0.8) / (60 + 428), 12);
  // 4096 of 8192 bytes; kept 12.25 of seen tokens
  expect(setting!.caches.find((c) => c.label === 'kivi-4')!.ofF16).toBe(0.5);
});

test('the single prompts carry both answers and the prompt', async () => {
  const { generations } = await report('stories', cells('stories'));
  const { stories } = generations[0]!;
  expect(stories[0]).toMatchObject({
    why: 'longest',
    label: 'kivi-4',
    promptKey: 'chat/0005',
    prompt: 'Question 5?',
    d: -2.25,
    firstDiff: 40,
    beyondNoise: true,
    base: { tokens: 40, finish: 'stop', text: `text of ${tokens(40).join(' ')}` },
    comp: { tokens: 130 },
  });
  // two per compressor by length, then by time what was not told yet
  expect(stories.map((s) => s.promptKey)).toEqual(['chat/0005', 'chat/0002', 'chat/0001']);
  expect(stories[2]!.why).toBe('slowest');
});

test('batch sizes that gave other tokens are told apart', async () => {
  const made = cells('apart');
  const other = made.find((cell) => cell.plan.label === 'kivi-4' && cell.plan.batch === 8)!;
  other.answers = { ...other.answers, lists: [...KIVI.slice(0, 5), tokens(60)] };
  const model = await report('apart', made);
  expect(model.generations[0]!.lengths.map((e) => [e.label, e.batches])).toEqual([
    ['kivi-4', [1]],
    ['kivi-4', [8]],
  ]);
  expect(answersText(model)).toContain('kivi-4, batch 8: answers');
});

test('rates and speed-ups come from the throughput cells', async () => {
  const { throughputs } = await report('rates', cells('rates'));
  expect(throughputs).toHaveLength(1);
  const decode = throughputs[0]!.points.filter((p) => p.phase === 'decode');
  expect(decode.map((p) => [p.label, p.tokS, p.sSame, p.isBaseline])).toEqual([
    ['none', 64, null, true],
    ['kivi-4', 80, 1.25, false],
  ]);
});

test('provenance tells hashes, versions, the configuration and the seeds', async () => {
  const { provenance } = await report('traced', cells('traced'));
  expect(provenance.configurations.map((c) => c.label).sort()).toEqual(['kivi-4', 'none']);
  expect(provenance.models[0]!.sha256).toHaveLength(64);
  expect(Object.fromEntries(provenance.settings)).toMatchObject({
    'stop ids': '2',
    analysis: 'kvsweep-analysis-2',
    'seed of intervals and tests': '42',
    'seed of the samples': '1',
  });
  expect(provenance.hosts[0]!.facts[0]).toEqual(['device', 'test cpu']);
});

test('an inert compressor is told as such and compared with nothing', async () => {
  const made = cells('inert').map((cell) =>
    cell.plan.label === 'kivi-4'
      ? {
          ...cell,
          answers: {
            ...cell.answers,
            over: { ...cell.answers.over, summary: { ...summary, batch: cell.plan.batch, inert: true } },
          },
        }
      : cell,
  );
  const model = await report('inert', made);
  expect(model.generations[0]!.stories).toEqual([]);
  expect(model.throughputs[0]!.points.filter((p) => p.label === 'kivi-4').map((p) => [p.inert, p.sSame])).toEqual([
    [true, null],
    [true, null],
  ]);
  expect(answersText(model)).toContain('kivi-4: did not act on these prompts');
  expect(limitsOf(model).join('\n')).toContain('kivi-4 (generate, chat, batch 8) left the cache as it was');
  expect(await renderReport(model)).toContain('did not act');
});

test('a report before aggregation, or of a sweep that has only begun, is still a report', async () => {
  await storeSweep(database.db, 'early', cells('early').slice(0, 1));
  const model = await readReport(database.db, 'early');
  expect(answersText(model)).toContain('Not measured in this sweep.');
  expect(await renderReport(model)).toContain('No throughput cell is done');
  await expect(readReport(database.db, 'unknown')).rejects.toThrow('No sweep is named "unknown"');
});

test('sampling in words leaves out what is switched off', () => {
  expect(samplingWords({ greedy: true })).toBe('greedy');
  expect(samplingWords({ temperature: 0.8, top_k: 0, top_p: 0.95, min_p: 0 })).toBe('temperature 0.8, top_p 0.95');
  expect(samplingWords({ temperature: 1, top_p: 1 })).toBe('temperature 1');
});
