/** The row of the negatives stage: it rests on the scores of a cell, its baseline, the noise cells and the replicates. */
import { SCORER_VERSION } from '../../analysis/metrics/index.ts';
import { aggregateNegatives, NEGATIVES_VERSION } from './negatives.ts';
import type { Stage } from './stages.ts';

export const negatives: Stage = {
  name: 'negatives',
  // other scores are other negatives
  version: `${NEGATIVES_VERSION}/${SCORER_VERSION}`,
  needs: 'family',
  workloads: ['generate', 'import'],
  batchSamples: 200_000,
  run: aggregateNegatives,
};
