/**
 * Planning that has to look at the world: models and their hashes, compressors resolved by the engine, prompt sets
 * from data sets. What it finds goes into the pure planner (`workflows/plan-grid.ts`).
 */
import { existsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { loadDataset, type PromptLimits, type PromptSet } from '../datasets/index.ts';
import type { ModelRef } from '../workflows/contracts.ts';
import type { ModelPlan, PromptSetPlan } from '../workflows/plan.ts';
import { encodeTexts, type Tokenizer } from './count-tokens.ts';
import type { EngineCommands } from './engine-commands.ts';
import { fileSha256, MODELS, modelCandidates, modelName } from './model-catalogue.ts';
import { type ModelFacts, modelFacts } from './model-shape.ts';
import { datasetRef } from './named-datasets.ts';
import { PlanError } from './plan-error.ts';

export { PlanError } from './plan-error.ts';

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

export interface PromptRequest {
  dataset: string | { kind: string };
  /** The first so many; all if absent. */
  prompts?: number;
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
    ...(request.prompts === undefined ? {} : { prompts: request.prompts }),
    seed: request.seed,
    ...(model.facts.context === null ? {} : { context: model.facts.context }),
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
