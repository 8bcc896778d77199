/** Fills the model of a report from Postgres. Reads only; what aggregation has not computed yet stays absent. */
import type { Db } from '../activities/database.ts';
import { readFailures, readProgress, readSweep } from '../activities/ledger.ts';
import type { PairTimes } from '../analysis/latency.ts';
import { assembleGeneration, type GenerateCell, type JudgedShift, pickStories } from './assemble.ts';
import {
  type Estimated,
  type EstimateName,
  type GenerationSetting,
  type InertEntry,
  type MemoryEntry,
  type PerplexityRow,
  REPORT_SCHEMA,
  type ReportModel,
  type ScoreEntry,
  type Story,
  type SweepFacts,
  type ThroughputSetting,
} from './model.ts';
import { provenanceOf } from './provenance-data.ts';
import type { CellLine } from './queries.ts';
import * as queries from './queries.ts';

export async function readReport(db: Db, sweepId: string): Promise<ReportModel> {
  const sweep = await readSweep(db, sweepId);
  const lines = await queries.cellLines(db, sweepId);
  const done = lines.filter((line) => line.status === 'done');
  return {
    schema: REPORT_SCHEMA,
    sweep: await sweepFacts(db, sweepId),
    generations: await generations(
      db,
      done.filter((line) => line.kind === 'generate'),
    ),
    throughputs: await throughputs(
      db,
      done.filter((line) => line.kind === 'throughput'),
    ),
    perplexities: await perplexities(
      db,
      done.filter((line) => line.kind === 'score' && line.noise_kind === null),
    ),
    scores: await scores(
      db,
      done.filter((line) => line.kind === 'generate' && line.noise_kind === null),
    ),
    memory: await memory(
      db,
      done.filter((line) => line.kind !== 'throughput' && line.noise_kind === null),
    ),
    inert: await inert(
      db,
      done.filter((line) => line.compressed === false),
    ),
    negatives: [],
    kept: [],
    provenance: await provenanceOf(db, sweep, done),
  };
}

/** What every row about a cell carries. */
function nameOf(line: CellLine) {
  const { model, label, is_baseline: isBaseline } = line;
  return { model, label, batch: line.batch_size ?? 0, isBaseline, inert: line.compressed === false };
}

const keysOf = (lines: readonly CellLine[]) => lines.map((line) => line.cell_key);

