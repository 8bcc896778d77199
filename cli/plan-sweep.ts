/** A checked spec -> the plan of a sweep: models found, compressors resolved, prompts loaded, cells and groups laid out. */
import { createHash } from 'node:crypto';
import { type ArtefactIndex, DEFAULT_CALIBRATION, type MissingCalibration } from '../activities/calibration-plan.ts';
import { completeGenerate } from '../activities/complete-workload.ts';
import { encodeTexts } from '../activities/count-tokens.ts';
import type { EngineList } from '../activities/engine-commands.ts';
import {
  type FoundModel,
  findModel,
  loadPromptSet,
  PlanError,
  type PlanningDeps,
  tokenizerOf,
} from '../activities/planning.ts';
import { resolveModel } from '../activities/resolve-model.ts';
import { canonicalJson } from '../workflows/canonical-json.ts';
import type { Backend, CellRun, EngineWorkload, JsonObject } from '../workflows/contracts.ts';
import { expandCompressor } from '../workflows/expand-axes.ts';
import type { CellPlan, FailureLimit, PromptSetPlan, SweepPlan } from '../workflows/plan.ts';
import { type GridWorkload, planGrid } from '../workflows/plan-grid.ts';
import { planGroups } from '../workflows/plan-groups.ts';
import { engineQueue } from '../workflows/queues.ts';
import type { Spec } from './spec-schema.ts';
import { type WorkloadPoint, workloadPoints } from './spec-workloads.ts';

export interface PlanInput {
  spec: Spec;
  id: string;
  deps: PlanningDeps;
  engine: EngineList;
  backend: Backend;
  /** CPU or GPU name with threads: part of the key of `throughput` cells. */
  deviceClass: string;
  provenance: JsonObject;
  /** What is stored of artefacts; null without a database. */
  artefacts: ArtefactIndex | null;
}

export interface PlannedSweep {
  plan: SweepPlan;
  notes: string[];
  /** Artefacts that have to be made before the cells that name them have a key. */
  missing: MissingCalibration[];
}

/** @throws PlanError with a sentence per refusal */
export async function planSweep(input: PlanInput): Promise<PlannedSweep> {
  const { spec, deps, backend } = input;
  const numerics = numericsOf(input.engine, backend);
  const compressors = spec.compressors.flatMap((c) => expandCompressor(c as string | JsonObject));
  const found: FoundModel[] = [];
  for (const model of spec.models) {
    found.push(await findModel(typeof model === 'string' ? { path: model } : withoutUndefined(model), deps));
  }
  checkNames(found);
  const queue = engineQueue(backend);
  const models = [];
  const missing: MissingCalibration[] = [];
  for (const model of found) {
    const load = { model: model.ref, backend, threads: null };
    const resolved = await resolveModel(model, compressors, {
      deps,
      engine: input.engine,
      backend,
      artefacts: input.artefacts,
      calibration: { ...DEFAULT_CALIBRATION, ...withoutUndefined(spec.calibration ?? {}) },
      place: { backend, numerics, queue, engineKey: engineKey(load, input.engine) },
    });
    models.push(resolved.model);
    missing.push(...resolved.missing);
  }
  const notes = missing.map(({ input: { model, compressor }, tokenSet }) => {
    const made = `${tokenSet.prompts.length} x ${tokenSet.prompts[0]!.tokens!.length} tokens of ${tokenSet.dataset}`;
    return `the artefact of ${JSON.stringify(compressor)} for ${model.name} is not made yet: launch makes it from ${made}`;
  });
  const promptSets = new Map<string, PromptSetPlan>();
  const cells: CellPlan[] = [];
  // Prompts that are chosen or cut by token counts differ per model, so the grid is planned model by model.
  for (const [i, model] of found.entries()) {
    const workloads: GridWorkload[] = [];
    for (const point of workloadPoints(spec)) {
      checkContext(point, point.workload.engine, model);
      notes.push(...point.notes);
      const set = point.prompts === null ? null : await promptsOf(point, model, deps, notes);
      if (set) promptSets.set(set.sha, set);
      const engine = await completed(point, set, model, deps);
      checkContext(point, engine, model);
      workloads.push({
        ...point.workload,
        engine,
        promptSet: set?.sha ?? null,
        dataset: set?.dataset ?? null,
        nPrompts: set?.prompts.length ?? 0,
      });
    }
    const planned = planGrid(
      {
        models: [models[i]!],
        batches: [...new Set(spec.batch_sizes)],
        workloads,
        baselineReplicates: spec.baseline_replicates,
        compressorReplicates: spec.compressor_replicates,
        backend,
        threads: spec.threads ?? null,
        numerics,
        deviceClass: input.deviceClass,
      },
      sha256,
    );
    cells.push(...planned.cells);
    notes.push(...planned.notes);
  }
  if (cells.length === 0) throw new PlanError('the grid is empty: batch size max needs a throughput workload');
  const groups = planGroups(cells, (cell) => ({ queue, engineKey: engineKey(cell.run, input.engine) }));
  const { name: _, ...rest } = spec;
  const stored = { name: input.id, ...rest } as unknown as JsonObject;
  return {
    plan: {
      id: input.id,
      spec: clean(stored),
      specSha: sha256(canonicalJson(clean(stored))),
      provenance: input.provenance,
      limits: {
        maxFailures: failureLimit(spec.limits.max_failures),
        cellTimeoutMs: durationMs(spec.limits.cell_timeout),
      },
      promptSets: [...promptSets.values()],
      models: found.map((m) => m.plan),
      groups,
    },
    notes: [...new Set(notes)],
    missing,
  };
}

