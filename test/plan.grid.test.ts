import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import type { JsonObject } from '../workflows/contracts.ts';
import { expandCompressor } from '../workflows/expand-axes.ts';
import type { CellPlan } from '../workflows/plan.ts';
import { type Grid, type GridCompressor, type GridWorkload, largerBatch, planGrid } from '../workflows/plan-grid.ts';
import { MAX_GROUP_CELLS, MAX_GROUP_MS, planGroups } from '../workflows/plan-groups.ts';

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
const compressor = (requested: JsonObject, effective = requested, derived: JsonObject = {}): GridCompressor => ({
  requested,
  effective,
  derived,
});
const NONE = compressor({ none: {} });
const KIVI4 = compressor({ kivi: { bits: 4 } }, { kivi: { k_bits: 4, v_bits: 4, group: 32 } });
const KIVI2 = compressor({ kivi: { bits: 2 } }, { kivi: { k_bits: 2, v_bits: 2, group: 32 } });
const STREAM = compressor(
  { streaming_llm: { sinks: 4, recent: 124 } },
  { streaming_llm: { sinks: 4, recent: 124 } },
  { budget: 128 },
);

const GENERATE: GridWorkload = {
  kind: 'generate',
  engine: {
    generate: {
      max_new_tokens: 16,
      sampling: { greedy: true },
      chat: true,
      truncate: 'middle',
      stop_ids: [],
      stop_strings: [],
      trace: [],
    },
  },
  scheduler: 'continuous',
  invariant: true,
  invariantRows: 64,
  promptSet: 'aa'.repeat(32),
  dataset: 'sharegpt',
  nPrompts: 12,
  replicates: 1,
  seed: 42,
  axes: { dataset: 'sharegpt', max_new_tokens: 16, sampling: 'greedy' },
};
const SPEED: GridWorkload = {
  ...GENERATE,
  kind: 'throughput',
  engine: { throughput: { prompt_tokens: 512, new_tokens: 32, warmup: 1, repeats: 5, seed: 42 } },
  scheduler: 'static',
  invariant: false,
  promptSet: null,
  dataset: null,
  nPrompts: 0,
  axes: { prompt_tokens: 512, new_tokens: 32 },
};

function grid(change: Partial<Grid> = {}): Grid {
  return {
    models: [
      {
        ref: { name: 'm', path: '/a/m.gguf', sha256: '11'.repeat(32) },
        bytes: 100e6,
        compressors: [NONE, STREAM, KIVI4, KIVI2],
        baseline: NONE,
      },
    ],
    batches: [1, 8],
    workloads: [GENERATE, SPEED],
    baselineReplicates: 1,
    compressorReplicates: 0,
    backend: 'cpu',
    threads: null,
    numerics: 'cpu-1',
    deviceClass: 'CPU x 2',
    ...change,
  };
}

test('a workload may run at batch sizes of its own, and its noise cell takes the next of those', () => {
  const { cells } = planGrid(grid({ workloads: [{ ...GENERATE, batches: [4, 16] }, SPEED] }), sha256);
  const batches = (kind: string) => [...new Set(cells.filter((c) => c.workload === kind).map((c) => c.batch))];
  expect(batches('generate').sort()).toEqual([16, 32, 4]);
  expect(batches('throughput')).toEqual([1, 8]);
  expect(cells.filter((c) => c.noiseKind).map((c) => c.batch)).toEqual([16, 32]);
});

test('a memory limit changes the key of the search for the largest batch, and no other', () => {
  const keys = (memoryLimit?: number) =>
    planGrid(
      grid({ workloads: [{ ...SPEED, batches: [1, 'max'], ...(memoryLimit ? { memoryLimit } : {}) }] }),
      sha256,
    ).cells.map((c) => [c.batch, c.key, c.run.memory_limit]);
  const [free, small, large] = [keys(), keys(1 << 27), keys(1 << 28)];
  for (const [i, [batch, key]] of free.entries()) {
    expect(small[i]![1] === key).toBe(batch === 1);
    expect(large[i]![1] === small[i]![1]).toBe(batch === 1);
    expect(small[i]![2]).toBe(1 << 27);
  }
});

const keysOf = (g: Grid) => planGrid(g, sha256).cells.map((c) => c.key);

