/**
 * Scores of many runs in columns, a statement for all of them. An array leaves Postgres in its binary form, as bytes:
 * ten million doubles are neither printed nor parsed.
 */
import { type Db, query } from '../database.ts';
import { type RunRef, runKey } from '../ledger.ts';

/** Scores of one run under one metric, in the order of their keys. */
export interface ScoreColumn {
  metric: string;
  variant: string;
  /** sample_idx * 2^16 + rep, ascending. */
  keys: Float64Array;
  /** sample_idx of each key. */
  records: Int32Array;
  scores: Float64Array;
}

export const REPLICATE_SPAN = 2 ** 16;

/** By run; a run without scores is absent. */
export async function readScoreColumns(db: Db, runs: readonly RunRef[]): Promise<Map<string, ScoreColumn[]>> {
  const out = new Map<string, ScoreColumn[]>();
  if (runs.length === 0) return out;
  const rows = await query<RunRef & { metric: string; variant: string; keys: Buffer; scores: Buffer }>(
    db,
    // Grouped run by run: sorting all of them at once would go through the disk.
    `select u.sweep_no as "sweepNo", u.cell_no as "cellNo", s.metric, s.variant, s.keys, s.scores
       from unnest($1::int[], $2::int[]) as u (sweep_no, cell_no)
      cross join lateral (
            select metric, variant, array_send(array_agg(sample_idx * ${REPLICATE_SPAN}::float8 + rep)) as keys,
                   array_send(array_agg(score)) as scores
              from score
             where sweep_no = u.sweep_no and cell_no = u.cell_no
             group by metric, variant) s
      order by u.sweep_no, u.cell_no, s.metric, s.variant`,
    [runs.map((run) => run.sweepNo), runs.map((run) => run.cellNo)],
  );
  for (const { metric, variant, keys, scores, ...run } of rows) {
    const ordered = inOrder(doublesOf(keys), doublesOf(scores));
    const column = { ...ordered, records: recordsOf(ordered.keys) };
    const list = out.get(runKey(run));
    if (list) list.push({ metric, variant, ...column });
    else out.set(runKey(run), [{ metric, variant, ...column }]);
  }
  return out;
}

/**
 * Binary form of a float8[] without nulls: int32 dimensions, flags, element type, length and lower bound (20 bytes, or 12
 * for an empty one), then per element its length (4 bytes) and a big-endian double.
 */
export function doublesOf(bytes: Buffer): Float64Array {
  if (bytes.readInt32BE(0) === 0) return new Float64Array();
  const values = new Float64Array(bytes.readInt32BE(12));
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let i = 0; i < values.length; i++) values[i] = view.getFloat64(24 + 12 * i);
  return values;
}

/** The server groups in whatever order its plan reads; sums of doubles need one. */
function inOrder(keys: Float64Array, scores: Float64Array): Pick<ScoreColumn, 'keys' | 'scores'> {
  let sorted = true;
  for (let i = 1; i < keys.length && sorted; i++) sorted = keys[i - 1]! < keys[i]!;
  if (sorted) return { keys, scores };
  const order = Array.from(keys.keys()).sort((a, b) => keys[a]! - keys[b]!);
  return { keys: Float64Array.from(order, (i) => keys[i]!), scores: Float64Array.from(order, (i) => scores[i]!) };
}

export function recordsOf(keys: Float64Array): Int32Array {
  const records = new Int32Array(keys.length);
  for (let i = 0; i < keys.length; i++) records[i] = Math.floor(keys[i]! / REPLICATE_SPAN);
  return records;
}

export interface Aligned {
  keys: Float64Array;
  base: Float64Array;
  score: Float64Array;
}

/** Pairs of equal keys of two ascending columns. */
export function align(base: ScoreColumn, own: ScoreColumn): Aligned {
  const n = Math.min(base.keys.length, own.keys.length);
  const keys = new Float64Array(n);
  const left = new Float64Array(n);
  const right = new Float64Array(n);
  let size = 0;
  for (let i = 0, j = 0; i < base.keys.length && j < own.keys.length; ) {
    const difference = base.keys[i]! - own.keys[j]!;
    if (difference === 0) {
      keys[size] = base.keys[i]!;
      left[size] = base.scores[i]!;
      right[size] = own.scores[j]!;
      size++;
    }
    if (difference <= 0) i++;
    if (difference >= 0) j++;
  }
  return { keys: keys.subarray(0, size), base: left.subarray(0, size), score: right.subarray(0, size) };
}
