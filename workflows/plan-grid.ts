/**
 * Grid -> cells, pure: every (model, compressor, batch size, workload) point once, a baseline for each point that
 * lacks one, noise cells per baseline, replicates per compressed cell. Names and parameters of compressors come resolved from the engine.
 */
import { canonicalJson } from './canonical-json.ts';
import type { Backend, CellRun, EngineWorkload, Json, JsonObject, ModelRef, WorkloadKind } from './contracts.ts';
import type { CellPlan } from './plan.ts';
import { estimateCellMs } from './plan-cost.ts';
import { compressorName, labelCompressors } from './plan-labels.ts';

export interface GridCompressor {
  /** As the user wrote it, one point of its axes: `{kivi: {bits: 4}}`. */
  requested: JsonObject;
  /** Every parameter resolved, by `gpu-runner resolve`. */
  effective: JsonObject;
  derived: JsonObject;
  /** What the engine is given, where that is not what the user wrote: `auto` artefacts by their hash. */
  run?: JsonObject;
  /** sha256 of each artefact that it names. */
  artefacts?: string[];
}

export interface GridModel {
  ref: ModelRef;
  /** Bytes of the weights, for the estimate. */
  bytes: number;
  /** One entry per compressor of the spec, resolved for this model's shape. */
  compressors: GridCompressor[];
  /** `none`, resolved. */
  baseline: GridCompressor;
}

export interface GridWorkload {
  kind: WorkloadKind;
  engine: EngineWorkload;
  scheduler: CellRun['scheduler'];
  invariant: boolean;
  invariantRows: number;
  promptSet: string | null;
  dataset: string | null;
  nPrompts: number;
  replicates: number;
  seed: number;
  /** The coordinates of this point of the workload, as the user wrote them. */
  axes: JsonObject;
  /** Batch sizes of this workload instead of the grid's. */
  batches?: (number | 'max')[];
  /** Bytes of cache and workspace that its engine may take. Absent = the engine's choice. */
  memoryLimit?: number;
}

export interface Grid {
  models: GridModel[];
  batches: (number | 'max')[];
  workloads: GridWorkload[];
  baselineReplicates: number;
  compressorReplicates: number;
  backend: Backend;
  threads: number | null;
  /** The engine's numerics string of the backend: changes whenever output bits may. */
  numerics: string;
  /** GPU name, or CPU name and threads: part of the key of `throughput` cells only. */
  deviceClass: string;
}

export interface PlannedCells {
  cells: CellPlan[];
  /** What the planner added or left out, one sentence each. */
  notes: string[];
}

interface Point {
  model: GridModel;
  compressor: GridCompressor;
  batch: number | 'max';
  workload: GridWorkload;
}

/** Plans the cells of a grid; `sha256` maps text to lower-case hex (injected: this folder imports nothing of Node). */
export function planGrid(grid: Grid, sha256: (text: string) => string): PlannedCells {
  const notes: string[] = [];
  const cells = new Map<string, CellPlan>();
  const labels = labelCompressors(grid.models.flatMap((m) => [...m.compressors, m.baseline]));
  let added = 0;
  let twice = 0;
  const repeats = { seed: 0, batch: 0 };
  for (const model of grid.models) {
    const hasBaseline = model.compressors.some(isBaseline);
    const compressors = hasBaseline ? model.compressors : [model.baseline, ...model.compressors];
    for (const workload of grid.workloads) {
      const batches = workload.batches ?? grid.batches;
      const larger = batches.filter((b): b is number => b !== 'max').sort((a, b) => a - b);
      for (const batch of batches) {
        if (batch === 'max' && workload.kind !== 'throughput') continue;
        const put = (cell: CellPlan) => (cells.has(cell.key) ? twice++ : cells.set(cell.key, cell));
        const baseline = cellOf(grid, { model, compressor: model.baseline, batch, workload }, labels, sha256);
        if (!hasBaseline) added++;
        for (const compressor of compressors) {
          const point = { model, compressor, batch, workload };
          const cell = cellOf(grid, point, labels, sha256);
          const isCompressed = !isBaseline(compressor);
          put(isCompressed ? { ...cell, isBaseline: false, baselineKey: baseline.key } : cell);
          if (!isCompressed || workload.kind !== 'generate' || batch === 'max') continue;
          for (let no = 1; no <= grid.compressorReplicates; no++) {
            const twin = twinCell(grid, point, cell, no, larger, labels, sha256);
            if (!cells.has(twin.key)) repeats[twin.noiseKind as 'seed' | 'batch']++;
            put({ ...twin, baselineKey: baseline.key, replicateOf: cell.key });
          }
        }
        if (workload.kind !== 'generate' || batch === 'max') continue;
        for (let no = 1; no <= grid.baselineReplicates; no++) {
          const point = { model, compressor: model.baseline, batch, workload };
          put({ ...twinCell(grid, point, baseline, no, larger, labels, sha256), baselineKey: baseline.key });
        }
      }
    }
  }
  if (added > 0) notes.push(`added ${added} baseline cells (compressor none), one per model, batch size and workload`);
  if (grid.compressorReplicates > 0) notes.push(...replicateNotes(grid, repeats));
  if (twice > 0) notes.push(`left out ${twice} cells that the grid holds more than once`);
  if (grid.workloads.some((w) => w.kind !== 'throughput' && (w.batches ?? grid.batches).includes('max'))) {
    notes.push('batch size max runs throughput workloads only');
  }
  return { cells: [...cells.values()], notes };
}

