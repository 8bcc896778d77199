/** Plans of scripted cells: what `kvsweep launch` would store, with the script of each cell in its compressor. */
import { createHash } from 'node:crypto';
import type { CellRun, JsonObject } from '../../workflows/contracts.ts';
import type { CellPlan, GroupPlan, PromptPlan, SweepPlan } from '../../workflows/plan.ts';
import { engineQueue } from '../../workflows/queues.ts';
import type { FakeScript } from './fake-engine.ts';

export interface ScriptedPlan {
  id: string;
  model: { name: string; path: string; sha256: string };
  /** Cells of each group, in order. */
  groups: FakeScript[][];
  /** Group numbers that are canaries; none by default. */
  canaries?: number[];
  prompts?: number;
  queue?: string;
  limits?: Partial<SweepPlan['limits']>;
  workload?: CellRun['workload'];
  /** Labels of cells that are baselines; none by default. */
  baselines?: string[];
  engineKey?: string;
  /** What the plan assumes of the engine; default: what the fake engine says. */
  numerics?: string;
}

const sha = (value: unknown) => createHash('sha256').update(JSON.stringify(value)).digest('hex');

const GENERATE: CellRun['workload'] = {
  generate: {
    max_new_tokens: 4,
    sampling: { greedy: true },
    chat: false,
    truncate: 'none',
    stop_ids: [],
    stop_strings: [],
    trace: [],
  },
};

export function scriptedPlan(input: ScriptedPlan): SweepPlan {
  const nPrompts = input.prompts ?? 2;
  const prompts: PromptPlan[] = Array.from({ length: nPrompts }, (_, i) => ({
    key: `test/${i}`,
    prompt: `prompt ${i}`,
  }));
  const promptSet = sha(prompts);
  const workload = input.workload ?? GENERATE;
  const timed = 'throughput' in workload;
  const cell = (fake: FakeScript, groupNo: number, i: number): CellPlan => {
    const name = `g${groupNo}c${i}`;
    const compressor = { fake: { seedling: name, ...fake } } as unknown as JsonObject;
    return {
      // The sweep's name is part of the key, so that no sweep of a test reuses another's cells.
      key: sha([input.id, name]),
      run: {
        model: input.model,
        backend: 'cpu',
        threads: null,
        compressor,
        batch: 1,
        scheduler: timed ? 'static' : 'continuous',
        invariant: !timed,
        numerics: input.numerics ?? 'fake-1',
        invariant_rows: 64,
        workload,
        prompt_set: timed ? null : promptSet,
        n_prompts: timed ? 0 : nPrompts,
        replicates: 1,
        seed: 1,
      },
      model: input.model.name,
      backend: 'cpu',
      compressor: 'fake',
      label: name,
      requested: compressor,
      effective: compressor,
      derived: {},
      invariant: !timed,
      noiseKind: null,
      noiseNo: null,
      batch: 1,
      workload: timed ? 'throughput' : 'generate',
      dataset: timed ? null : 'test',
      axes: { cell: name },
      isBaseline: input.baselines?.includes(name) ?? false,
      baselineKey: null,
      nPlanned: timed ? workload.throughput.repeats : nPrompts,
      estMs: null,
    };
  };
  const groups = input.groups.map(
    (scripts, groupNo): GroupPlan => ({
      engineKey: input.engineKey ?? 'fake-engine',
      queue: input.queue ?? engineQueue('cpu'),
      estMs: null,
      canary: input.canaries?.includes(groupNo) ?? false,
      cells: scripts.map((fake, i) => cell(fake, groupNo, i)),
    }),
  );
  const spec = { name: input.id, groups: input.groups as unknown as JsonObject[] };
  return {
    id: input.id,
    spec,
    specSha: sha(spec),
    provenance: {},
    limits: { maxFailures: null, cellTimeoutMs: 60_000, ...input.limits },
    promptSets: timed ? [] : [{ sha: promptSet, dataset: 'test', meta: {}, prompts }],
    models: [{ ...input.model, meta: {} }],
    groups,
  };
}
