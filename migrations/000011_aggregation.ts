import type { Kysely } from 'kysely';
import { latencySummary as latencySummaryBefore } from './000005/latency.ts';
import {
  lengthShift as lengthShiftBefore,
  lengthShiftSummary as lengthShiftSummaryBefore,
  noiseFloor as noiseFloorBefore,
} from './000005/lengths.ts';
import { scoreSummary as scoreSummaryBefore, scores as scoresBefore } from './000008/scores.ts';
import { latencySummary } from './000011/latency.ts';
import { lengthShift, lengthShiftSummary, noiseFloor } from './000011/lengths.ts';
import { dropView, putView } from './000011/put-view.ts';
import { scoreSummary, scores } from './000011/scores.ts';
import { tablesDown, tablesUp } from './000011/tables.ts';

/** In the order in which they use each other. */
const BEFORE = [
  lengthShiftBefore,
  lengthShiftSummaryBefore,
  noiseFloorBefore,
  latencySummaryBefore,
  scoresBefore,
  scoreSummaryBefore,
];
const AFTER = [lengthShift, lengthShiftSummary, noiseFloor, latencySummary, scores, scoreSummary];

/**
 * Aggregation of millions of samples: no row per pair is stored any more, summaries are read and not computed, and a
 * stage knows which cells have changed.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const view of [...BEFORE].reverse()) await dropView(db, view);
  await tablesUp(db);
  for (const view of AFTER) await putView(db, view);
}

export async function down(db: Kysely<unknown>): Promise<void> {
  for (const view of [...AFTER].reverse()) await dropView(db, view);
  await tablesDown(db);
  for (const view of BEFORE) await putView(db, view);
}
