/** Everything that makes a number traceable, as name and value. */
import { createHash } from 'node:crypto';
import { stringify } from 'yaml';
import type { Db } from '../activities/database.ts';
import type { SweepRow } from '../activities/ledger.ts';
import type { Json, JsonObject } from '../workflows/contracts.ts';
import type { Provenance } from './model.ts';
import { type CellLine, estimateLines, modelMeta, promptSetMeta } from './queries.ts';

type Fact = [name: string, value: string];

export async function provenanceOf(db: Db, sweep: SweepRow, cells: readonly CellLine[]): Promise<Provenance> {
  const models = await modelMeta(db, unique(cells.map((cell) => cell.model_sha)));
  const sets = await promptSetMeta(db, unique(cells.map((cell) => cell.prompt_set)));
  return {
    specSha: sweep.specSha,
    spec: stringify(sweep.spec),
    versions: [...flat(sweep.provenance, ['spec_text']), ...engines(cells)],
    hosts: hosts(cells),
    models: models.map(({ name, sha, meta }) => ({
      name,
      sha256: sha,
      facts: [...templateFacts(meta), ...flat(meta, ['chat_template'])],
    })),
    promptSets: sets.map(({ sha, dataset, size, meta }) => ({
      dataset,
      sha256: sha,
      facts: [['prompts', String(size)], ...flat(meta)],
    })),
    configurations: configurations(cells),
    settings: await settings(db, cells),
  };
}

function unique<T>(values: readonly (T | null)[]): T[] {
  return [...new Set(values)].filter((v): v is T & {} => v !== null && v !== undefined);
}

/** Nested objects as dotted names; absent values are left out. */
export function flat(object: JsonObject, without: readonly string[] = [], prefix = ''): Fact[] {
  return Object.entries(object).flatMap(([key, value]): Fact[] => {
    const name = prefix + key;
    if (value === null || without.includes(name)) return [];
    if (typeof value === 'object' && !Array.isArray(value)) return flat(value, without, `${name}.`);
    return [[name, text(value)]];
  });
}

function text(value: Json): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function templateFacts(meta: JsonObject): Fact[] {
  const template = meta.chat_template;
  if (typeof template !== 'string') return [['chat template', 'none']];
  return [['chat template sha256', createHash('sha256').update(template, 'utf8').digest('hex')]];
}

/** Engines that really ran the cells; cells taken from other sweeps may have been run by an earlier one. */
function engines(cells: readonly CellLine[]): Fact[] {
  const ran = cells.map((c) => [c.engine, c.build && `build ${c.build}`, c.numerics && `numerics ${c.numerics}`]);
  const told = ran.map((parts) => parts.filter((p) => p !== null && p !== '').join(', ')).filter((text) => text !== '');
  return unique(told).map((value) => ['ran by engine', value]);
}

function hosts(cells: readonly CellLine[]): Provenance['hosts'] {
  const out = new Map<string, Provenance['hosts'][number]>();
  for (const cell of cells) {
    const name = cell.host ?? 'unnamed host';
    const facts: Fact[] = [
      ['device', cell.device ?? 'not told'],
      ...flat(cell.host_facts ?? {}),
      ...flat(cell.measured ?? {}, [], 'measured.'),
    ];
    // one block a host and device: rates measured at each start differ a little and the first is shown
    const key = JSON.stringify([name, cell.device]);
    if (!out.has(key)) out.set(key, { name, facts });
  }
  return [...out.values()];
}

function configurations(cells: readonly CellLine[]): Provenance['configurations'] {
  const out = new Map<string, Provenance['configurations'][number]>();
  for (const cell of cells) {
    const configuration = {
      label: cell.label,
      requested: JSON.stringify(cell.requested),
      effective: JSON.stringify(cell.effective),
      derived: JSON.stringify(cell.derived),
    };
    out.set(JSON.stringify(configuration), configuration);
  }
  return [...out.values()];
}

async function settings(db: Db, cells: readonly CellLine[]): Promise<Fact[]> {
  const estimates = await estimateLines(
    db,
    cells.map((cell) => cell.cell_key),
  );
  const joined = (name: string, values: readonly (string | null)[]): Fact[] => {
    const all = unique(values);
    return all.length === 0 ? [] : [[name, all.join('; ')]];
  };
  return [
    ...joined(
      'workloads',
      cells.map((cell) => JSON.stringify(cell.workload)),
    ),
    ...joined(
      'stop ids',
      cells.map((cell) => cell.stop_ids && (cell.stop_ids.length > 0 ? cell.stop_ids.join(', ') : 'none')),
    ),
    ...joined(
      'batch-invariant',
      cells.map(
        (cell) =>
          `${cell.kind}: ${cell.invariant ? 'yes' : 'no'}${cell.noise_kind ? ` (noise cell, ${cell.noise_kind})` : ''}`,
      ),
    ),
    ...joined(
      'scheduler',
      cells.map((cell) => `${cell.kind}: ${cell.scheduler}`),
    ),
    ...joined(
      'seed of the samples',
      cells.filter((cell) => cell.prompt_set).map((cell) => String(cell.seed)),
    ),
    ...joined(
      'analysis',
      estimates.map((e) => e.version),
    ),
    ...joined(
      'seed of intervals and tests',
      estimates.map((e) => (e.seed === null ? null : String(e.seed))),
    ),
    ...joined(
      'results reused from',
      cells.map((cell) => cell.reused_from),
    ),
  ];
}