async function scores(db: Db, lines: readonly CellLine[]): Promise<ScoreEntry[]> {
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

async function memory(db: Db, lines: readonly CellLine[]): Promise<MemoryEntry[]> {
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

async function inert(db: Db, lines: readonly CellLine[]): Promise<InertEntry[]> {
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

async function sweepFacts(db: Db, sweepId: string): Promise<SweepFacts> {
  const { sweepNo, status, createdAt } = await readSweep(db, sweepId);
  const progress = await readProgress(db, sweepId);
  const { counts } = progress;
  const failures = (await readFailures(db, sweepNo)).filter((f) => f.status === 'failed');
  return {
    id: sweepId,
    status,
    createdAt: createdAt.toISOString(),
    reportedAt: new Date().toISOString(),
    cells: {
      planned: progress.total,
      done: counts.done,
      reused: progress.reused,
      failed: counts.failed,
      open: counts.pending + counts.leased + counts.lost,
    },
    failures: failures.map(({ label, batch, workload, errClass, errKind, message }) => ({
      label,
      batch,
      workload,
      reason: [errClass, errKind, message].filter((part) => part !== null).join(': '),
    })),
  };
}

/** Rows by the cell that they belong to. */
function byCell<Row extends { cell_key: string }>(rows: readonly Row[]): Map<string, Row[]> {
  const out = new Map<string, Row[]>();
  for (const row of rows) {
    const list = out.get(row.cell_key);
    if (list) list.push(row);
    else out.set(row.cell_key, [row]);
  }
  return out;
}

function groupBy<Row>(rows: readonly Row[], keyOf: (row: Row) => string): Row[][] {
  const out = new Map<string, Row[]>();
  for (const row of rows) out.set(keyOf(row), [...(out.get(keyOf(row)) ?? []), row]);
  return [...out.values()];
}

/** One setting = one model, backend and workload over one prompt set. */
async function generations(db: Db, lines: readonly CellLine[]): Promise<GenerationSetting[]> {
  const settings = groupBy(lines, (l) =>
    JSON.stringify([l.model_sha, l.backend, l.prompt_set, l.workload, l.scheduler]),
  );
  const out: GenerationSetting[] = [];
  for (const setting of settings) out.push(await generation(db, setting));
  return out;
}

async function generation(db: Db, lines: readonly CellLine[]): Promise<GenerationSetting> {
  const cells = await generateCells(db, lines);
  const first = lines[0]!;
  const { max_new_tokens, sampling } = first.workload.generate as { max_new_tokens: number; sampling: object };
  const facts = {
    model: first.model,
    backend: first.backend,
    dataset: first.dataset ?? 'prompts',
    maxNewTokens: max_new_tokens,
    sampling: samplingWords(sampling),
    nPrompts: first.n_prompts,
  };
  return { ...assembleGeneration(facts, cells), stories: await stories(db, cells, first.prompt_set) };
}

/** `greedy`, or `temperature 0.8, top_p 0.95`. */
export function samplingWords(sampling: object): string {
  if ('greedy' in sampling) return 'greedy';
  const used = Object.entries(sampling).filter(
    ([name, value]) => name === 'temperature' || (value !== 0 && value !== 1),
  );
  return used.map(([name, value]) => `${name} ${value}`).join(', ');
}

async function generateCells(db: Db, lines: readonly CellLine[]): Promise<GenerateCell[]> {
  const keys = lines.map((line) => line.cell_key);
  const shifts = byCell(await queries.shiftLines(db, keys));
  const times = byCell(await queries.timeLines(db, keys));
  const estimates = byCell(await queries.estimateLines(db, keys));
  const counts = byCell(await queries.countLines(db, keys));
  const lengths = byCell(await queries.lengthLines(db, keys));
  const caches = byCell(await queries.cacheLines(db, keys));
  return lines.map((line) => {
    const key = line.cell_key;
    const [count] = counts.get(key) ?? [];
    const [cache] = caches.get(key) ?? [];
    return {
      key,
      label: line.label,
      batch: line.batch_size ?? 0,
      isBaseline: line.is_baseline,
      baselineKey: line.baseline_cell_key,
      noiseKind: line.noise_kind,
      noiseNo: line.noise_no,
      inert: line.compressed === false,
      shifts: (shifts.get(key) ?? []).map(shiftOf),
      nMissing: count?.n_missing ?? 0,
      nMismatch: count?.n_mismatch ?? 0,
      times: (times.get(key) ?? []).map(timesOf),
      estimates: estimatesOf(estimates.get(key) ?? []),
      lengths: (lengths.get(key) ?? []).map((l) => ({ length: l.new_tokens, cut: l.finish !== 'stop' })),
      cache: cache
        ? {
            seenMean: cache.seen_mean,
            keptMean: cache.kept_mean,
            bytesEndMean: cache.bytes_end_mean,
            ofF16: cache.of_f16,
            bitsPerElement: cache.bits_per_element,
          }
        : null,
    };
  });
}

function shiftOf(row: queries.ShiftLine): JudgedShift {
  return {
    promptKey: row.prompt_key,
    replicate: row.replicate,
    lBase: row.l_base,
    lComp: row.l_comp,
    d: row.d,
    dLo: row.d_lo,
    dHi: row.d_hi,
    censor: row.censor,
    same: row.same,
    firstDiff: row.first_diff,
    stopMissed: row.stop_missed,
    stopEarly: row.stop_early,
    beyondNoise: row.beyond_noise,
  };
}

function timesOf(row: queries.TimeLine): PairTimes {
  const side = (prefillMs: number, decodeMs: number, steps: number, tpotMs: number | null) => ({
    steps,
    prefillMs,
    decodeMs,
    serviceMs: prefillMs + decodeMs,
    tpotMs,
  });
  return {
    promptKey: row.prompt_key,
    replicate: row.replicate,
    base: side(row.base_prefill_ms, row.base_decode_ms, row.base_steps, row.base_tpot_ms),
    comp: side(row.prefill_ms, row.decode_ms, row.steps, row.tpot_ms),
    timeRatio: row.time_ratio,
    paradox: row.paradox ?? false,
  };
}

function estimatesOf(rows: readonly queries.EstimateLine[]): Partial<Record<EstimateName, Estimated>> {
  const out: Partial<Record<EstimateName, Estimated>> = {};
  for (const { statistic, value, lo, hi, p } of rows) {
    if (value === null) continue;
    // a test alone has a value and p, no interval
    const interval = { value, lo: lo ?? value, hi: hi ?? value };
    out[statistic as EstimateName] = p === null ? interval : { ...interval, p };
  }
  return out;
}

async function stories(db: Db, cells: readonly GenerateCell[], promptSet: string | null): Promise<Story[]> {
  const picks = pickStories(cells);
  if (picks.length === 0 || promptSet === null) return [];
  const wanted = picks.flatMap(({ cellKey, baselineKey, promptKey, replicate }) => [
    { cellKey, promptKey, replicate },
    { cellKey: baselineKey, promptKey, replicate },
  ]);
  const texts = await queries.textLines(db, wanted);
  const prompts = await queries.promptLines(
    db,
    promptSet,
    picks.map((pick) => pick.promptKey),
  );
  return picks.flatMap(({ cellKey, baselineKey, replicate, ...pick }) => {
    const answer = (key: string) => {
      const row = texts.find((t) => t.cell_key === key && t.prompt_key === pick.promptKey && t.replicate === replicate);
      return row && { text: row.text ?? '', tokens: row.new_tokens, finish: row.finish, serviceMs: row.service_ms };
    };
    const [base, comp] = [answer(baselineKey), answer(cellKey)];
    const prompt = prompts.find((p) => p.key === pick.promptKey);
    if (!base || !comp || !prompt) return [];
    return [{ ...pick, prompt: promptText(prompt), base, comp }];
  });
}

function promptText({ prompt, messages }: queries.PromptLine): string {
  return prompt ?? messages?.map(({ role, content }) => `${role}: ${content}`).join('\n\n') ?? '(token ids)';
}

async function throughputs(db: Db, lines: readonly CellLine[]): Promise<ThroughputSetting[]> {
  const rates = byCell(
    await queries.rateLines(
      db,
      lines.map((line) => line.cell_key),
    ),
  );
  const points = lines.flatMap((line) => (rates.get(line.cell_key) ?? []).map((rate) => ({ line, rate })));
  const settings = groupBy(points, ({ line, rate }) =>
    JSON.stringify([line.model_sha, line.backend, line.device, rate.prompt_tokens, rate.new_tokens]),
  );
  return settings.map((setting) => {
    const { line, rate } = setting[0]!;
    return {
      model: line.model,
      backend: line.backend,
      device: line.device,
      promptTokens: rate.prompt_tokens,
      newTokens: rate.new_tokens,
      points: setting.map(({ line: l, rate: r }) => ({
        label: l.label,
        isBaseline: l.is_baseline,
        batch: r.batch_size,
        isMax: l.asked_batch === null,
        phase: r.phase,
        tokS: r.tok_s,
        tokSQ25: r.tok_s_q25,
        tokSQ75: r.tok_s_q75,
        repeats: r.repeats,
        noisy: r.noisy,
        drift: r.drift,
        inert: l.compressed === false,
        sSame: l.is_baseline ? null : r.s_same,
        own: null,
        boundMs: null,
        ofBound: r.of_bound,
        bytesEnd: r.bytes_end,
      })),
    };
  });
}

async function perplexities(db: Db, lines: readonly CellLine[]): Promise<PerplexityRow[]> {
  const rows = byCell(
    await queries.perplexityLines(
      db,
      lines.map((line) => line.cell_key),
    ),
  );
  return lines.flatMap((line) =>
    (rows.get(line.cell_key) ?? []).map((row) => ({
      model: line.model,
      dataset: line.dataset ?? 'prompts',
      label: line.label,
      batch: line.batch_size ?? 0,
      inert: line.compressed === false,
      isBaseline: line.is_baseline,
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
