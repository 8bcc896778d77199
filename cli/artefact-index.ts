/** What is stored of artefacts, and making what is not: how `plan`, `launch` and `compressors calibrate` reach them. */
import type { ArtefactIndex, MissingCalibration } from '../activities/calibration-plan.ts';
import { findCalibration, hasArtefact, savePromptSet } from '../activities/ledger.ts';
import { deadQueues } from '../activities/queues.ts';
import { calibrateNow } from '../activities/sweep-client.ts';
import { NoStack } from '../workers/addresses.ts';
import type { CalibrateResult } from '../workflows/contracts.ts';
import { EXIT } from './command.ts';
import type { Context } from './context.ts';
import { durationText } from './table.ts';
import { UsageError } from './usage-error.ts';

/** Null where no database is reachable: then nothing is known of artefacts. */
export async function artefactIndex(context: Context): Promise<ArtefactIndex | null> {
  try {
    const db = await context.db();
    return {
      find: async (key) => (await findCalibration(db, key))?.sha256 ?? null,
      has: async (sha256) => await hasArtefact(db, sha256),
    };
  } catch (error) {
    if (error instanceof NoStack) return null;
    throw error;
  }
}

/** Makes each artefact on an engine worker, one after the other. */
export async function makeArtefacts(
  context: Context,
  missing: readonly MissingCalibration[],
): Promise<CalibrateResult[]> {
  if (missing.length === 0) return [];
  const db = await context.db();
  const { workflow } = await context.temporal();
  const dead = await deadQueues(workflow, [...new Set(missing.map(({ input }) => input.queue))]);
  if (dead.length > 0) {
    throw new UsageError(
      `an artefact has to be made and no worker polls ${dead.join(', ')}; start one (\`kvsweep up\` here, \`kvsweep worker --cpu\` on a node)`,
      EXIT.failed,
    );
  }
  const made: CalibrateResult[] = [];
  for (const { input, tokenSet } of missing) {
    await savePromptSet(db, tokenSet);
    const tokens = tokenSet.prompts.reduce((sum, p) => sum + (p.tokens?.length ?? 0), 0);
    context.note(
      `calibrating ${JSON.stringify(input.compressor)} for ${input.model.name} on ${tokens} tokens of ${tokenSet.dataset}`,
    );
    const started = performance.now();
    const result = await calibrateNow(workflow, input).catch((error: Error) => {
      throw new UsageError(`the calibration failed: ${rootCause(error).message}`, EXIT.failed);
    });
    context.note(
      `artefact ${result.sha256.slice(0, 12)}, ${result.bytes} bytes, after ${durationText(performance.now() - started)}`,
    );
    made.push(result);
  }
  return made;
}

/** What the engine said, below what Temporal wraps around it. */
function rootCause(error: Error): Error {
  return error.cause instanceof Error ? rootCause(error.cause) : error;
}
