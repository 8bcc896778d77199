/** Fills the model of a report from Postgres. Reads only; what aggregation has not computed yet stays absent. */
import { countOpenEstimates } from '../activities/aggregate/jobs.ts';
import type { Db } from '../activities/database.ts';
import { readFailures, readProgress, readSweep } from '../activities/ledger.ts';
import { REPORT_SCHEMA, type ReportModel, type SweepFacts } from './model.ts';
import { provenanceOf } from './provenance-data.ts';
import { type CellLine, cellLines } from './queries.ts';
import { readInert, readMemory, readPerplexities, readScores } from './read/cells.ts';
import { readGenerations } from './read/generations.ts';
import { readKept } from './read/kept.ts';
import { readNegatives } from './read/negatives.ts';
import { readThroughputs } from './read/throughput.ts';

export async function readReport(db: Db, sweepId: string): Promise<ReportModel> {
  const sweep = await readSweep(db, sweepId);
  const lines = (await cellLines(db, sweepId)).filter((line) => line.status === 'done' && !isReplicate(line));
  const plain = lines.filter((line) => line.noise_kind === null);
  const of = (from: readonly CellLine[], ...kinds: CellLine['kind'][]) => from.filter((l) => kinds.includes(l.kind));
  return {
    schema: REPORT_SCHEMA,
    sweep: await sweepFacts(db, sweepId),
    ...(await readGenerations(db, of(lines, 'generate'))),
    throughputs: await readThroughputs(db, of(lines, 'throughput')),
    perplexities: await readPerplexities(db, of(plain, 'score')),
    scores: await readScores(db, of(plain, 'generate')),
    memory: await readMemory(db, of(plain, 'generate', 'score')),
    inert: await readInert(
      db,
      lines.filter((line) => line.compressed === false),
    ),
    negatives: await readNegatives(db, of(plain, 'generate', 'import')),
    kept: await readKept(db, of(plain, 'generate')),
    provenance: await provenanceOf(db, sweep, lines),
  };
}

/** A compressed cell run again with another seed or order of sums: it serves the robust negatives alone. */
function isReplicate(line: CellLine): boolean {
  return line.noise_kind !== null && line.compressor !== 'none';
}

async function sweepFacts(db: Db, sweepId: string): Promise<SweepFacts> {
  const { sweepNo, status, createdAt } = await readSweep(db, sweepId);
  const progress = await readProgress(db, sweepId);
  const { counts } = progress;
  const failures = (await readFailures(db, sweepNo)).filter((f) => f.status === 'failed');
  return {
    id: sweepId,
    status,
    createdAt: createdAt.toISOString(),
    reportedAt: new Date().toISOString(),
    cells: {
      planned: progress.total,
      done: counts.done,
      reused: progress.reused,
      failed: counts.failed,
      open: counts.pending + counts.leased + counts.lost,
    },
    estimatesOpen: await countOpenEstimates(db, sweepNo),
    failures: failures.map(({ label, batch, workload, errClass, errKind, message }) => ({
      label,
      batch,
      workload,
      reason: [errClass, errKind, message].filter((part) => part !== null).join(': '),
    })),
  };
}
