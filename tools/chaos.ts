/**
 * Kills something at a random moment of a real sweep, resumes, and compares the rows with an undisturbed run.
 *
 *   npm run chaos -- --runs 20 --seed 1
 *
 * Each run is a fresh sweep on the local stack with the real engine and model. One of {worker, engine, temporal, cli}
 * is killed with SIGKILL at a moment drawn from the seed; then `kvsweep resume` has to finish the sweep. No row may be
 * lost, none twice, and the token hashes are those of the reference. Needs a build and the bootstrap's files.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { type Db, openDatabase, query } from '../activities/database.ts';
import { readConfig } from '../workers/config.ts';
import { runningStack, type StackState } from '../workers/stack-state.ts';

const VICTIMS = ['worker', 'engine', 'temporal', 'cli'] as const;
type Victim = (typeof VICTIMS)[number];

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '20' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string' },
  },
});
const runs = Number(values.runs);
const seed = Number(values.seed);
const victims = values.only === undefined ? VICTIMS : VICTIMS.filter((name) => name === values.only);
if (!Number.isInteger(runs) || runs < 1 || !Number.isInteger(seed) || victims.length === 0) {
  throw new Error(`use: chaos [--runs N] [--seed N] [--only ${VICTIMS.join('|')}]`);
}

const config = readConfig();
const entry = join(config.paths.root, 'dist/cli/index.js');
if (!existsSync(entry)) throw new Error('dist/ is not built; run `npm run build` first');

/** Small, but with every kind of row: about half a minute on two cores. */
const SPEC = `
name: chaos
models: [smollm2-135m]
compressors:
  - none
  - streaming_llm: { sinks: 4, recent: 60 }
  - kivi: { bits: [4, 2], group: 32, window: 64 }
batch_sizes: [1, 4]
workloads:
  - generate: { dataset: sharegpt, prompts: 4, max_new_tokens: 48, sampling: greedy }
  - throughput: { prompt_tokens: 64, new_tokens: 8, repeats: 5 }
baseline_replicates: 1
backend: cpu
`;

/** What two runs must agree on. */
interface Rows {
  /** `workload/label/batch/noise/sample/rep` -> token hash. */
  hashes: Map<string, string>;
  /** The same without the sample -> number of timed rows. */
  timed: Map<string, number>;
  states: Record<string, number>;
}

const random = mulberry32(seed);
const folder = join(config.paths.home, 'chaos');
await mkdir(folder, { recursive: true });
const spec = join(folder, 'chaos.yaml');
await writeFile(spec, SPEC);

const ran = await runningStack(config.paths);
if (ran === null) await kvsweep(['up', '--detach']).done;
const db = openDatabase((await stackState()).databaseUrl!, { max: 2, applicationName: 'kvsweep-chaos' });
let bad = 0;
try {
  const tag = `chaos-${seed}-${Date.now().toString(36)}`;
  const started = performance.now();
  const code = await kvsweep(['launch', spec, '--id', `${tag}-ref`, '--fresh', '--yes', '--watch']).done;
  if (code !== 0) throw new Error(`the undisturbed run ended with exit code ${code}; chaos needs a sound one`);
  const referenceMs = performance.now() - started;
  const reference = await readRows(db, `${tag}-ref`);
  print(`reference: ${reference.hashes.size} samples, ${reference.timed.size} timed cells, ${seconds(referenceMs)}`);

  for (let run = 1; run <= runs; run++) {
    const victim = victims[Math.floor(random() * victims.length)]!;
    const delayMs = random() * 0.9 * referenceMs;
    // A run counts only if something was killed; a sweep that was over sooner is run again and hit earlier.
    let outcome = await chaosRun(`${tag}-${run}`, run, victim, delayMs, reference);
    for (let again = 1; !outcome.killed && outcome.problems.length === 0; again++)
      outcome = await chaosRun(`${tag}-${run}-${again}`, run, victim, delayMs / 2 ** again, reference);
    const { problems } = outcome;
    if (problems.length > 0) bad++;
    print(problems.length === 0 ? `run ${run}: same rows` : `run ${run}: WRONG: ${problems.join('; ')}`);
  }
} finally {
  await db.destroy();
  if (ran === null) await kvsweep(['down']).done;
}
print(`${runs - bad} of ${runs} runs ended with the rows of the undisturbed run (seed ${seed})`);
process.exitCode = bad === 0 ? 0 : 1;

async function chaosRun(
  id: string,
  run: number,
  victim: Victim,
  delayMs: number,
  reference: Rows,
): Promise<{ killed: boolean; problems: string[] }> {
  const launch = ['launch', spec, '--id', id, '--fresh', '--yes', '--watch'];
  const cli = kvsweep(launch);
  await Promise.race([sleep(delayMs), cli.done]);
  const pid = await pidOf(victim, cli.child);
  const done = await doneCells(id);
  if (pid === null) print(`run ${run}: nothing to kill: the sweep was over after ${seconds(delayMs)}`);
  else {
    print(`run ${run}: kill -9 ${victim} (pid ${pid}) ${seconds(delayMs)} after launch, ${done ?? 'no'} cells done`);
    process.kill(pid, 'SIGKILL');
  }
  if (victim === 'temporal' && pid !== null) await untilRestarted(pid);
  // A launch that died before its transaction left nothing to resume: the user launches again.
  const stored = await storedOrEnded(id, cli.child);
  const next = stored ? ['resume', id, '--watch'] : launch;
  const code = await kvsweep(next).done;
  await cli.done;
  const problems = code === 0 ? [] : [`kvsweep ${next[0]} ended with exit code ${code}`];
  problems.push(...differences(reference, await readRows(db, id)));
  return { killed: pid !== null, problems };
}

