/** Data sets in words for the terminal. Knows no data set but LongBench, whose sets have a table of their own. */

import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { METRICS, metricUnavailable } from '../analysis/metrics/index.ts';
import { EXPLANATIONS, FIELD_MEANINGS } from '../datasets/explain.ts';
import { DATASETS, GENERATORS } from '../datasets/index.ts';
import { LONGBENCH_SETS } from '../datasets/longbench-sets.ts';
import { KNOWN_TEMPLATE_FILES } from '../datasets/longbench-templates.ts';
import type { JsonObject } from '../workflows/contracts.ts';
import { renderTable } from './table.ts';

export interface Described {
  data: JsonObject;
  text: string;
}

/** All that is known of a kind. @param place where its files are looked for by default; null if nowhere */
export async function explainKind(kind: string, place: string | null): Promise<Described> {
  const row = DATASETS.find((d) => d.kind === kind)!;
  const told = EXPLANATIONS[kind]!;
  const fields = [...row.needs, ...row.accepts].map((field) => ({
    field,
    needed: row.needs.includes(field),
    meaning: FIELD_MEANINGS[field as keyof typeof FIELD_MEANINGS],
  }));
  const lines = [
    `${kind}: ${row.title}`,
    `format: ${told.format}`,
    `how to get it: ${told.get}`,
    ...(place === null ? [] : [`looked for: ${place}${existsSync(place) ? '' : ' (missing)'}`]),
    `licence: ${told.licence}`,
    '',
    `  ${told.example}`,
    '',
    renderTable(fields.map(({ field, needed, meaning }) => ({ field, '': needed ? 'needed' : '', meaning }))),
  ];
  const data: JsonObject = { kind, title: row.title, ...told, place, fields };
  if (kind === 'gen') {
    lines.push('', renderTable(GENERATORS.map(({ name, about }) => ({ task: name, about }))));
    data.tasks = GENERATORS.map((g) => ({ ...g }));
  }
  if (kind === 'longbench') {
    const sets = await longBenchSets(place!);
    const template = await longBenchTemplate(place!);
    lines.push('', renderTable(sets), '', `templates: ${template.text}`);
    Object.assign(data, { sets, template: template.data });
  }
  return { data, text: lines.join('\n') };
}

/** The table of sets with what lies in the folder; records are counted as lines. */
export async function longBenchSets(folder: string): Promise<JsonObject[]> {
  return await Promise.all(
    LONGBENCH_SETS.map(async ({ name, taskType, metric, variant, maxNew, chat, stop, records, artifact }) => {
      const found = await countLines(join(folder, `${name}.jsonl`));
      return {
        set: name,
        'task type': taskType,
        metric,
        variant: variant ?? '',
        'max new': maxNew,
        chat: chat ? 'yes' : 'no',
        stop: stop === undefined ? '' : JSON.stringify(stop),
        artifact: artifact ? 'yes' : '',
        records,
        here: found ?? 'missing',
      };
    }),
  );
}

async function longBenchTemplate(folder: string): Promise<{ text: string; data: JsonObject }> {
  const path = join(folder, 'dataset2prompt.json');
  const bytes = await readFile(path).catch(() => null);
  if (bytes === null) {
    return { text: `ours (kvsweep-lb-1); ${path} is missing`, data: { path, sha256: null, origin: null } };
  }
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const origin = KNOWN_TEMPLATE_FILES[sha256] ?? null;
  return { text: `${path} (${origin ?? 'of unknown origin'}, sha256 ${sha256})`, data: { path, sha256, origin } };
}

/** Lines of a file; null if there is none. */
async function countLines(path: string): Promise<number | null> {
  const file = await open(path).catch(() => null);
  if (file === null) return null;
  try {
    const chunk = Buffer.alloc(1 << 20);
    let lines = 0;
    let last = 0x0a;
    for (;;) {
      const { bytesRead } = await file.read(chunk, 0, chunk.length);
      if (bytesRead === 0) return lines + (last === 0x0a ? 0 : 1);
      for (let at = chunk.indexOf(0x0a); at >= 0 && at < bytesRead; at = chunk.indexOf(0x0a, at + 1)) lines++;
      last = chunk[bytesRead - 1]!;
    }
  } finally {
    await file.close();
  }
}

/** The table of metrics. */
export function explainMetrics(): Described {
  const rows = METRICS.map(({ name, about, variants, over, gives }) => ({
    metric: name,
    variants: variants.filter((v) => v !== '').join(', '),
    references: over === 'best' ? 'best of' : 'all of',
    about: gives && !gives.includes(name) ? `${about} (rows ${gives.join(', ')})` : about,
    here: metricUnavailable(name) ?? 'yes',
  }));
  return { data: { metrics: rows }, text: renderTable(rows) };
}
