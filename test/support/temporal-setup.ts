/** One Temporal development server for the whole run; each test file takes a namespace of its own on it. */

import type { TestProject } from 'vitest/node';
import { findTemporalBinary, readConfig } from '../../workers/config.ts';
import { freePort } from '../../workers/ports.ts';
import { startTemporal } from '../../workers/temporal-server.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    /** null: there is no Temporal CLI here, the tests that need one are skipped. */
    temporalAddress: string | null;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const binary = findTemporalBinary(readConfig());
  if (binary === null) {
    const remedy = 'set KVSWEEP_TEMPORAL_BIN, put `temporal` on PATH, or run `npm run bootstrap`';
    if (process.env.CI === 'true') throw new Error(`no Temporal CLI: ${remedy}`);
    console.warn(`\n*** No Temporal CLI: every test of workflows and faults is SKIPPED. To run them ${remedy}. ***\n`);
    project.provide('temporalAddress', null);
    return async () => {};
  }
  const port = await freePort();
  const server = await startTemporal({
    binary,
    file: null,
    port,
    httpPort: await freePort(),
    metricsPort: await freePort(),
  });
  project.provide('temporalAddress', server.address);
  return () => server.stop();
}