function differences(reference: Rows, rows: Rows): string[] {
  const problems: string[] = [];
  const note = (what: string, keys: string[]) => {
    if (keys.length > 0) problems.push(`${keys.length} ${what} (${keys.slice(0, 3).join(', ')})`);
  };
  const { hashes, timed } = reference;
  note(
    'samples lost',
    [...hashes.keys()].filter((key) => !rows.hashes.has(key)),
  );
  note(
    'samples too many',
    [...rows.hashes.keys()].filter((key) => !hashes.has(key)),
  );
  note(
    'samples with other tokens',
    [...rows.hashes].filter(([key, sha]) => hashes.has(key) && hashes.get(key) !== sha).map(([key]) => key),
  );
  note(
    'timed cells with other row counts',
    [...timed].filter(([key, n]) => rows.timed.get(key) !== n).map(([key]) => key),
  );
  if (JSON.stringify(rows.states) !== JSON.stringify(reference.states))
    problems.push(`cells by state ${JSON.stringify(rows.states)}`);
  return problems;
}

async function readRows(from: Db, id: string): Promise<Rows> {
  const cell = `concat_ws('/', c.workload, c.label, c.batch, coalesce(c.noise_kind, '-'))`;
  const of = 'join sweep s on s.sweep_no = c.sweep_no and s.id = $1';
  const samples = await query<{ key: string; sha: string | null }>(
    from,
    `select ${cell} || '/' || m.sample_idx || '/' || m.rep as key, encode(m.out_sha, 'hex') as sha
       from sample m join cell c using (sweep_no, cell_no) ${of}`,
    [id],
  );
  const timed = await query<{ key: string; n: number }>(
    from,
    `select ${cell} as key, count(*) as n
       from throughput_run t join cell c using (sweep_no, cell_no) ${of} where not t.guard group by 1`,
    [id],
  );
  const states = await query<{ status: string; n: number }>(
    from,
    `select c.status, count(*) as n from cell c ${of} group by 1 order by 1`,
    [id],
  );
  const hashes = new Map(samples.map((row) => [row.key, row.sha ?? 'error']));
  if (hashes.size !== samples.length) throw new Error(`sweep ${id} holds a sample twice`);
  return {
    hashes,
    timed: new Map(timed.map((row) => [row.key, row.n])),
    states: Object.fromEntries(states.map((row) => [row.status, row.n])),
  };
}

/** Waits until the sweep is stored; false if its launch ended before that. */
async function storedOrEnded(id: string, cli: ChildProcess): Promise<boolean> {
  for (;;) {
    const ended = cli.exitCode !== null || cli.signalCode !== null;
    if ((await doneCells(id)) !== null) return true;
    if (ended) return false;
    await sleep(50);
  }
}

/** Null: the sweep is not stored yet. */
async function doneCells(id: string): Promise<number | null> {
  const rows = await query<{ n: number }>(
    db,
    `select count(c.*) filter (where c.status = 'done') as n from sweep s left join cell c using (sweep_no)
      where s.id = $1 group by s.sweep_no`,
    [id],
  );
  return rows[0]?.n ?? null;
}

async function pidOf(victim: Victim, cli: ChildProcess): Promise<number | null> {
  if (victim === 'cli') return cli.exitCode === null ? cli.pid! : null;
  // A part that is between two lives is waited for; so is an engine that has not been started yet.
  for (const endAt = Date.now() + 20_000; Date.now() < endAt; await sleep(50)) {
    if (cli.exitCode !== null) return null;
    const { pids } = await stackState();
    const worker = pids.workers[0];
    const pid =
      victim === 'temporal' ? pids.temporal : victim === 'worker' ? worker : worker && (await childOf(worker));
    if (pid) return pid;
  }
  throw new Error(`no ${victim} appeared in 20 s`);
}

/** The engine of a worker: its child process. */
async function childOf(parent: number): Promise<number | null> {
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const stat = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => '');
    if (Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === parent) return Number(name);
  }
  return null;
}

async function untilRestarted(pid: number): Promise<void> {
  for (const endAt = Date.now() + 60_000; Date.now() < endAt; await sleep(100)) {
    const { pids } = await stackState();
    if (pids.temporal !== null && pids.temporal !== pid) return;
  }
  throw new Error('the Temporal server was not started again in 60 s');
}

async function stackState(): Promise<StackState> {
  const state = await runningStack(config.paths);
  if (state === null) throw new Error('the local stack does not run; see .kvsweep/logs/up.log');
  return state;
}

function kvsweep(args: string[]): { child: ChildProcess; done: Promise<number> } {
  const child = spawn(process.execPath, [entry, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-2_000);
  });
  const done = new Promise<number>((resolve) => {
    child.once('close', (code) => {
      // Exit code 3 and 130 are answers; anything else that is not 0 is worth its last words.
      if (code !== 0 && code !== null) process.stderr.write(`kvsweep ${args[0]} ended with ${code}: ${said.trim()}\n`);
      resolve(code ?? 137);
    });
  });
  return { child, done };
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

/** A small seeded generator (mulberry32): the same seed gives the same kills. */
function mulberry32(start: number): () => number {
  let state = start >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
