/** The length figures that get an interval, as statistics of a bootstrap over prompts. */
import type { Statistic } from './bootstrap.ts';
import type { LengthShift } from './length-shift.ts';
import { SHARES, type ShareName } from './length-summary.ts';

function shareStatistic(name: string, event: (row: LengthShift & { d: number }) => boolean): Statistic<LengthShift> {
  return {
    name: `share_${name}`,
    sums: (row) => (row.d === null ? null : [Number(event({ ...row, d: row.d })), 1]),
    value: ([events, n]) => events! / n!,
  };
}

export const LENGTH_STATISTICS: readonly Statistic<LengthShift>[] = [
  ...(Object.keys(SHARES) as ShareName[]).map((name) => shareStatistic(name, (row) => SHARES[name].event(row.d))),
  shareStatistic('same', (row) => row.same),
  {
    name: 'ratio_of_means',
    sums: (row) => (row.d === null ? null : [row.lComp, row.lBase]),
    value: ([comp, base]) => comp! / base!,
  },
  {
    name: 'geo_ratio',
    sums: (row) => (row.lBase > 0 && row.lComp > 0 ? [Math.log(row.lComp / row.lBase), 1] : null),
    value: ([logs, n]) => Math.exp(logs! / n!),
  },
];
