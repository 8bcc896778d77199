/** Makes one calibration artefact on an engine worker. The activity looks it up first, so a second start is harmless. */
import * as wf from '@temporalio/workflow';
import type { EngineActivities } from '../activities/index.ts';
import type { CalibrateInput, CalibrateResult } from './contracts.ts';
import { calibrationOptions } from './retry-policies.ts';

export async function calibrateWorkflow(input: CalibrateInput): Promise<CalibrateResult> {
  const { calibrate } = wf.proxyActivities<EngineActivities>(calibrationOptions(input.queue));
  return await calibrate(input);
}
