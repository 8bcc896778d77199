/** Walks the negatives of a sweep, a few at a time: however many there are, only those of one step are in memory. */
import type { Db } from '../activities/database.ts';
import {
  answerKey,
  answerTexts,
  type ComparedCell,
  type LostBy,
  type NegativeFilter,
  type NegativeRow,
  type PromptText,
  promptsOfCell,
  readNegatives,
} from '../activities/ledger/negatives.ts';

/** One by one per compressor, or sets: samples that every chosen compressor loses, or at least one. */
export type Mode = 'each' | 'all' | 'any';

export interface NegativeEntry extends Omit<NegativeRow, 'answers'> {
  dataset: string | null;
  batch: number | null;
  prompt: PromptText | null;
  baseText: string | null;
  answers: (LostBy & { text: string | null })[];
}

const PER_STEP = 200;

/** Cells that are compared with one another: of one baseline; in mode `each` every cell alone. */
export function groupsOf(cells: readonly ComparedCell[], mode: Mode): ComparedCell[][] {
  const groups = new Map<string, ComparedCell[]>();
  for (const cell of cells) {
    const key = mode === 'each' ? cell.cellKey : cell.baselineKey;
    const group = groups.get(key);
    if (group) group.push(cell);
    else groups.set(key, [cell]);
  }
  return [...groups.values()];
}

export async function* negativeEntries(
  db: Db,
  cells: readonly ComparedCell[],
  filter: NegativeFilter,
  mode: Mode,
): AsyncGenerator<NegativeEntry> {
  for (const group of groupsOf(cells, mode)) {
    const keys = group.map((cell) => cell.cellKey);
    const rows = await readNegatives(db, keys, filter, mode === 'any' ? 'any' : 'all');
    for (let at = 0; at < rows.length; at += PER_STEP) yield* withTexts(db, group, rows.slice(at, at + PER_STEP));
  }
}

async function* withTexts(
  db: Db,
  group: readonly ComparedCell[],
  rows: readonly NegativeRow[],
): AsyncGenerator<NegativeEntry> {
  const { baselineKey, dataset, batch } = group[0]!;
  const promptKeys = [...new Set(rows.map((row) => row.promptKey))];
  const prompts = await promptsOfCell(db, baselineKey, promptKeys);
  const texts = await answerTexts(db, [baselineKey, ...group.map((cell) => cell.cellKey)], promptKeys);
  for (const row of rows) {
    const text = (cellKey: string) => texts.get(answerKey(cellKey, row.promptKey, row.replicate)) ?? null;
    yield {
      ...row,
      dataset,
      batch,
      prompt: prompts.get(row.promptKey) ?? null,
      baseText: text(baselineKey),
      answers: row.answers.map((answer) => ({ ...answer, text: text(answer.cellKey) })),
    };
  }
}
