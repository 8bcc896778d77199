import { cells as cellsBefore, pairs as pairsBefore } from '../000005/cells.ts';
import type { View } from '../000005/view.ts';

/** An imported cell has scores instead of samples. */
export const cells: View = {
  ...cellsBefore,
  columns: {
    ...cellsBefore.columns,
    model_sha: 'sha256 of the model file, hex; null for an import',
    workload: 'the workload as the engine got it; for an import the source of the scores',
    kind: 'generate, throughput, score or import',
    effective: 'parameters as the engine resolved and reported them; null for an import, where only labels are known',
    invariant: 'true: tokens do not depend on the batch; null for an import',
    backend: 'cpu or cuda; null for an import',
    n_done: 'samples stored without an error; for throughput the timed repeats, for an import the scores',
  },
  text: cellsBefore.text.replace(
    `                       else (select count(*) from sample t`,
    `                       when c.workload = 'import'
                       then (select count(*) from score t where t.sweep_no = r.sweep_no and t.cell_no = r.cell_no)
                       else (select count(*) from sample t`,
  ),
};

/** A replicate of a compressed cell is no pair of its own. */
export const pairs: View = {
  ...pairsBefore,
  comment: `${pairsBefore.comment} Replicates of compressed cells are left out.`,
  text: pairsBefore.text.replace(
    'where not_inert(r.compressor, r.summary)',
    'where not_inert(r.compressor, r.summary) and r.replicate_of is null',
  ),
};
