#!/usr/bin/env node
import { realpathSync } from 'node:fs';
/** `kvsweep`: the table of commands and nothing else; `cli/main.ts` makes a program of it. */
import { pathToFileURL } from 'node:url';
import { bench } from './bench.ts';
import { cancel } from './cancel.ts';
import type { Command } from './command.ts';
import { compressors } from './compressors.ts';
import { datasets } from './datasets.ts';
import { doctor } from './doctor.ts';
import { down } from './down.ts';
import { exportCommand } from './export.ts';
import { importScores } from './import.ts';
import { launch } from './launch.ts';
import { logs } from './logs.ts';
import { main } from './main.ts';
import { models } from './models.ts';
import { negatives } from './negatives.ts';
import { nodes } from './nodes.ts';
import { pause } from './pause.ts';
import { plan } from './plan.ts';
import { query } from './query.ts';
import { report } from './report.ts';
import { resume, retry } from './resume.ts';
import { schema } from './schema.ts';
import { status } from './status.ts';
import { up } from './up.ts';
import { watch } from './watch.ts';
import { worker } from './worker.ts';

export const COMMANDS: readonly Command[] = [
  up,
  down,
  plan,
  launch,
  status,
  watch,
  pause,
  cancel,
  resume,
  retry,
  logs,
  query,
  schema,
  exportCommand,
  report,
  negatives,
  importScores,
  models,
  datasets,
  compressors,
  nodes,
  worker,
  bench,
  doctor,
];

// Run by name, by path or through the link that npm makes; imported by a test it does nothing.
if (process.argv[1] && pathToFileURL(realpathSync(process.argv[1])).href === import.meta.url) {
  process.exitCode = await main(COMMANDS, process.argv.slice(2));
  // Handles of libraries (gRPC, pools that wait for a dead server) must not hold a finished command.
  process.exit();
}
