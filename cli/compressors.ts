import { calibrate } from './calibrate.ts';
import { type Command, EXIT } from './command.ts';
import { explainCompressor, meanBits, parametersInShort } from './compressor-text.ts';
import { unknownCompressor } from './nearest.ts';
import { UsageError } from './usage-error.ts';

export const compressors: Command = {
  name: 'compressors',
  args: ['[name]'],
  about: 'the compressors of this engine; with a name, all that is known of it',
  commands: [calibrate],
  async run(context, [name]) {
    const { compressors: rows } = await context.engine.list();
    if (name === undefined) {
      if (context.json) context.result(rows, '');
      else {
        context.rows(
          rows.map((c) => ({
            name: c.name,
            family: c.family ?? '',
            title: c.title ?? '',
            parameters: parametersInShort(c),
            'bits d=64': meanBits(c, 64),
            'bits d=128': meanBits(c, 128),
            source: c.paper ?? c.source ?? '',
          })),
        );
        context.note('`kvsweep compressors NAME` explains one');
      }
      return EXIT.done;
    }
    const row = rows.find((c) => c.name === name);
    if (!row)
      throw new UsageError(
        unknownCompressor(
          name,
          rows.map((c) => c.name),
        ),
      );
    context.result(row, explainCompressor(row));
    return EXIT.done;
  },
};
