/** All that the control worker bundles. */
export { aggregateWorkflow } from './aggregate.ts';
export { calibrateWorkflow } from './calibrate.ts';
export { shardWorkflow } from './shard.ts';
export { sweepWorkflow } from './sweep.ts';
