import type { View } from '../000005/view.ts';
import { noiseFloor as before } from '../000011/lengths.ts';

/** Rule default at 10 % is the fifth of the stored counts. */
const sumOf = (column: 'negatives' | 'mirrored') => `
           (select sum(s.${column}[5])::int from negative_summary s
             where s.sweep_no = r.sweep_no and s.cell_no = r.cell_no and s.task_type = '')`;

export const noiseFloor: View = {
  ...before,
  columns: {
    ...before.columns,
    negatives_theta10: 'negatives at theta 10 %, rule default, over all metrics; null without scores',
    mirrored_theta10: 'the same with the two runs swapped',
  },
  text: before.text.replace('m."nMissing"\n', `m."nMissing",${sumOf('negatives')},${sumOf('mirrored')}\n`),
};
