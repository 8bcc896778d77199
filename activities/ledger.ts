/** Every query of kvsweep by its name; one topic a file in `ledger/`. The first argument is always the `Db`. */

export { type CellStatsRow, replaceCellStats, replaceEstimates, replaceOutputDiffs } from './ledger/aggregates.ts';
export { type FoundArtefact, findCalibration, hasArtefact, readArtefact, saveCalibration } from './ledger/artefacts.ts';
export { bytesOfTokens, tokensOf } from './ledger/bytes.ts';
export {
  type PromptColumns,
  readOutputPairs,
  readPromptColumns,
  readSampleColumns,
  readScoredColumns,
  runKey,
  type ScoredColumns,
} from './ledger/columns.ts';
export { type Committed, commitCell } from './ledger/commit.ts';
export { LedgerRefusal, SpecConflict, StaleAttempt } from './ledger/errors.ts';
export { type FailGroupInput, failCell, failGroup, recordCellError } from './ledger/failures.ts';
export { type CompiledFilter, compileFilter } from './ledger/filter.ts';
export { recordGuard } from './ledger/guard.ts';
export { type EngineBuild, registerEngineBuild, registerHost } from './ledger/hosts.ts';
export { type AttemptOutcome, claimGroup, endAttempt, releaseGroup, startCell } from './ledger/leases.ts';
export { type Pace, readPaces } from './ledger/paces.ts';
export { type InsertedPlan, type InsertOptions, insertPlan } from './ledger/plans.ts';
export { applyFailurePolicy } from './ledger/policy.ts';
export * from './ledger/progress.ts';
export { loadPrompts, savePromptSet } from './ledger/prompts.ts';
export { type ReopenInput, reopenCells } from './ledger/reopen.ts';
export { type Finished, findFinished, type ReusableCell } from './ledger/reuse.ts';
export { closeRun, openRun, readSweepStatus, type StatusChange, setSweepStatus } from './ledger/runs.ts';
export { countOpen, nextGroups, planShards, readOpenQueues } from './ledger/scheduling.ts';
export {
  type AnswerColumns,
  type Question,
  readAnswers,
  readQuestions,
  readTexts,
  replaceScores,
  type Scored,
  scoreLine,
  scoreTail,
} from './ledger/scores.ts';
export { LOCK_CELLS, markStage, runArrays, staleCells } from './ledger/stages.ts';
export * from './ledger/types.ts';
