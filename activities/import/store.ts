/**
 * Writes an import as a sweep of done cells with scores and nothing else, in one transaction. The same files again change
 * nothing; other files under the same name take the place of the old ones.
 */

import { createHash } from 'node:crypto';
import { canonicalJson, type DatasetPrompt, promptSetSha } from '../../datasets/prompt-set.ts';
import type { PromptSetPlan } from '../../workflows/plan.ts';
import type { NegativeCell } from '../aggregate/negatives.ts';
import { type Db, query } from '../database.ts';
import { fromHex, toJsonb } from '../ledger/bytes.ts';
import { LedgerRefusal } from '../ledger.ts';
import { SCORED_SETS } from './longbench-sets.ts';
import type { ImportedCell } from './rethink-artifact.ts';

export const SOURCE = 'rethink-artifact';

export interface StoredImport {
  sweepNo: number;
  /** False: these very files were there already. */
  changed: boolean;
}

export async function storeImport(db: Db, id: string, cells: readonly ImportedCell[]): Promise<StoredImport> {
  const spec = { import: SOURCE, files: Object.fromEntries(cells.map((cell) => [cell.file, cell.fileSha])) };
  const specSha = createHash('sha256').update(canonicalJson(spec)).digest();
  const stored = await db.transaction().execute(async (trx) => {
    await query(trx, 'select pg_advisory_xact_lock(hashtextextended($1, 0))', [`sweep/${id}`]);
    const [known] = await query<{ sweepNo: number; isImport: boolean; same: boolean }>(
      trx,
      `select sweep_no as "sweepNo", coalesce(spec ->> 'import' = $2, false) as "isImport", spec_sha = $3 as same
         from sweep where id = $1`,
      [id, SOURCE, specSha],
    );
    if (known && !known.isImport) {
      throw new LedgerRefusal(`A sweep named "${id}" exists and is no import; give another name with --id.`);
    }
    if (known?.same) return { sweepNo: known.sweepNo, changed: false };
    if (known) await clearSweep(trx, known.sweepNo);
    const sweepNo = await saveSweep(trx, id, spec, specSha, known?.sweepNo ?? null);
    const sets = await savePrompts(trx, cells);
    await saveCells(trx, sweepNo, cells, sets);
    await saveScores(trx, sweepNo, cells);
    return { sweepNo, changed: true };
  });
  // Without statistics the planner takes thousands of new scores for a handful, and the views for a minute.
  if (stored.changed) await query(db, 'analyze cell, prompt, score');
  return stored;
}

/** The cells as the aggregation of negatives takes them. */
export async function importedCells(db: Db, sweepNo: number): Promise<NegativeCell[]> {
  return await query(
    db,
    `select c.sweep_no as "sweepNo", c.cell_no as "cellNo", c.is_baseline as "isBaseline", null as "noiseKind",
            false as inert,
            case when b.cell_no is not null
                 then jsonb_build_object('sweepNo', b.sweep_no, 'cellNo', b.cell_no) end as baseline
       from cell c
       left join cell b on b.sweep_no = c.sweep_no and b.key = c.baseline_key
      where c.sweep_no = $1
      order by c.cell_no`,
    [sweepNo],
  );
}

async function clearSweep(db: Db, sweepNo: number): Promise<void> {
  for (const table of ['score', 'negative_set', 'negative_summary', 'negative_threshold', 'cell', 'cell_group']) {
    await query(db, `delete from ${table} where sweep_no = $1`, [sweepNo]);
  }
}

async function saveSweep(db: Db, id: string, spec: object, specSha: Buffer, known: number | null): Promise<number> {
  if (known !== null) {
    await query(db, `update sweep set spec = $2, spec_sha = $3 where sweep_no = $1`, [known, toJsonb(spec), specSha]);
  }
  const [row] =
    known !== null
      ? [{ no: known }]
      : await query<{ no: number }>(
          db,
          `insert into sweep (id, spec, spec_sha, provenance, limits, status)
           values ($1, $2, $3, $4, '{}', 'finished')
           returning sweep_no as no`,
          [id, toJsonb(spec), specSha, toJsonb({ import: SOURCE })],
        );
  await query(
    db,
    `insert into cell_group (sweep_no, group_no, engine_key, queue, canary) values ($1, 0, 'import', 'import', false)`,
    [row!.no],
  );
  return row!.no;
}

