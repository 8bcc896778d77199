/** Rates and speed-ups of `throughput` cells. */
import type { Db } from '../../activities/database.ts';
import type { ThroughputPoint, ThroughputSetting } from '../model.ts';
import type { CellLine, RateLine } from '../queries.ts';
import { rateLines } from '../queries.ts';
import { byCell, groupBy, keysOf } from './rows.ts';

export async function readThroughputs(db: Db, lines: readonly CellLine[]): Promise<ThroughputSetting[]> {
  const rates = byCell(await rateLines(db, keysOf(lines)));
  const points = inOrder(lines).flatMap((line) => (rates.get(line.cell_key) ?? []).map((rate) => ({ line, rate })));
  const settings = groupBy(points, ({ line, rate }) =>
    JSON.stringify([line.model_sha, line.backend, line.device, rate.prompt_tokens, rate.new_tokens]),
  );
  return settings.map((setting) => {
    const { line, rate } = setting[0]!;
    return {
      model: line.model,
      backend: line.backend ?? 'unknown backend',
      device: line.device,
      promptTokens: rate.prompt_tokens,
      newTokens: rate.new_tokens,
      points: setting.map(pointOf),
    };
  });
}

/** Points run in a shuffled order; they are told by name, the baseline first. */
function inOrder(lines: readonly CellLine[]): CellLine[] {
  return [...lines].sort(
    (a, b) =>
      Number(b.is_baseline) - Number(a.is_baseline) ||
      a.label.localeCompare(b.label, 'en', { numeric: true }) ||
      (a.batch_size ?? 0) - (b.batch_size ?? 0),
  );
}

function pointOf({ line, rate }: { line: CellLine; rate: RateLine }): ThroughputPoint {
  const { s_max, max_batch, base_max_batch } = rate;
  return {
    label: line.label,
    isBaseline: line.is_baseline,
    batch: rate.batch_size,
    isMax: line.asked_batch === null,
    memory: rate.cache_memory,
    phase: rate.phase,
    tokS: rate.tok_s,
    tokSQ25: rate.tok_s_q25,
    tokSQ75: rate.tok_s_q75,
    repeats: rate.repeats,
    noisy: rate.noisy,
    drift: rate.drift,
    inert: line.compressed === false,
    sSame: line.is_baseline ? null : rate.s_same,
    own:
      line.is_baseline || s_max === null || max_batch === null || base_max_batch === null
        ? null
        : { s: s_max, batch: max_batch, baseBatch: base_max_batch },
    boundMs: rate.bound_ms,
    ofBound: rate.of_bound,
    bytesEnd: rate.bytes_end,
  };
}
