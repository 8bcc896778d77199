/** Where Postgres and Temporal are: the environment's word first, else the running local stack of this checkout. */
import { loadClientConnectConfig } from '@temporalio/envconfig';
import type { Config } from './config.ts';
import { runningStack } from './stack-state.ts';

export interface Addresses {
  databaseUrl: string;
  temporal: ReturnType<typeof loadClientConnectConfig>;
  /** `environment` or the local stack. */
  from: 'environment' | 'local stack';
}

/** No address is configured and no local stack runs. */
export class NoStack extends Error {
  constructor(missing: string) {
    super(
      `${missing} is not set and no local stack runs here: start one with \`kvsweep up\`, or set the address of yours`,
    );
    this.name = 'NoStack';
  }
}

/** @throws NoStack with the remedy. */
export async function readAddresses(config: Config): Promise<Addresses> {
  const needsStack = config.databaseUrl === null || !config.temporalFromEnvironment;
  const stack = needsStack ? await runningStack(config.paths) : null;
  const databaseUrl = config.databaseUrl ?? stack?.databaseUrl;
  if (!databaseUrl) throw new NoStack('DATABASE_URL');
  if (!config.temporalFromEnvironment && !stack) {
    // A user's own profile file counts as configuration too; the library looks for it.
    const temporal = loadClientConnectConfig({ overrideEnvVars: config.temporalEnvironment });
    if (!temporal.connectionOptions.address) throw new NoStack('TEMPORAL_ADDRESS');
    return { databaseUrl, temporal, from: 'environment' };
  }
  const temporal = config.temporalFromEnvironment
    ? loadClientConnectConfig({ overrideEnvVars: config.temporalEnvironment })
    : { connectionOptions: { address: stack!.temporalAddress }, namespace: 'default' };
  return { databaseUrl, temporal, from: stack ? 'local stack' : 'environment' };
}