const datasetOf = (cell: ImportedCell) => `longbench/${cell.set}`;
const sizeKey = (cell: ImportedCell) => `${cell.set} ${cell.scores.length}`;

/** Prompt sets without texts, by set and size; the score files hold none. */
async function savePrompts(db: Db, cells: readonly ImportedCell[]): Promise<Map<string, string>> {
  const shas = new Map<string, string>();
  for (const cell of cells) {
    if (shas.has(sizeKey(cell))) continue;
    const set = promptSetOf(cell);
    shas.set(sizeKey(cell), set.sha);
    const added = await query(
      db,
      `insert into prompt_set (sha, dataset, size, meta) values ($1, $2, $3, $4)
           on conflict do nothing
       returning sha`,
      [fromHex(set.sha), set.dataset, set.prompts.length, toJsonb(set.meta)],
    );
    if (added.length === 0) continue;
    const { taskType, metric } = SCORED_SETS[cell.set]!;
    await query(
      db,
      `insert into prompt (prompt_set, idx, key, metric, task_type)
       select $1, (u.no - 1)::int, u.key, $3, $4 from unnest($2::text[]) with ordinality as u (key, no)`,
      [fromHex(set.sha), set.prompts.map((prompt) => prompt.key), metric, taskType],
    );
  }
  return shas;
}

function promptSetOf(cell: ImportedCell): PromptSetPlan {
  const { taskType, metric } = SCORED_SETS[cell.set]!;
  const prompts = cell.scores.map((_, i): DatasetPrompt => ({ key: `${datasetOf(cell)}/${i}`, metric, taskType }));
  const meta = { kind: 'import', source: SOURCE, records: prompts.length };
  return { sha: promptSetSha(prompts), dataset: datasetOf(cell), meta, prompts };
}

async function saveCells(
  db: Db,
  sweepNo: number,
  cells: readonly ImportedCell[],
  sets: ReadonlyMap<string, string>,
): Promise<void> {
  const rows = cells.map((cell, no) => ({
    cell_no: no,
    key: cell.key,
    run: {
      model: { name: cell.model },
      batch: cell.batch,
      prompt_set: sets.get(sizeKey(cell))!,
      n_prompts: cell.scores.length,
      replicates: 1,
      workload: { import: { source: SOURCE, context: cell.context, file: cell.file, file_sha: cell.fileSha } },
    },
    compressor: cell.compressor,
    label: cell.label,
    requested: { [cell.compressor]: cell.parameters },
    dataset: datasetOf(cell),
    axes: { model: cell.model, context: cell.context, batch_sizes: cell.batch, set: cell.set },
    is_baseline: cell.compressor === 'none',
    baseline_key: cell.baselineKey,
    n_planned: cell.scores.length,
  }));
  await query(
    db,
    `insert into cell (sweep_no, cell_no, group_no, key, run, compressor, label, requested, derived, dataset, axes,
                       is_baseline, baseline_key, n_planned, status, finished_at)
     select $1, cell_no, 0, decode(key, 'hex'), run, compressor, label, requested, '{}', dataset, axes, is_baseline,
            decode(baseline_key, 'hex'), n_planned, 'done', clock_timestamp()
       from jsonb_to_recordset($2) as u (cell_no int, key text, run jsonb, compressor text, label text, requested jsonb,
            dataset text, axes jsonb, is_baseline boolean, baseline_key text, n_planned int)`,
    [sweepNo, toJsonb(rows)],
  );
}

async function saveScores(db: Db, sweepNo: number, cells: readonly ImportedCell[]): Promise<void> {
  for (const [cellNo, cell] of cells.entries()) {
    await query(
      db,
      `insert into score (sweep_no, cell_no, sample_idx, rep, metric, scorer_version, score)
       select $1, $2, (u.no - 1)::int, 0, $3, $4, u.score from unnest($5::float8[]) with ordinality as u (score, no)`,
      [sweepNo, cellNo, SCORED_SETS[cell.set]!.metric, SOURCE, cell.scores],
    );
  }
}
