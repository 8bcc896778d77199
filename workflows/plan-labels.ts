/** Short names of compressor configurations, unique within a sweep: `none`, `kivi-4`, `streaming_llm-128`. */
import { canonicalJson } from './canonical-json.ts';
import type { Json, JsonObject } from './contracts.ts';
import { groupBy } from './group-by.ts';

interface Configuration {
  requested: JsonObject;
  effective: JsonObject;
  derived: JsonObject;
}

interface Named {
  key: string;
  /** The budget that the engine derives says most about a method; else its first parameter. */
  head: string[];
  requested: Record<string, Json>;
  effective: Record<string, Json>;
}

/**
 * Labels by canonical effective configuration. Per method the first naming that tells all its configurations apart:
 * the head; head and the requested parameters that differ; every effective parameter that differs.
 */
export function labelCompressors(configurations: Configuration[]): Map<string, string> {
  const distinct = new Map(configurations.map((c) => [canonicalJson(c.effective), c]));
  const labels = new Map<string, string>();
  for (const [family, members] of groupBy([...distinct], ([, c]) => compressorName(c.effective))) {
    const all = members.map(([key, c]) => named(key, c));
    const namings: ((c: Named) => string[])[] = [
      (c) => c.head,
      (c) => [...c.head, ...differing(all, 'requested').map((name) => text(c.requested[name]))],
      (c) => differing(all, 'effective').map((name) => text(c.effective[name])),
    ];
    const naming = namings.find((f) => new Set(all.map((c) => f(c).join('-'))).size === all.length) ?? namings[2]!;
    for (const c of all) labels.set(c.key, [family, ...new Set(naming(c))].join('-'));
  }
  return labels;
}

/** `kivi`; for a composition the parts: `snapkv+kivi`. */
export function compressorName(config: JsonObject): string {
  const [name, params] = Object.entries(config)[0]!;
  return name === 'compose' ? (params as JsonObject[]).map(compressorName).join('+') : name;
}

function named(key: string, c: Configuration): Named {
  const requested = leaves(c.requested);
  const budget = c.derived.budget;
  const first = typeof budget === 'number' ? budget : Object.values(requested)[0];
  return { key, head: first === undefined ? [] : [text(first)], requested, effective: leaves(c.effective) };
}

function differing(all: Named[], side: 'requested' | 'effective'): string[] {
  const names = new Set(all.flatMap((c) => Object.keys(c[side])));
  return [...names].filter((name) => new Set(all.map((c) => text(c[side][name]))).size > 1);
}

/** Parameters of a configuration by `method.parameter`; an empty parameter list has none. */
function leaves(value: Json, path = ''): Record<string, Json> {
  if (value === null || typeof value !== 'object') return { [path]: value };
  return Object.assign({}, ...Object.entries(value).map(([k, v]) => leaves(v as Json, path ? `${path}.${k}` : k)));
}

function text(value: Json | undefined): string {
  return value === undefined ? '' : String(value);
}
