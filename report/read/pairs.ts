/** Single pairs of some cells: differences of length, and ratios of time. */
import type { Db } from '../../activities/database.ts';
import type { GenerateCell, JudgedShift } from '../assemble.ts';
import * as queries from '../queries.ts';
import { byCell } from './rows.ts';

type Pairs = Pick<GenerateCell, 'shifts' | 'times'>;

/** Cells that are not among `keys` have none. */
export async function readPairs(db: Db, keys: readonly string[]): Promise<(key: string) => Pairs> {
  if (keys.length === 0) return () => ({ shifts: [], times: [] });
  const shifts = byCell(await queries.shiftLines(db, keys));
  const times = byCell(await queries.timeLines(db, keys));
  return (key) => ({
    shifts: (shifts.get(key) ?? []).map(shiftOf),
    times: (times.get(key) ?? []).map(({ prompt_key, replicate, time_ratio }) => ({
      promptKey: prompt_key,
      replicate,
      timeRatio: time_ratio,
    })),
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