function replicateNotes(grid: Grid, { seed, batch }: { seed: number; batch: number }): string[] {
  if (seed + batch === 0)
    return ['compressor_replicates repeats compressed cells of generate workloads, and there is none'];
  const how = [
    ...(seed > 0 ? [`${seed} with other seeds`] : []),
    ...(batch > 0 ? [`${batch} not invariant, at other batch sizes`] : []),
  ];
  const notes = [`added ${seed + batch} replicates of compressed cells: ${how.join(', ')}`];
  if (grid.baselineReplicates === 0) {
    notes.push('robust negatives compare with replicates of the baseline too: set baseline_replicates to at least 1');
  }
  return notes;
}

function isBaseline(compressor: GridCompressor): boolean {
  return Object.keys(compressor.effective)[0] === 'none';
}

function cellOf(grid: Grid, p: Point, labels: Map<string, string>, sha256: (text: string) => string): CellPlan {
  const run: CellRun = {
    model: p.model.ref,
    backend: grid.backend,
    numerics: grid.numerics,
    threads: grid.threads,
    ...(p.workload.memoryLimit === undefined ? {} : { memory_limit: p.workload.memoryLimit }),
    compressor: p.compressor.run ?? p.compressor.requested,
    ...(p.compressor.artefacts?.length ? { artefacts: p.compressor.artefacts } : {}),
    batch: p.batch,
    scheduler: p.workload.scheduler,
    invariant: p.workload.invariant,
    invariant_rows: p.workload.invariantRows,
    workload: p.workload.engine,
    prompt_set: p.workload.promptSet,
    n_prompts: p.workload.nPrompts,
    replicates: p.workload.replicates,
    seed: p.workload.seed,
  };
  return planned(grid, p, run, null, 0, labels, sha256);
}

/**
 * A cell once more with one thing changed: with sampling the seeds; with greedy decoding the order of sums, by
 * `invariant: false` and another batch size: the no-th larger one of the sweep, past its end doubled. Of a baseline that is
 * a noise cell, of a compressed cell a replicate.
 */
function twinCell(
  grid: Grid,
  p: Point,
  original: CellPlan,
  no: number,
  batches: number[],
  labels: Map<string, string>,
  sha256: (text: string) => string,
): CellPlan {
  const sampled = 'generate' in p.workload.engine && !('greedy' in p.workload.engine.generate.sampling);
  const run: CellRun = sampled
    ? { ...original.run, seed: original.run.seed + no }
    : { ...original.run, invariant: false, batch: largerBatch(batches, p.batch as number, no) };
  return planned(grid, p, run, sampled ? 'seed' : 'batch', no, labels, sha256);
}

/** The `no`-th batch size above `batch` in ascending `batches`; past the end the last one doubled again and again. */
export function largerBatch(batches: number[], batch: number, no: number): number {
  const above = batches.filter((b) => b > batch);
  if (no <= above.length) return above[no - 1]!;
  return (above.at(-1) ?? batch) * 2 ** (no - above.length);
}

function planned(
  grid: Grid,
  p: Point,
  run: CellRun,
  noiseKind: 'seed' | 'batch' | null,
  noiseNo: number,
  labels: Map<string, string>,
  sha256: (text: string) => string,
): CellPlan {
  const { effective, derived, requested } = p.compressor;
  const key = sha256(canonicalJson(cellIdentity(grid, run, effective, noiseKind, noiseNo, sha256)));
  return {
    key,
    run,
    model: p.model.ref.name,
    backend: grid.backend,
    compressor: compressorName(effective),
    label: labels.get(canonicalJson(effective))!,
    requested,
    effective,
    derived,
    invariant: run.invariant,
    noiseKind,
    noiseNo: noiseKind ? noiseNo : null,
    batch: run.batch === 'max' ? null : run.batch,
    workload: p.workload.kind,
    dataset: p.workload.dataset,
    axes: {
      model: p.model.ref.name,
      compressor: requested,
      batch: p.batch,
      workload: p.workload.kind,
      ...p.workload.axes,
    },
    isBaseline: isBaseline(p.compressor) && noiseKind === null,
    baselineKey: null,
    nPlanned: 'throughput' in run.workload ? run.workload.throughput.repeats : run.n_prompts * run.replicates,
    estMs: estimateCellMs(run, p.model.bytes),
  };
}

/**
 * All that changes a cell's output, and nothing else: no paths, no names, no thread count (an invariant cell does not
 * depend on it) but for `throughput`, where the device is what is measured.
 */
export function cellIdentity(
  grid: Pick<Grid, 'deviceClass'>,
  run: CellRun,
  effective: JsonObject,
  noiseKind: string | null,
  noiseNo: number,
  sha256: (text: string) => string,
): JsonObject {
  return {
    version: 1,
    model: run.model.sha256,
    chat_template: run.model.chat_template === undefined ? null : sha256(run.model.chat_template),
    compressor: effective,
    batch: run.batch,
    // A given batch either fits or fails; only the search for the largest one gives another result in other memory.
    ...(run.batch === 'max' && run.memory_limit !== undefined ? { memory_limit: run.memory_limit } : {}),
    scheduler: run.scheduler,
    invariant: run.invariant,
    invariant_rows: run.invariant_rows,
    workload: run.workload as unknown as Json,
    prompt_set: run.prompt_set,
    replicates: run.replicates,
    seed: run.seed,
    backend: run.backend,
    numerics: run.numerics,
    noise: noiseKind === null ? null : { kind: noiseKind, no: noiseNo },
    device: 'throughput' in run.workload ? grid.deviceClass : null,
  };
}
