/** Negative samples from what aggregation stored: counts of every cell, and a few of the prompts that lost most. */
import type { Db } from '../../activities/database.ts';
import {
  HEADLINE_RULE,
  HEADLINE_THETA,
  type NegativeExample,
  type NegativeRow,
  type NegativesSetting,
} from '../model-scores.ts';
import { type CellLine, promptLines, textLines } from '../queries.ts';
import { type ExampleLine, exampleLines, negativeLines } from './negative-queries.ts';
import { groupBy, keysOf } from './rows.ts';
import { promptText } from './stories.ts';

/** Cells up to which every rule and theta is read; above it, what charts and headlines need. */
const MAX_FULL_CELLS = 400;
/** Cells whose sets are searched for examples: those with the largest net. */
const MAX_EXAMPLE_CELLS = 50;
const EXAMPLES = 6;

/** @param lines cells without noise cells and replicates, imported ones among them */
export async function readNegatives(db: Db, lines: readonly CellLine[]): Promise<NegativesSetting[]> {
  const compared = lines.filter((line) => !line.is_baseline);
  const out: NegativesSetting[] = [];
  for (const setting of groupBy(compared, (line) => JSON.stringify([line.model, line.model_sha]))) {
    const byKey = new Map(setting.map((line) => [line.cell_key, line]));
    const found = await negativeLines(db, keysOf(setting), setting.length <= MAX_FULL_CELLS);
    if (found.length === 0) continue;
    const rows = found.map((row): NegativeRow & { key: string } => ({
      key: row.cell_key,
      label: row.label,
      batch: byKey.get(row.cell_key)!.batch_size,
      dataset: row.dataset ?? 'prompts',
      taskType: row.task_type,
      metric: row.metric,
      variant: row.variant,
      rule: row.rule,
      theta: row.theta,
      n: row.n,
      eligible: row.eligible,
      negatives: row.negatives,
      mirrored: row.mirrored,
      baseRuns: row.base_runs,
      runs: row.runs,
      robust: row.robust,
      stable: row.stable,
      noiseNegatives: row.noise_negatives,
      threshold: row.threshold,
      meanBase: row.mean_base,
      meanScore: row.mean_score,
    }));
    out.push({
      model: setting[0]!.model,
      imported: setting.every((line) => line.kind === 'import'),
      rows: rows.map(({ key: _, ...row }) => row),
      examples: await examples(db, byKey, rows),
    });
  }
  return out;
}

async function examples(
  db: Db,
  lines: ReadonlyMap<string, CellLine>,
  rows: readonly (NegativeRow & { key: string })[],
): Promise<NegativeExample[]> {
  const headline = rows.filter(
    (r) =>
      r.taskType === '' && r.rule === HEADLINE_RULE && Math.abs(r.theta - HEADLINE_THETA) < 1e-9 && r.negatives > 0,
  );
  const worst = headline
    .sort((a, b) => b.negatives - b.mirrored - (a.negatives - a.mirrored))
    .slice(0, MAX_EXAMPLE_CELLS);
  const found = await exampleLines(
    db,
    worst.map((r) => r.key),
    HEADLINE_RULE,
    HEADLINE_THETA,
    EXAMPLES,
  );
  const texts = await textLines(
    db,
    found.flatMap(({ cell_key, baseline_cell_key, prompt_key, replicate }) =>
      [cell_key, baseline_cell_key].map((cellKey) => ({ cellKey, promptKey: prompt_key, replicate })),
    ),
  );
  const out: NegativeExample[] = [];
  for (const row of found) {
    const line = lines.get(row.cell_key)!;
    const [prompt] = line.prompt_set ? await promptLines(db, line.prompt_set, [row.prompt_key]) : [];
    const textOf = (key: string) =>
      texts.find((t) => t.cell_key === key && t.prompt_key === row.prompt_key && t.replicate === row.replicate)?.text ??
      null;
    out.push({
      ...exampleOf(row, line),
      prompt: prompt ? promptText(prompt) : null,
      references: prompt?.references ?? [],
      base: { text: textOf(row.baseline_cell_key), score: row.base_score },
      comp: { text: textOf(row.cell_key), score: row.score },
    });
  }
  return out;
}

function exampleOf(row: ExampleLine, line: CellLine) {
  return {
    label: row.label,
    batch: line.batch_size,
    dataset: row.dataset ?? 'prompts',
    taskType: row.task_type,
    promptKey: row.prompt_key,
    metric: row.metric,
    robust: row.robust,
  };
}
