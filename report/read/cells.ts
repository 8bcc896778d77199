/** What is told of single cells: mean scores, bytes, perplexity, and those whose compressor did not act. */
import type { Db } from '../../activities/database.ts';
import type { InertEntry, MemoryEntry, PerplexityRow, ScoreEntry } from '../model.ts';
import type { CellLine } from '../queries.ts';
import * as queries from '../queries.ts';
import { byCell, keysOf, nameOf } from './rows.ts';

export async function readScores(db: Db, lines: readonly CellLine[]): Promise<ScoreEntry[]> {
  const rows = byCell(await queries.scoreLines(db, keysOf(lines)));
  return lines.flatMap((line) =>
    (rows.get(line.cell_key) ?? []).map(({ metric, n, score, delta, n_worse, n_better }) => ({
      ...nameOf(line),
      dataset: line.dataset ?? 'prompts',
      metric,
      n,
      score,
      delta,
      nWorse: n_worse,
      nBetter: n_better,
    })),
  );
}

export async function readMemory(db: Db, lines: readonly CellLine[]): Promise<MemoryEntry[]> {
  const rows = byCell(await queries.memoryLines(db, keysOf(lines)));
  return lines.flatMap((line) =>
    (rows.get(line.cell_key) ?? []).map((row) => ({
      ...nameOf(line),
      bytesEnd: row.bytes_end,
      bytesF16: row.bytes_f16,
      bytesIdeal: row.bytes_ideal,
    })),
  );
}

export async function readInert(db: Db, lines: readonly CellLine[]): Promise<InertEntry[]> {
  const rows = byCell(await queries.longestLines(db, keysOf(lines)));
  return lines.map((line) => {
    const [seen] = rows.get(line.cell_key) ?? [];
    return {
      label: line.label,
      batch: line.batch_size,
      workload: line.kind,
      dataset: line.dataset,
      samples: seen?.samples ?? 0,
      longest: seen?.longest ?? null,
      effective: JSON.stringify(line.effective),
      derived: JSON.stringify(line.derived),
    };
  });
}

export async function readPerplexities(db: Db, lines: readonly CellLine[]): Promise<PerplexityRow[]> {
  const rows = byCell(await queries.perplexityLines(db, keysOf(lines)));
  return lines.flatMap((line) =>
    (rows.get(line.cell_key) ?? []).map((row) => ({
      ...nameOf(line),
      dataset: line.dataset ?? 'prompts',
      nTokens: row.n_tokens,
      ppl: row.ppl,
      top1: row.top1,
      delta:
        row.delta === null || row.delta_lo === null || row.delta_hi === null || line.is_baseline
          ? null
          : { value: row.delta, lo: row.delta_lo, hi: row.delta_hi },
    })),
  );
}
