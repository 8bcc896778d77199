/**
 * Planning that has to look at the world: models and their hashes, compressors resolved by the engine, prompt sets
 * from data sets. What it finds goes into the pure planner (`workflows/plan-grid.ts`).
 */
import { existsSync } from 'node:fs';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { type DatasetRef, loadDataset, type PromptLimits, type PromptSet } from '../datasets/index.ts';
import type { ModelRef } from '../workflows/contracts.ts';
import type { ModelPlan, PromptSetPlan } from '../workflows/plan.ts';
import { encodeTexts, type Tokenizer } from './count-tokens.ts';
import type { EngineCommands } from './engine-commands.ts';
import { fileSha256, MODELS, modelCandidates, modelName } from './model-catalogue.ts';
import { type ModelFacts, modelFacts } from './model-shape.ts';

/** What a spec asks for cannot be had: a sentence with the remedy. */
export class PlanError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'PlanError';
  }
}

export interface FoundModel {
  ref: ModelRef;
  facts: ModelFacts;
  plan: ModelPlan;
}

export interface ModelRequest {
  path: string;
  name?: string;
  chat_template?: string;
}

export interface PlanningDeps {
  engine: EngineCommands;
  engineEnvironment: Record<string, string>;
  modelFolders: string[];
  dataFolder: string;
  /** Folder of the spec: paths in it are relative to this. */
  specFolder: string;
  /** Where hashes of model files are kept. */
  hashCache: string;
}

/** Finds a model file, hashes it and asks the engine what it is. */
export async function findModel(request: ModelRequest, deps: PlanningDeps): Promise<FoundModel> {
  const candidates = modelCandidates(request.path, deps.modelFolders, deps.specFolder);
  const path = candidates.find((file) => existsSync(file));
  if (path === undefined) {
    const known = MODELS.map((m) => m.name).join(', ');
    throw new PlanError(
      `model '${request.path}' was not found (looked for ${candidates.join(', ')}); give the path of a .gguf file or a known name (${known}), ` +
        'and run `npm run bootstrap` to fetch the known ones',
    );
  }
  const { sha256 } = await fileSha256(path, deps.hashCache);
  const facts = modelFacts(await deps.engine.inspect(path));
  const known = MODELS.find((m) => m.name === request.path);
  const name = request.name ?? known?.name ?? modelName(path);
  const ref: ModelRef = {
    name,
    path,
    sha256,
    ...(request.chat_template === undefined ? {} : { chat_template: request.chat_template }),
  };
  return { ref, facts, plan: { sha256, name, path, meta: facts.meta } };
}

/** Data sets known by name: a reference with its file in the data folder. */
const NAMED_DATASETS: Record<string, { ref: Omit<DatasetRef, 'path'>; file?: string }> = {
  sharegpt: { ref: { kind: 'sharegpt' }, file: 'ShareGPT_V3_unfiltered_cleaned_split.json' },
  fixed_text: { ref: { kind: 'sharegpt_text', part: 'evaluation' }, file: 'ShareGPT_V3_unfiltered_cleaned_split.json' },
  calibration_text: {
    ref: { kind: 'sharegpt_text', part: 'calibration' },
    file: 'ShareGPT_V3_unfiltered_cleaned_split.json',
  },
  open_ended: { ref: { kind: 'gen', task: 'open_ended' } },
  needle: { ref: { kind: 'gen', task: 'niah_single_2', length: 640, new_tokens: 32 } },
};

export function namedDatasets(dataFolder: string): { name: string; ref: DatasetRef; present: boolean }[] {
  return Object.entries(NAMED_DATASETS).map(([name, { ref, file }]) => {
    const path = file === undefined ? undefined : join(dataFolder, file);
    return { name, ref: { ...ref, ...(path ? { path } : {}) }, present: path === undefined || existsSync(path) };
  });
}

/** The reference that a spec's `dataset` stands for; its file must be there. */
export function datasetRef(
  dataset: string | { kind: string },
  deps: Pick<PlanningDeps, 'dataFolder' | 'specFolder'>,
): DatasetRef {
  if (typeof dataset === 'string') {
    const known = namedDatasets(deps.dataFolder);
    const found = known.find((d) => d.name === dataset);
    if (!found)
      throw new PlanError(
        `unknown data set '${dataset}'; known are ${known.map((d) => d.name).join(', ')}, or give {kind, path}`,
      );
    if (!found.present)
      throw new PlanError(`data set '${dataset}' needs ${found.ref.path}, which is missing; run \`npm run bootstrap\``);
    return found.ref;
  }
  const ref = { ...dataset } as DatasetRef;
  if (ref.path !== undefined) {
    ref.path = isAbsolute(ref.path) ? ref.path : resolve(deps.specFolder, ref.path);
    if (!existsSync(ref.path)) throw new PlanError(`data set file ${ref.path} does not exist`);
  }
  return ref;
}

export interface PromptRequest {
  dataset: string | { kind: string };
  prompts: number;
  seed: number;
  limits: PromptLimits;
  chat: boolean;
}

/** Loads a prompt set; limits in tokens are counted with the model's own tokenizer. */
export async function loadPromptSet(
  request: PromptRequest,
  model: FoundModel,
  deps: PlanningDeps,
): Promise<{ plan: PromptSetPlan; warnings: string[] }> {
  const ref = datasetRef(request.dataset, deps);
  const tokenizer = tokenizerOf(model, deps);
  const set: PromptSet = await loadDataset(ref, {
    prompts: request.prompts,
    seed: request.seed,
    ...request.limits,
    countTokens: async (prompts) => {
      const texts = prompts.map((p) => p.prompt ?? p.messages!.map((m) => m.content).join('\n'));
      return (await encodeTexts(tokenizer, texts, request.chat)).map((ids) => ids.length);
    },
  });
  const { sha, dataset, meta, prompts, warnings } = set;
  return { plan: { sha, dataset, meta, prompts }, warnings };
}

export function tokenizerOf(model: FoundModel, deps: Pick<PlanningDeps, 'engine' | 'engineEnvironment'>): Tokenizer {
  return {
    enginePath: deps.engine.path,
    environment: deps.engineEnvironment,
    modelPath: model.ref.path,
    ...(model.ref.chat_template === undefined ? {} : { chatTemplate: model.ref.chat_template }),
  };
}

export function specFolderOf(specFile: string): string {
  return dirname(resolve(specFile));
}
