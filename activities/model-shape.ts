import { z } from 'zod';
import type { JsonObject } from '../workflows/contracts.ts';
import type { ModelShape } from './engine-commands.ts';

/** The facts of a model file that planning uses, of the engine's `inspect`. */
export interface ModelFacts {
  shape: ModelShape | null;
  /** Trained context length in tokens; null if the file does not say. */
  context: number | null;
  weightBytes: { cpu: number; cuda: number };
  /** The template of the file; null if it has none. */
  chatTemplate: string | null;
  /** Token ids that end an answer; null if the engine does not say. */
  endIds: number[] | null;
  meta: JsonObject;
}

const inspection = z.looseObject({
  sha256: z.string(),
  file_bytes: z.number(),
  architecture: z.string().nullable(),
  metadata: z.record(z.string(), z.json()),
  weights: z.looseObject({ parameters: z.number(), cpu_bytes: z.number(), cuda_bytes: z.number() }),
  chat_template: z.string().nullable(),
  vocabulary: z.looseObject({ add_bos: z.boolean(), bos: z.int().nullable(), end_ids: z.array(z.int()) }).nullish(),
});

/** Reads what `inspect --json` says. The shape follows the GGUF keys; it only serves early checks by `resolve`. */
export function modelFacts(raw: JsonObject): ModelFacts {
  const facts = inspection.parse(raw);
  const arch = facts.architecture ?? '';
  const number = (key: string) => {
    const value = facts.metadata[`${arch}.${key}`];
    return typeof value === 'number' ? value : null;
  };
  const layers = number('block_count');
  const qHeads = number('attention.head_count');
  const width = number('embedding_length');
  const headDim = number('attention.key_length') ?? (width !== null && qHeads !== null ? width / qHeads : null);
  const shape =
    layers !== null && qHeads !== null && headDim !== null
      ? { layers, q_heads: qHeads, kv_heads: number('attention.head_count_kv') ?? qHeads, head_dim: headDim }
      : null;
  return {
    shape,
    context: number('context_length'),
    weightBytes: { cpu: facts.weights.cpu_bytes, cuda: facts.weights.cuda_bytes },
    chatTemplate: facts.chat_template,
    endIds: facts.vocabulary?.end_ids ?? null,
    meta: {
      architecture: facts.architecture,
      parameters: facts.weights.parameters,
      file_bytes: facts.file_bytes,
      context: number('context_length'),
      chat_template: facts.chat_template,
      ...(facts.vocabulary
        ? { bos: { id: facts.vocabulary.bos, added: facts.vocabulary.add_bos }, end_ids: facts.vocabulary.end_ids }
        : {}),
    },
  };
}
