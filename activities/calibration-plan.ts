/**
 * `auto` artefacts in planning. A parameter whose type in the registry is `sha256` names an artefact; a spec may write
 * `auto`, and then it is the one that belongs to (model, method, parameters, token set, numerics). Knows no method.
 */
import { createHash } from 'node:crypto';
import { canonicalJson } from '../workflows/canonical-json.ts';
import type { Backend, CalibrateInput, Json, JsonObject } from '../workflows/contracts.ts';
import type { PromptSetPlan } from '../workflows/plan.ts';
import { encodeTexts } from './count-tokens.ts';
import type { CompressorRow } from './engine-commands.ts';
import { type FoundModel, loadPromptSet, PlanError, type PlanningDeps, tokenizerOf } from './planning.ts';

const AUTO = 'auto';
const SHA256 = /^[0-9a-f]{64}$/;
/** Stands for an artefact while the engine checks the other parameters. */
export const PLACEHOLDER = '0'.repeat(64);

/** What is stored of artefacts; null where no database is reachable. */
export interface ArtefactIndex {
  find(calibrationKey: string): Promise<string | null>;
  has(sha256: string): Promise<boolean>;
}

export interface CalibrationSettings {
  dataset: string | { kind: string };
  sequences: number;
  tokens: number;
}

/** Of the published calibration: 16 sequences of 2,048 tokens, from texts that no evaluation uses. */
export const DEFAULT_CALIBRATION: CalibrationSettings = { dataset: 'calibration_text', sequences: 16, tokens: 2048 };

/** An artefact that a launch has to make, with the tokens to make it from. */
export interface MissingCalibration {
  input: CalibrateInput;
  tokenSet: PromptSetPlan;
}

/** Parameters that name an artefact, by method. */
export function artefactParameters(rows: readonly CompressorRow[]): Map<string, string[]> {
  const named = rows.map(
    (row) => [row.name, row.params.filter((p) => p.type === 'sha256').map((p) => p.name)] as const,
  );
  return new Map(named.filter(([, names]) => names.length > 0).map(([name, names]) => [name, [...names]]));
}

/** The parts of a compressor: one method, or the members of a composition. */
function partsOf(compressor: JsonObject): [method: string, params: JsonObject][] {
  return Object.entries(compressor).flatMap(([name, params]) =>
    name === 'compose' && Array.isArray(params)
      ? params.flatMap((part) => partsOf(part as JsonObject))
      : [[name, (params ?? {}) as JsonObject] as [string, JsonObject]],
  );
}

interface NamedArtefact {
  method: string;
  /** Null = `auto`. */
  sha: string | null;
}

/** The artefacts that a compressor names. */
export function artefactsOf(compressor: JsonObject, parameters: ReadonlyMap<string, string[]>): NamedArtefact[] {
  return partsOf(compressor).flatMap(([method, params]) =>
    (parameters.get(method) ?? []).flatMap((name): NamedArtefact[] => {
      const value = params[name];
      if (value === AUTO) return [{ method, sha: null }];
      return typeof value === 'string' && SHA256.test(value) ? [{ method, sha: value }] : [];
    }),
  );
}

/** The compressor with `sha` in place of every `auto` of `method` (of all methods without it). */
export function withArtefact(
  compressor: JsonObject,
  parameters: ReadonlyMap<string, string[]>,
  sha: string,
  method?: string,
): JsonObject {
  return Object.fromEntries(
    Object.entries(compressor).map(([name, params]) => {
      if (name === 'compose' && Array.isArray(params))
        return [name, params.map((part) => withArtefact(part as JsonObject, parameters, sha, method))];
      const own = method === undefined || method === name ? (parameters.get(name) ?? []) : [];
      const auto = own.filter((p) => (params as JsonObject | null)?.[p] === AUTO);
      return [
        name,
        auto.length === 0 ? params! : { ...(params as JsonObject), ...Object.fromEntries(auto.map((p) => [p, sha])) },
      ];
    }),
  );
}

/** The effective parameters of one method without its artefacts: what an artefact depends on. */
export function calibrationParameters(
  effective: JsonObject,
  method: string,
  parameters: ReadonlyMap<string, string[]>,
): JsonObject {
  const [, params] = partsOf(effective).find(([name]) => name === method)!;
  const artefacts = parameters.get(method) ?? [];
  return Object.fromEntries(Object.entries(params).filter(([name]) => !artefacts.includes(name)));
}

/** Every text `from` inside a JSON value replaced by `to`. */
export function replaceText(value: Json, from: string, to: string): Json {
  if (value === from) return to;
  if (Array.isArray(value)) return value.map((item) => replaceText(item, from, to));
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, replaceText(v, from, to)]));
}

/** The token sequences of a calibration, as a prompt set: equal texts and tokenizers give equal hashes. */
export async function calibrationTokens(
  settings: CalibrationSettings,
  model: FoundModel,
  deps: PlanningDeps,
): Promise<PromptSetPlan> {
  const { dataset, sequences } = settings;
  const tokens = Math.min(settings.tokens, model.facts.context ?? settings.tokens);
  const request = { dataset, prompts: sequences, seed: 42, limits: { minPromptTokens: tokens }, chat: false };
  const { plan } = await loadPromptSet(request, model, deps);
  if (plan.prompts.length < sequences) {
    throw new PlanError(
      `calibration needs ${sequences} texts of at least ${tokens} tokens, data set ${plan.dataset} has ${plan.prompts.length}; ask for fewer or shorter ones`,
    );
  }
  const texts = plan.prompts.map((p) => p.prompt ?? p.messages!.map((m) => m.content).join('\n'));
  const ids = await encodeTexts(tokenizerOf(model, deps), texts, false);
  const prompts = plan.prompts.map((p, i) => ({ key: p.key, tokens: ids[i]!.slice(0, tokens) }));
  const meta: JsonObject = { ...plan.meta, calibration: { sequences, tokens } };
  return { sha: sha256(canonicalJson(prompts as unknown as Json)), dataset: plan.dataset, meta, prompts };
}

export interface CalibrationPlace {
  backend: Backend;
  numerics: string;
  queue: string;
  engineKey: string;
}

/** The whole question that an artefact answers. */
export function calibrationInput(
  model: FoundModel,
  method: string,
  params: JsonObject,
  tokenSet: string,
  place: CalibrationPlace,
): CalibrateInput {
  const compressor = { [method]: params };
  const key = sha256(
    canonicalJson({ version: 1, model: model.ref.sha256, compressor, token_set: tokenSet, numerics: place.numerics }),
  );
  return { key, ...place, threads: null, model: model.ref, compressor, tokenSet };
}

function sha256(text: string): string {
  return createHash('sha256').update(text, 'utf8').digest('hex');
}
