import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import { sql } from 'kysely';
import { MODELS } from '../activities/model-catalogue.ts';
import { namedDatasets } from '../activities/named-datasets.ts';
import { deadQueues } from '../activities/queues.ts';
import { findTemporalBinary } from '../workers/config.ts';
import { readStackState, runningStack } from '../workers/stack-state.ts';
import { CONTROL_WORKER_QUEUES } from '../workflows/contracts.ts';
import { engineQueue, isEngineQueue } from '../workflows/queues.ts';
import { type Command, EXIT } from './command.ts';
import type { Context } from './context.ts';

interface Finding {
  check: string;
  ok: boolean;
  found: string;
  remedy: string;
}

/** Every check of `kvsweep doctor`: what is looked at, and what to do if it is not well. */
const CHECKS: { check: string; remedy: string; look(context: Context): Promise<string> }[] = [
  {
    check: 'engine',
    remedy: 'build it with `npm run bootstrap`, or name one in KVSWEEP_ENGINE',
    look: async ({ engine }) => {
      const list = await engine.list();
      return `protocol ${list.protocol}, ${Object.values(list.numerics).join(', ')}, ${list.compressors.length} compressors`;
    },
  },
  {
    check: 'Temporal CLI',
    remedy: 'run `npm run bootstrap`, put `temporal` on PATH or set KVSWEEP_TEMPORAL_BIN (needed for `up` only)',
    look: async ({ config }) => {
      const binary = findTemporalBinary(config);
      if (binary === null) throw new Error('none of KVSWEEP_TEMPORAL_BIN, PATH, .kvsweep/bin has one');
      return (await promisify(execFile)(binary, ['--version'])).stdout.trim();
    },
  },
  {
    check: 'models',
    remedy: 'run `npm run bootstrap`, or put .gguf files into the folder of KVSWEEP_MODELS',
    look: async ({ config }) => {
      const present = MODELS.filter((m) => config.modelFolders.some((f) => existsSync(`${f}/${m.file}`)));
      if (present.length === 0) throw new Error(`none of the known models in ${config.modelFolders.join(', ')}`);
      return present.map((m) => m.name).join(', ');
    },
  },
  {
    check: 'data sets',
    remedy: 'run `npm run bootstrap`, or put the file into the folder of KVSWEEP_DATA',
    look: async ({ config }) => {
      const absent = namedDatasets(config.dataFolder).filter((d) => !d.present && !d.optional);
      if (absent.length > 0) throw new Error(`missing: ${absent.map((d) => d.ref.path).join(', ')}`);
      return 'all there';
    },
  },
  {
    check: 'local stack',
    remedy: 'see the logs in .kvsweep/logs; `kvsweep down` then `kvsweep up --detach` starts afresh',
    look: async ({ config }) => {
      const state = await runningStack(config.paths);
      if (state) {
        if (state.problem) throw new Error(state.problem);
        const restarts = Object.entries(state.restarts).filter(([, n]) => n > 0);
        return `${state.phase}${restarts.map(([name, n]) => `; ${name} restarted ${n} times`).join('')}`;
      }
      if (await readStackState(config.paths)) throw new Error('its supervisor is dead');
      if (config.databaseUrl === null) throw new Error('not running, and DATABASE_URL is not set');
      return 'not used: DATABASE_URL is set';
    },
  },
  {
    check: 'Postgres',
    remedy: 'check DATABASE_URL, or start the local stack with `kvsweep up`',
    look: async (context) => {
      const { rows } = await sql<{ version: string; n: number }>`
        select current_setting('server_version') as version, (select count(*) from cell where status = 'leased') as n`.execute(
        await context.db(),
      );
      return `version ${rows[0]!.version}, ${rows[0]!.n} cells leased`;
    },
  },
  {
    check: 'Temporal server',
    remedy: 'check TEMPORAL_ADDRESS, or start the local stack with `kvsweep up`',
    look: async (context) => {
      const client = await context.temporal();
      const info = await client.workflowService.getSystemInfo({});
      return `server ${info.serverVersion}`;
    },
  },
  {
    check: 'workers',
    remedy: 'start `kvsweep worker --control --cpu` (or --gpu N), or the local stack with `kvsweep up`',
    look: async (context) => {
      const { workflow } = await context.temporal();
      const dead = await deadQueues(workflow, [...CONTROL_WORKER_QUEUES, engineQueue('cpu'), engineQueue('cuda')]);
      if (dead.some((queue) => !isEngineQueue(queue))) throw new Error('no control worker polls');
      if (dead.length === 2) throw new Error('no engine worker polls');
      return `control and ${dead.includes(engineQueue('cpu')) ? 'GPU' : 'CPU'} engine workers poll`;
    },
  },
];

export const doctor: Command = {
  name: 'doctor',
  about: 'check what kvsweep needs, and say what to do about it',
  async run(context) {
    const findings: Finding[] = [];
    for (const { check, remedy, look } of CHECKS) {
      try {
        findings.push({ check, ok: true, found: await look(context), remedy: '' });
      } catch (error) {
        findings.push({ check, ok: false, found: error instanceof Error ? error.message : String(error), remedy });
      }
    }
    const text = findings.map(
      (f) => `${f.ok ? 'ok     ' : 'PROBLEM'} ${f.check}: ${f.found}${f.ok ? '' : `\n        ${f.remedy}`}`,
    );
    context.result(findings, text.join('\n'));
    return findings.every((f) => f.ok) ? EXIT.done : EXIT.failed;
  },
};
