/** Where activities get their dependencies, and the types that workflows call them by. Nothing else. */
import type { CalibrateInput, CalibrateResult, RunGroupInput, RunGroupResult } from '../workflows/contracts.ts';
import { type AggregationDeps, createAggregationActivities } from './aggregation.ts';
import { createCalibrate } from './calibrations.ts';
import { createControlActivities } from './control.ts';
import { createRunGroup, type GroupDeps } from './groups.ts';

export type { AggregationActivities, AggregationJobs } from './aggregation.ts';
export type { ControlActivities } from './control.ts';

export interface EngineActivities {
  runGroup(input: RunGroupInput): Promise<RunGroupResult>;
  calibrate(input: CalibrateInput): Promise<CalibrateResult>;
}

/** Activities of the control worker, by queue. */
export function createActivities(deps: AggregationDeps) {
  return { control: createControlActivities(deps), aggregation: createAggregationActivities(deps) };
}

/** Activities of an engine worker. */
export function createEngineActivities(deps: GroupDeps): EngineActivities {
  return { runGroup: createRunGroup(deps), calibrate: createCalibrate(deps) };
}