test('the quickstart grid is 4 compressors x 2 batch sizes x 2 workloads and 2 noise cells', () => {
  const { cells, notes } = planGrid(grid(), sha256);
  expect(cells.length).toBe(4 * 2 * 2 + 2);
  expect(new Set(cells.map((c) => c.key)).size).toBe(cells.length);
  expect(cells.filter((c) => c.isBaseline).length).toBe(4);
  expect(notes).toEqual([]);
});

test('labels are short and unique', () => {
  expect([...new Set(planGrid(grid(), sha256).cells.map((c) => c.label))]).toEqual([
    'none',
    'streaming_llm-128',
    'kivi-4',
    'kivi-2',
  ]);
});

test('two configurations that share their first parameter are told apart by what differs', () => {
  const a = compressor({ kivi: { bits: 4, group: 32 } }, { kivi: { k_bits: 4, group: 32 } });
  const b = compressor({ kivi: { bits: 4, group: 64 } }, { kivi: { k_bits: 4, group: 64 } });
  const models = [{ ...grid().models[0]!, compressors: [NONE, a, b] }];
  expect([...new Set(planGrid(grid({ models }), sha256).cells.map((c) => c.label))]).toEqual([
    'none',
    'kivi-4-32',
    'kivi-4-64',
  ]);
});

test('every compressed cell points to the baseline of its own batch size and workload', () => {
  const { cells } = planGrid(grid(), sha256);
  for (const cell of cells.filter((c) => !c.isBaseline && !c.noiseKind)) {
    const baseline = cells.find((c) => c.key === cell.baselineKey)!;
    expect(baseline).toMatchObject({
      isBaseline: true,
      batch: cell.batch,
      workload: cell.workload,
      compressor: 'none',
    });
  }
});

test('a grid without none gets its baselines, and says so', () => {
  const models = [{ ...grid().models[0]!, compressors: [KIVI4] }];
  const { cells, notes } = planGrid(grid({ models }), sha256);
  expect(cells.filter((c) => c.isBaseline).length).toBe(4);
  expect(notes).toEqual(['added 4 baseline cells (compressor none), one per model, batch size and workload']);
});

test('the same configuration written twice is planned once', () => {
  const twice = compressor({ kivi: { k_bits: 4, v_bits: 4 } }, KIVI4.effective);
  const models = [{ ...grid().models[0]!, compressors: [NONE, KIVI4, twice] }];
  const { cells, notes } = planGrid(grid({ models }), sha256);
  expect(cells.filter((c) => c.compressor === 'kivi').length).toBe(4);
  expect(notes).toEqual(['left out 4 cells that the grid holds more than once']);
});

test('a greedy noise cell changes the order of sums: not invariant, the next larger batch size, past the end doubled', () => {
  const noise = planGrid(grid({ baselineReplicates: 2 }), sha256).cells.filter((c) => c.noiseKind);
  expect(noise.map((c) => [c.noiseKind, c.noiseNo, c.batch, c.invariant])).toEqual([
    ['batch', 1, 8, false],
    ['batch', 2, 16, false],
    ['batch', 1, 16, false],
    ['batch', 2, 32, false],
  ]);
  expect(largerBatch([1, 4, 8], 1, 2)).toBe(8);
});

test('replicates of compressed cells change no key of the cells that were there', () => {
  const plain = planGrid(grid(), sha256);
  const { cells, notes } = planGrid(grid({ compressorReplicates: 2 }), sha256);
  const twins = cells.filter((c) => c.replicateOf !== undefined);
  expect(cells.filter((c) => c.replicateOf === undefined)).toEqual(plain.cells);
  // 3 compressors x 2 batch sizes x 2 replicates of the generate workload; none of throughput
  expect(twins.length).toBe(12);
  expect(new Set(cells.map((c) => c.key)).size).toBe(cells.length);
  expect(notes).toEqual(['added 12 replicates of compressed cells: 12 not invariant, at other batch sizes']);
});

