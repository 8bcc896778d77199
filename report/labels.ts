/** Every label of a report, in one order. */
import type { Colors } from './marks.ts';
import type { ReportModel } from './model.ts';
import { colorsOf } from './palette.ts';

/** Labels of the whole report, the baseline first: a label keeps its colour from chart to chart. */
export function labelsOf(model: ReportModel): { labels: string[]; colors: Colors } {
  const points = model.throughputs.flatMap((setting) => setting.points);
  const base = new Set(
    [...points, ...model.perplexities, ...model.memory].filter((p) => p.isBaseline).map((p) => p.label),
  );
  for (const setting of model.generations) {
    const compressed = new Set(setting.latencies.concat().map((e) => e.label));
    for (const entry of setting.lengths) compressed.add(entry.label);
    for (const cache of setting.caches) if (!compressed.has(cache.label)) base.add(cache.label);
  }
  const all = [
    ...base,
    ...model.generations.flatMap((setting) => setting.lengths.map((entry) => entry.label)),
    ...points.map((point) => point.label),
    ...model.perplexities.map((row) => row.label),
    ...model.memory.map((row) => row.label),
    ...model.negatives.flatMap((setting) => setting.rows.map((row) => row.label)),
    ...model.kept.map((map) => map.label),
  ];
  const labels = [...new Set(all)];
  return { labels, colors: colorsOf(labels, (label) => base.has(label)) };
}
