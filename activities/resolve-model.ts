/** Every compressor of a spec, resolved by the engine for one model; artefacts found or told missing. */

import type { Backend, Json, JsonObject } from '../workflows/contracts.ts';
import type { PromptSetPlan } from '../workflows/plan.ts';
import type { GridCompressor, GridModel } from '../workflows/plan-grid.ts';
import {
  type ArtefactIndex,
  artefactParameters,
  artefactsOf,
  type CalibrationPlace,
  type CalibrationSettings,
  calibrationInput,
  calibrationParameters,
  calibrationTokens,
  type MissingCalibration,
  PLACEHOLDER,
  replaceText,
  withArtefact,
} from './calibration-plan.ts';
import type { EngineList } from './engine-commands.ts';
import { type FoundModel, PlanError, type PlanningDeps } from './planning.ts';

export interface ResolveOptions {
  deps: PlanningDeps;
  engine: EngineList;
  backend: Backend;
  /** Null without a database. */
  artefacts: ArtefactIndex | null;
  calibration: CalibrationSettings;
  place: CalibrationPlace;
}

export interface ResolvedModel {
  model: GridModel;
  missing: MissingCalibration[];
}

/** All refusals are told at once. */
export async function resolveModel(
  model: FoundModel,
  compressors: readonly JsonObject[],
  options: ResolveOptions,
): Promise<ResolvedModel> {
  const parameters = artefactParameters(options.engine.compressors);
  const asked = [{ none: {} } as JsonObject, ...compressors];
  const probes = asked.map((compressor) => withArtefact(compressor, parameters, PLACEHOLDER));
  const answers = await options.deps.engine.resolve(probes, model.facts.shape);
  const refused = answers.flatMap((a, i) =>
    'error' in a ? [`compressor ${JSON.stringify(asked[i])}: ${a.error}`] : [],
  );
  if (refused.length > 0) throw new PlanError(refused.join('\n'));
  const missing = new Map<string, MissingCalibration>();
  let tokenSet: PromptSetPlan | null = null;

  const complete = async (
    requested: JsonObject,
    answer: Omit<GridCompressor, 'requested'>,
  ): Promise<GridCompressor> => {
    const named = artefactsOf(requested, parameters);
    if (named.length === 0) return { requested, ...answer };
    let run = requested;
    let effective: Json = answer.effective;
    const artefacts: string[] = [];
    for (const { method, sha } of named) {
      if (sha !== null) {
        if (options.artefacts !== null && !(await options.artefacts.has(sha))) {
          throw new PlanError(
            `compressor ${JSON.stringify(requested)}: no artefact ${sha} is stored; write auto, or make it with \`kvsweep compressors calibrate ${method}\``,
          );
        }
        artefacts.push(sha);
        continue;
      }
      tokenSet ??= await calibrationTokens(options.calibration, model, options.deps);
      const params = calibrationParameters(answer.effective, method, parameters);
      const input = calibrationInput(model, method, params, tokenSet.sha, options.place);
      const found = (await options.artefacts?.find(input.key)) ?? null;
      if (found === null) missing.set(input.key, { input, tokenSet });
      // Without an artefact the cell cannot run; its name then stands for the one that a launch will make.
      const name = found ?? `auto:${input.key}`;
      if (found !== null) artefacts.push(found);
      effective = replaceText(effective, PLACEHOLDER, name);
      run = withArtefact(run, parameters, name, method);
    }
    return { requested, ...answer, effective: effective as JsonObject, run, artefacts };
  };

  const resolved: GridCompressor[] = [];
  for (const [i, answer] of answers.entries()) resolved.push(await complete(asked[i]!, answer as GridCompressor));
  const [baseline, ...rest] = resolved;
  return {
    model: {
      ref: model.ref,
      bytes: model.facts.weightBytes[options.backend],
      compressors: rest,
      baseline: baseline!,
    },
    missing: [...missing.values()],
  };
}
