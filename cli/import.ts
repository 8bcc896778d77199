import { resolve } from 'node:path';
import { aggregateNegatives } from '../activities/aggregate/negatives.ts';
import { query } from '../activities/database.ts';
import { readRethinkArtifact } from '../activities/import/rethink-artifact.ts';
import { importedCells, SOURCE, storeImport } from '../activities/import/store.ts';
import { migrate } from '../migrations/migrate.ts';
import { type Command, EXIT } from './command.ts';

const rethinkArtifact: Command = {
  name: SOURCE,
  args: ['<dir>'],
  about:
    'the per-sample scores of the artifact of arXiv 2503.24000: a folder of *_eval.json files, or the one above scores/',
  options: [{ flags: '--id <name>', about: 'name of the sweep that they become', fallback: SOURCE }],
  async run(context, [dir], options) {
    const { cells, alone } = await readRethinkArtifact(resolve(dir!));
    const db = await context.db();
    // An import may be the first thing that a database sees.
    await migrate(db);
    const id = String(options.id);
    const { sweepNo, changed } = await storeImport(db, id, cells);
    const stored = await importedCells(db, sweepNo);
    await aggregateNegatives(db, stored, async () => context.interrupted.throwIfAborted());
    if (changed) await query(db, 'analyze negative_threshold, negative_summary, negative_set');
    if (alone.length > 0) context.note(`without a baseline file, so compared with nothing: ${alone.join(', ')}`);
    const scores = cells.reduce((sum, cell) => sum + cell.scores.length, 0);
    const labels = [...new Set(cells.map((cell) => cell.label))].sort();
    context.result(
      { sweep: id, changed, files: cells.length, scores, labels, alone },
      `${changed ? 'imported' : 'already imported, nothing changed'}: sweep ${id}, ${cells.length} files, ` +
        `${scores} scores, ${labels.join(', ')}\n\`kvsweep negatives ${id}\` lists its negative samples`,
    );
    return EXIT.done;
  },
};

export const importScores: Command = {
  name: 'import',
  about: 'bring published per-sample scores into the tables, as a sweep that needs no engine',
  commands: [rethinkArtifact],
  async run(context) {
    context.note('say what to import: kvsweep import rethink-artifact DIR');
    return EXIT.usage;
  },
};
