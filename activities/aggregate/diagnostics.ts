/** Where two outputs part, from token ids: is every token perturbed, or is it one rare flip, or only the stop decision? */
import { ANALYSIS_VERSION } from '../../analysis/estimates.ts';
import { outputDifference } from '../../analysis/length-shift.ts';
import type { Db } from '../database.ts';
import { type Breathe, type OutputDiffRow, readOutputPairs, replaceOutputDiffs, type StaleCell } from '../ledger.ts';
import type { Stage } from './stages.ts';

export const diagnostics: Stage = {
  name: 'diagnostics',
  version: ANALYSIS_VERSION,
  needs: 'baseline',
  workloads: ['generate'],
  batchSamples: 16_000,
  run: aggregateDiagnostics,
};

export async function aggregateDiagnostics(db: Db, cells: readonly StaleCell[], breathe: Breathe): Promise<void> {
  const rows: OutputDiffRow[] = [];
  for (const { sweepNo, cellNo, baseline } of cells) {
    if (!baseline) continue;
    // One cell at a time: outputs are the only rows here that are not narrow.
    for (const pair of await readOutputPairs(db, { sweepNo, cellNo }, baseline)) {
      const difference = outputDifference(pair.base, pair.comp);
      if (!difference) continue;
      rows.push({ sweepNo, cellNo, sampleIdx: pair.sampleIdx, rep: pair.rep, baseline, ...difference });
    }
    await breathe();
  }
  await replaceOutputDiffs(db, cells, rows);
}