test('a greedy replicate is its cell with another order of sums, paired with the same baseline', () => {
  const { cells } = planGrid(grid({ compressorReplicates: 2 }), sha256);
  for (const twin of cells.filter((c) => c.replicateOf !== undefined)) {
    const cell = cells.find((c) => c.key === twin.replicateOf)!;
    expect(cell).toMatchObject({ noiseKind: null, isBaseline: false, compressor: twin.compressor, label: twin.label });
    expect(twin).toMatchObject({ isBaseline: false, noiseKind: 'batch', baselineKey: cell.baselineKey });
    // batch sizes of the sweep are 1 and 8; past the end doubled
    expect(twin.batch).toBe({ 1: [8, 16], 8: [16, 32] }[cell.batch as 1 | 8][twin.noiseNo! - 1]);
    expect(twin.run).toEqual({ ...cell.run, invariant: false, batch: twin.batch });
  }
});

test('a sampled replicate draws with the seeds of the noise cell of its number', () => {
  const sampled = structuredClone(GENERATE);
  (sampled.engine as { generate: { sampling: unknown } }).generate.sampling = { temperature: 0.8 };
  const { cells, notes } = planGrid(
    grid({ workloads: [sampled], baselineReplicates: 2, compressorReplicates: 2 }),
    sha256,
  );
  const twins = cells.filter((c) => c.replicateOf !== undefined);
  expect(twins.length).toBe(12);
  for (const twin of twins) {
    const cell = cells.find((c) => c.key === twin.replicateOf)!;
    expect(twin).toMatchObject({ noiseKind: 'seed', run: { ...cell.run, seed: cell.run.seed + twin.noiseNo! } });
    const noise = cells.find(
      (c) => c.compressor === 'none' && c.noiseNo === twin.noiseNo && c.baselineKey === twin.baselineKey,
    )!;
    expect(noise.run.seed).toBe(twin.run.seed);
  }
  expect(notes).toEqual(['added 12 replicates of compressed cells: 12 with other seeds']);
});

test('replicates that can serve nothing are told of', () => {
  expect(planGrid(grid({ workloads: [SPEED], compressorReplicates: 1 }), sha256).notes).toEqual([
    'compressor_replicates repeats compressed cells of generate workloads, and there is none',
  ]);
  expect(
    planGrid(grid({ workloads: [GENERATE], compressorReplicates: 1, baselineReplicates: 0 }), sha256).notes,
  ).toEqual([
    'added 6 replicates of compressed cells: 6 not invariant, at other batch sizes',
    'robust negatives compare with replicates of the baseline too: set baseline_replicates to at least 1',
  ]);
});

test('replicates run after the cells that they repeat', () => {
  const { cells } = planGrid(grid({ workloads: [GENERATE], compressorReplicates: 1 }), sha256);
  const order = planGroups([...cells].reverse(), () => ({ queue: 'q', engineKey: 'e' })).flatMap((g) => g.cells);
  const kinds = order.map((c) => (c.isBaseline ? 0 : c.replicateOf ? 3 : c.noiseKind ? 1 : 2));
  expect(kinds).toEqual([...kinds].sort());
});

test('a sampled noise cell changes the seeds and nothing else', () => {
  const sampled = structuredClone(GENERATE);
  (sampled.engine as { generate: { sampling: unknown } }).generate.sampling = { temperature: 0.8 };
  const { cells } = planGrid(grid({ workloads: [sampled] }), sha256);
  const noise = cells.find((c) => c.noiseKind)!;
  const baseline = cells.find((c) => c.key === noise.baselineKey)!;
  expect(noise.noiseKind).toBe('seed');
  expect(noise.run).toEqual({ ...baseline.run, seed: baseline.run.seed + 1 });
});

test('batch max runs throughput only', () => {
  const { cells, notes } = planGrid(grid({ batches: ['max'] }), sha256);
  expect(cells.every((c) => c.workload === 'throughput' && c.batch === null)).toBe(true);
  expect(notes).toContain('batch size max runs throughput workloads only');
});

