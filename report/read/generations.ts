/** `generate` cells: stored summaries of all of them, single pairs of as many as a report can show. */
import type { Db } from '../../activities/database.ts';
import { assembleGeneration, comparedCells, type GenerateCell } from '../assemble.ts';
import type { Estimated, EstimateName, GenerationSetting, OwnLargestEntry, PooledSetting } from '../model.ts';
import { type PoolableSetting, poolSettings } from '../pooled.ts';
import type { CellLine } from '../queries.ts';
import * as queries from '../queries.ts';
import { samplingWords } from '../words.ts';
import { readPairs } from './pairs.ts';
import { byCell, groupBy, keysOf, within } from './rows.ts';
import { readStories } from './stories.ts';
import { cellSummary, stopLines, summaryLines } from './summaries.ts';

/** Pairs that a report reads one by one; a sweep with more is told from summaries, and its densities from bins. */
const MAX_PAIRS = 40_000;

/** One setting = one model, backend and workload over one prompt set. */
export async function readGenerations(
  db: Db,
  lines: readonly CellLine[],
): Promise<{ generations: GenerationSetting[]; pooled: PooledSetting[] }> {
  const settings = groupBy(lines, (l) =>
    JSON.stringify([l.model_sha, l.backend, l.prompt_set, l.workload, l.scheduler]),
  );
  const cells = new Map((await generateCells(db, lines)).map((cell) => [cell.key, cell]));
  const largest = byCell(await ownLargest(db, lines, cells));
  const poolable: PoolableSetting[] = [];
  const generations: GenerationSetting[] = [];
  for (const setting of settings) {
    const own = setting.map((line) => cells.get(line.cell_key)!);
    const facts = factsOf(setting[0]!);
    const stories = await readStories(db, own, setting[0]!.prompt_set);
    const ownLargest = own.flatMap((cell) => (largest.get(cell.key) ?? []).map(({ entry }) => entry));
    generations.push({ ...assembleGeneration(facts, own), ownLargest, stories });
    poolable.push({ facts, cells: own });
  }
  return { generations, pooled: poolSettings(poolable) };
}

function factsOf(line: CellLine) {
  const { max_new_tokens, sampling } = line.workload.generate as { max_new_tokens: number; sampling: object };
  return {
    model: line.model,
    backend: line.backend ?? 'unknown backend',
    dataset: line.dataset ?? 'prompts',
    maxNewTokens: max_new_tokens,
    sampling: samplingWords(sampling),
    nPrompts: line.n_prompts,
  };
}

async function generateCells(db: Db, lines: readonly CellLine[]): Promise<GenerateCell[]> {
  const keys = keysOf(lines);
  const [summaries, stops, estimates, caches] = [
    byCell(await summaryLines(db, keys)),
    byCell(await stopLines(db, keys)),
    byCell(await queries.estimateLines(db, keys)),
    byCell(await queries.cacheLines(db, keys)),
  ];
  const cells = lines.map((line): GenerateCell => {
    const key = line.cell_key;
    const known = estimates.get(key) ?? [];
    const [cache] = caches.get(key) ?? [];
    const [stop = { missed: 0, early: 0 }] = stops.get(key) ?? [];
    return {
      key,
      label: line.label,
      batch: line.batch_size ?? 0,
      isBaseline: line.is_baseline,
      baselineKey: line.baseline_cell_key,
      noiseKind: line.noise_kind,
      noiseNo: line.noise_no,
      inert: line.compressed === false,
      ...cellSummary(summaries.get(key) ?? [], stop, known.find((e) => e.n_clusters !== null)?.n_clusters ?? undefined),
      estimates: estimatesOf(known),
      cache: cache ? cacheOf(cache) : null,
      shifts: [],
      times: [],
    };
  });
  return await withPairs(db, cells);
}

/** Those with most changed answers first: if not all can be read, the telling ones are. */
async function withPairs(db: Db, cells: GenerateCell[]): Promise<GenerateCell[]> {
  const compared = cells.filter((cell) => cell.lengths && !cell.inert);
  const changed = (cell: GenerateCell) => cell.lengths!.summary.gt50?.value ?? 0;
  const chosen = within(
    compared.sort((a, b) => changed(b) - changed(a)).map((cell) => ({ key: cell.key, pairs: cell.lengths!.summary.n })),
    MAX_PAIRS,
  );
  const pairs = await readPairs(db, chosen);
  return cells.map((cell) => ({ ...cell, ...pairs(cell.key) }));
}

function cacheOf(cache: queries.CacheLine) {
  return {
    seenMean: cache.seen_mean,
    keptMean: cache.kept_mean,
    bytesEndMean: cache.bytes_end_mean,
    ofF16: cache.of_f16,
    bitsPerElement: cache.bits_per_element,
  };
}

function estimatesOf(rows: readonly queries.EstimateLine[]): Partial<Record<EstimateName, Estimated>> {
  const out: Partial<Record<EstimateName, Estimated>> = {};
  for (const { statistic, value, lo, hi, p, b } of rows) {
    if (value === null) continue;
    // a test alone has a value and p, no interval
    const interval = { value, lo: lo ?? value, hi: hi ?? value };
    // a share of 0 or 1 has no bootstrap: its interval is Wilson's, which draws nothing
    const wilson = statistic.startsWith('share_') && (value === 0 || value === 1) && b !== null ? { wilson: true } : {};
    out[statistic as EstimateName] = p === null ? { ...interval, ...wilson } : { ...interval, p };
  }
  return out;
}

/** Each side at its own largest batch. Of several limits of memory each is told. */
async function ownLargest(
  db: Db,
  lines: readonly CellLine[],
  cells: ReadonlyMap<string, GenerateCell>,
): Promise<{ cell_key: string; entry: OwnLargestEntry }[]> {
  const compared = comparedCells(lines.map((line) => cells.get(line.cell_key)!)).filter((cell) => !cell.inert);
  const keys = within(
    compared.map((cell) => ({ key: cell.key, pairs: cell.lengths?.summary.n ?? 0 })),
    MAX_PAIRS,
  );
  const rows = await queries.largestLines(db, keys);
  return rows.map((row) => ({
    cell_key: row.cell_key,
    entry: {
      label: row.label,
      lengthsBatch: row.answers_batch_size,
      memory: row.cache_memory,
      batch: row.own_batch_size,
      baseBatch: row.base_batch_size,
      x: row.mod_x_tokens_faster,
      y: row.y_answers_longer,
      serviceRatio: row.mod_service_ratio,
      shareSlower: row.mod_share_slower,
      requestsRatio: row.mod_requests_faster,
    },
  }));
}
