/**
 * Reads a folder of the artifact's score files into cells: one per file. Everything is read and checked before anything
 * is written.
 */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { canonicalJson } from '../../datasets/prompt-set.ts';
import type { ScoreFileName } from './score-file.ts';
import { type Configuration, configurationOf, ImportError, parseFileName, parseScores } from './score-file.ts';

export interface ImportedCell extends ScoreFileName {
  /** sha256 hex of what the cell is and of its file's bytes: other scores, another cell. */
  key: string;
  fileSha: string;
  compressor: string;
  label: string;
  parameters: Configuration['parameters'];
  baselineKey: string | null;
  scores: number[];
}

export interface ImportedFolder {
  cells: ImportedCell[];
  /** Configurations without a baseline to be held against. */
  alone: string[];
}

const sha256 = (data: string | Buffer) => createHash('sha256').update(data).digest('hex');

/** @param dir the folder with the files, or the one above its `scores/` @throws ImportError that names the file */
export async function readRethinkArtifact(dir: string): Promise<ImportedFolder> {
  const folder = await folderOf(dir);
  const names = (await readdir(folder)).sort().flatMap((file) => parseFileName(file) ?? []);
  if (names.length === 0)
    throw new ImportError(`${folder} holds no file that ends in _eval.json; give the folder of the scores`);
  const labels = labelsOf(names);
  const cells: ImportedCell[] = [];
  for (const name of names) {
    const bytes = await readFile(join(folder, name.file)).catch((error: NodeJS.ErrnoException) => {
      throw new ImportError(`${name.file}: cannot be read (${error.code})`, { cause: error });
    });
    const { compressor, parameters } = configurationOf(name);
    const fileSha = sha256(bytes);
    const { file: _, ...identity } = name;
    const key = sha256(canonicalJson({ import: 'rethink-artifact', ...identity, file_sha: fileSha }));
    const scores = parseScores(name.file, bytes.toString('utf8'));
    cells.push({ ...name, key, fileSha, compressor, label: labels.get(name)!, parameters, baselineKey: null, scores });
  }
  return paired(cells);
}

async function folderOf(dir: string): Promise<string> {
  for (const folder of [join(dir, 'scores'), dir]) {
    const found = await readdir(folder).catch(() => null);
    if (found) return folder;
  }
  throw new ImportError(`${dir} is not a folder that can be read`);
}

/** Short labels; where two settings would share one, their whole names. */
function labelsOf(names: readonly ScoreFileName[]): Map<ScoreFileName, string> {
  const settings = new Map<string, Set<string>>();
  for (const name of names) {
    const { label, longLabel } = configurationOf(name);
    settings.set(label, (settings.get(label) ?? new Set()).add(longLabel));
  }
  return new Map(
    names.map((name) => {
      const { label, longLabel } = configurationOf(name);
      return [name, label !== 'none' && settings.get(label)!.size > 1 ? longLabel : label];
    }),
  );
}

/** Each cell finds the `hf` file of its model, context, batch and set. */
function paired(cells: ImportedCell[]): ImportedFolder {
  const place = ({ model, context, batch, set }: ImportedCell) => JSON.stringify([model, context, batch, set]);
  const baselines = new Map<string, ImportedCell>();
  for (const cell of cells) {
    if (cell.compressor !== 'none') continue;
    const other = baselines.get(place(cell));
    if (other) throw new ImportError(`${cell.file}: a second baseline beside ${other.file}; leave one of them out`);
    baselines.set(place(cell), cell);
  }
  const alone = new Set<string>();
  for (const cell of cells) {
    if (cell.compressor === 'none') continue;
    const baseline = baselines.get(place(cell));
    if (!baseline) {
      alone.add(`${cell.label} on ${cell.set}`);
      continue;
    }
    if (baseline.scores.length !== cell.scores.length) {
      throw new ImportError(
        `${cell.file}: ${cell.scores.length} scores, but its baseline ${baseline.file} has ${baseline.scores.length}`,
      );
    }
    cell.baselineKey = baseline.key;
  }
  return { cells, alone: [...alone] };
}