test.each<[string, (g: Grid) => void]>([
  [
    'the numerics version',
    (g) => {
      g.numerics = 'cpu-2';
    },
  ],
  [
    'the model content',
    (g) => {
      g.models[0]!.ref.sha256 = '22'.repeat(32);
    },
  ],
  [
    'the chat template',
    (g) => {
      g.models[0]!.ref.chat_template = '{{ x }}';
    },
  ],
  [
    'the prompt set',
    (g) => {
      g.workloads = [{ ...GENERATE, promptSet: 'bb'.repeat(32) }];
    },
  ],
  [
    'the seed',
    (g) => {
      g.workloads = [{ ...GENERATE, seed: 43 }];
    },
  ],
  [
    'invariant rows',
    (g) => {
      g.workloads = [{ ...GENERATE, invariantRows: 32 }];
    },
  ],
  [
    'the scheduler',
    (g) => {
      g.workloads = [{ ...GENERATE, scheduler: 'static' }];
    },
  ],
])('%s changes every key', (_name, change) => {
  const one = grid({ workloads: [GENERATE] });
  const before = new Set(keysOf(one));
  change(one);
  expect(keysOf(one).filter((k) => before.has(k))).toEqual([]);
});

test('paths, names and threads change no key of a generate cell', () => {
  const before = keysOf(grid({ workloads: [GENERATE] }));
  const other = grid({ workloads: [GENERATE], threads: 7, deviceClass: 'another CPU' });
  other.models[0]!.ref = { ...other.models[0]!.ref, name: 'renamed', path: '/elsewhere/x.gguf' };
  expect(keysOf(other)).toEqual(before);
});

test('the device is part of the key of throughput cells', () => {
  const before = new Set(keysOf(grid({ workloads: [SPEED] })));
  expect(keysOf(grid({ workloads: [SPEED], deviceClass: 'another CPU' })).filter((k) => before.has(k))).toEqual([]);
});

test('lists multiply, in parameters and in compositions', () => {
  expect(expandCompressor({ kivi: { bits: [2, 4], group: 32 } })).toEqual([
    { kivi: { bits: 2, group: 32 } },
    { kivi: { bits: 4, group: 32 } },
  ]);
  expect(expandCompressor({ compose: [{ snapkv: { budget: [64, 128] } }, 'fp8_e4m3'] })).toEqual([
    { compose: [{ snapkv: { budget: 64 } }, { fp8_e4m3: {} }] },
    { compose: [{ snapkv: { budget: 128 } }, { fp8_e4m3: {} }] },
  ]);
  expect(expandCompressor('none')).toEqual([{ none: {} }]);
});

function place(cell: CellPlan) {
  return { queue: 'kv.cpu.any', engineKey: cell.model };
}

test('the first group is a canary: the cheapest baseline, alone', () => {
  const { cells } = planGrid(grid(), sha256);
  const groups = planGroups(cells, place);
  expect(groups[0]).toMatchObject({ canary: true });
  expect(groups[0]!.cells.length).toBe(1);
  const cheapest = Math.min(...cells.filter((c) => c.isBaseline).map((c) => c.estMs!));
  expect(groups[0]!.cells[0]).toMatchObject({ isBaseline: true, estMs: cheapest });
});

test('groups hold every cell once, at most 50 of them and 10 minutes, baselines first', () => {
  const batches = Array.from({ length: 40 }, (_, i) => i + 1);
  const { cells } = planGrid(grid({ batches }), sha256);
  const groups = planGroups(cells, place);
  expect(groups.flatMap((g) => g.cells.map((c) => c.key)).sort()).toEqual(cells.map((c) => c.key).sort());
  for (const group of groups) {
    expect(group.cells.length).toBeLessThanOrEqual(MAX_GROUP_CELLS);
    if (group.cells.length > 1) expect(group.estMs).toBeLessThanOrEqual(MAX_GROUP_MS);
  }
  const ranks = groups.slice(1).flatMap((g) => g.cells.map((c) => (c.isBaseline ? 0 : c.noiseKind ? 1 : 2)));
  expect(ranks).toEqual([...ranks].sort());
});

test('each engine key has a canary and groups of its own', () => {
  const { cells } = planGrid(
    grid({
      models: [grid().models[0]!, { ...grid().models[0]!, ref: { name: 'n', path: 'n', sha256: '33'.repeat(32) } }],
    }),
    sha256,
  );
  const groups = planGroups(cells, place);
  expect(groups.filter((g) => g.canary).map((g) => g.engineKey)).toEqual(['m', 'n']);
  for (const group of groups) expect(new Set(group.cells.map((c) => c.model)).size).toBe(1);
});
