/** Traced samples as maps: of each compressor the one that saw most tokens. */
import { type Db, query } from '../../activities/database.ts';
import type { KeptMap } from '../model-scores.ts';
import type { CellLine } from '../queries.ts';
import { keysOf } from './rows.ts';

/** Maps of one report. */
const MAX_MAPS = 24;
/** Columns of a map; each spans as many tokens as it takes. */
const COLUMNS = 128;

interface SampleLine {
  cell_key: string;
  sweep_no: number;
  cell_no: number;
  sample_idx: number;
  rep: number;
  prompt_key: string;
  layers: number;
  kv_heads: number;
  seen: number;
  bitmap: Buffer;
}

export async function readKept(db: Db, lines: readonly CellLine[]): Promise<KeptMap[]> {
  const compressed = lines.filter((line) => !line.is_baseline && line.compressed !== false);
  const byKey = new Map(compressed.map((line) => [line.cell_key, line]));
  const rows = await query<SampleLine>(
    db,
    `with longest as (
       select distinct on (r.label) encode(r.key, 'hex') as cell_key, r.prompt_set, k.sweep_no, k.cell_no, k.sample_idx, k.rep
         from newest_run r
         join kept k using (sweep_no, cell_no)
        where r.key in (select decode(key, 'hex') from unnest($1::text[]) as key)
        order by r.label, k.seen desc, k.sweep_no, k.cell_no, k.sample_idx, k.rep
     )
     select l.cell_key, p.key as prompt_key, k.layers, k.kv_heads, k.seen, k.bitmap
       from longest l
       join kept k using (sweep_no, cell_no, sample_idx, rep)
       join prompt p on p.prompt_set = l.prompt_set and p.idx = l.sample_idx`,
    [keysOf(compressed)],
  );
  const order = keysOf(compressed);
  return rows
    .sort((a, b) => order.indexOf(a.cell_key) - order.indexOf(b.cell_key))
    .slice(0, MAX_MAPS)
    .map((row) => mapOf(row, byKey.get(row.cell_key)!));
}

function mapOf(row: SampleLine, line: CellLine): KeptMap {
  const { layers, kv_heads: kvHeads, seen, bitmap } = row;
  const share = keptShares(bitmap, layers, kvHeads, seen);
  let held = 0;
  for (const byte of bitmap) held += popCount(byte);
  return {
    model: line.model,
    label: line.label,
    dataset: line.dataset ?? 'prompts',
    batch: line.batch_size,
    promptKey: row.prompt_key,
    seen,
    kvHeads,
    keptMean: held / (layers * kvHeads),
    share,
  };
}

function popCount(byte: number): number {
  let n = 0;
  for (let rest = byte; rest > 0; rest &= rest - 1) n++;
  return n;
}

/**
 * Share of (kv head, token) that are held, layer by column.
 * @param bitmap layer by kv head, each `ceil(seen / 8)` bytes; bit t & 7 of byte t >> 3 is token t
 */
export function keptShares(bitmap: Uint8Array, layers: number, kvHeads: number, seen: number): number[][] {
  const stride = Math.ceil(seen / 8);
  const columns = Math.max(1, Math.min(COLUMNS, seen));
  const columnOf = (token: number) => Math.floor((token * columns) / seen);
  return Array.from({ length: layers }, (_, layer) => {
    const held = new Array<number>(columns).fill(0);
    const tokens = new Array<number>(columns).fill(0);
    for (let token = 0; token < seen; token++) {
      const column = columnOf(token);
      tokens[column]! += kvHeads;
      for (let head = 0; head < kvHeads; head++) {
        const at = (layer * kvHeads + head) * stride + (token >> 3);
        held[column]! += (bitmap[at]! >> (token & 7)) & 1;
      }
    }
    return held.map((n, i) => n / tokens[i]!);
  });
}
