/** All that the control worker bundles. */
export { aggregateWorkflow } from './aggregate.ts';
export { calibrateWorkflow } from './calibrate.ts';
export { estimatesWorkflow } from './estimates.ts';
export { shardWorkflow } from './shard.ts';
export { sweepWorkflow } from './sweep.ts';
