/** Lists in a spec multiply: `{kivi: {bits: [2, 4], group: 32}}` is two compressors. */
import type { Json, JsonObject } from './contracts.ts';

/** Every point of the grid that the lists among the values of `fields` span, first field slowest. */
export function expandFields(fields: JsonObject): JsonObject[] {
  return Object.entries(fields).reduce<JsonObject[]>(
    (points, [name, value]) => {
      const values = Array.isArray(value) ? value : [value];
      return points.flatMap((point) => values.map((v) => ({ ...point, [name]: v as Json })));
    },
    [{}],
  );
}

/** The compressors that one entry of a spec stands for: a name, `{name: params}` or `{compose: [entries]}`. */
export function expandCompressor(entry: string | JsonObject): JsonObject[] {
  if (typeof entry === 'string') return [{ [entry]: {} }];
  const [name, params] = Object.entries(entry)[0]!;
  if (name === 'compose' && Array.isArray(params)) {
    const parts = params.map((part) => expandCompressor(part as string | JsonObject));
    const combinations = parts.reduce<JsonObject[][]>(
      (all, part) => all.flatMap((c) => part.map((p) => [...c, p])),
      [[]],
    );
    return combinations.map((compose) => ({ compose }));
  }
  return expandFields((params ?? {}) as JsonObject).map((point) => ({ [name]: point }));
}