/** The numerics version of a backend; a build without that backend is refused, never replaced by another. */
export function numericsOf(engine: EngineList, backend: Backend): string {
  const numerics = engine.numerics[backend];
  if (numerics !== undefined) return numerics;
  const has = Object.keys(engine.numerics).join(', ') || 'none';
  throw new PlanError(
    `backend ${backend}: this build of the engine has no such backend (it has ${has}); write backend: cpu or auto`,
  );
}

/** What a warm engine is loaded with; cells of equal keys share a process. */
export function engineKey(
  { model, backend, threads, memory_limit }: Pick<CellRun, 'model' | 'backend' | 'threads' | 'memory_limit'>,
  engine: EngineList,
): string {
  return canonicalJson({
    engine: engine.build ?? engine.engine ?? null,
    model: model.sha256,
    chat_template: model.chat_template === undefined ? null : sha256(model.chat_template),
    backend,
    threads,
    ...(memory_limit === undefined ? {} : { memory_limit }),
  });
}

async function promptsOf(
  point: WorkloadPoint,
  model: FoundModel,
  deps: PlanningDeps,
  notes: string[],
): Promise<PromptSetPlan> {
  const { plan, warnings } = await loadPromptSet(point.prompts!, model, deps);
  notes.push(...warnings);
  if (point.cut === null) return plan;
  const { prompt, continuation } = point.cut;
  const texts = plan.prompts.map((p) => p.prompt ?? p.messages!.map((m) => m.content).join('\n'));
  const ids = await encodeTexts(tokenizerOf(model, deps), texts, false);
  const prompts = plan.prompts.map((p, i) => ({
    key: p.key,
    tokens: ids[i]!.slice(0, prompt),
    meta: { continuation_tokens: ids[i]!.slice(prompt, prompt + continuation) },
    ...(p.taskType === undefined ? {} : { taskType: p.taskType }),
  }));
  return { ...plan, sha: sha256(canonicalJson(clean(prompts as unknown as JsonObject))), prompts };
}

async function completed(
  { workload: { engine }, wishes }: WorkloadPoint,
  set: PromptSetPlan | null,
  model: FoundModel,
  deps: PlanningDeps,
): Promise<EngineWorkload> {
  if (!('generate' in engine) || wishes === null) return engine;
  return { generate: await completeGenerate(engine.generate, wishes, set?.prompts ?? [], model, deps) };
}

function checkNames(models: FoundModel[]): void {
  for (const model of models) {
    const same = models.filter((m) => m.ref.name === model.ref.name);
    if (same.length > 1)
      throw new PlanError(`${same.length} models are named '${model.ref.name}'; give each {path, name} of its own`);
  }
}

/** What can never run is refused before anything starts. */
function checkContext(point: WorkloadPoint, engine: EngineWorkload, model: FoundModel): void {
  const { context } = model.facts;
  if (context === null) return;
  const need =
    'throughput' in engine
      ? engine.throughput.prompt_tokens + engine.throughput.new_tokens + 1
      : 'generate' in engine
        ? engine.generate.max_new_tokens + 1
        : point.cut!.prompt + point.cut!.continuation;
  if (need > context) {
    throw new PlanError(
      `${point.workload.kind} ${canonicalJson(point.workload.axes)} needs ${need} tokens, the context of model ${model.ref.name} is ${context}; ask for fewer`,
    );
  }
}

export function failureLimit(text: number | string): FailureLimit | null {
  if (typeof text === 'number') return { count: text };
  const percent = Number.parseFloat(text);
  return percent >= 100 ? null : { percent };
}

const UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

export function durationMs(text: string): number {
  const [, value, unit] = /^([\d.]+)\s*(ms|s|m|h|d)$/.exec(text)!;
  return Math.round(Number(value) * UNITS[unit as keyof typeof UNITS]);
}

/** Absent optional fields are `undefined` after zod; canonical JSON refuses them on purpose. */
function clean<T>(value: T): T {
  return JSON.parse(JSON.stringify(value)) as T;
}

function withoutUndefined<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, v]) => v !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>;
  };
}

function sha256(text: string): string {
  return createHash('sha256').update(text, 'utf8').digest('hex');
}
