import { namedDatasets } from '../activities/named-datasets.ts';
import { describeDatasets, GENERATORS } from '../datasets/index.ts';
import { type Command, EXIT } from './command.ts';
import { renderTable } from './table.ts';

export const datasets: Command = {
  name: 'datasets',
  about: 'data sets that a spec can name, and the kinds of your own',
  async run(context) {
    const named = namedDatasets(context.config.dataFolder).map(({ name, ref, present }) => ({
      name,
      kind: ref.kind,
      present,
      path: ref.path ?? null,
    }));
    const kinds = describeDatasets();
    const text = `by name:\n${renderTable(named)}\n\nby kind, as \`dataset: {kind: ..., path: ...}\`:\n${renderTable(
      kinds.map((k) => ({ kind: k.kind, needs: (k.needs as string[]).join(', '), about: k.title })),
    )}\n\ngenerators, as \`dataset: {kind: gen, task: ..., length: 640}\` (tokens of prompt and answer):\n${renderTable(
      GENERATORS.map(({ name, about }) => ({ task: name, about })),
    )}`;
    context.result({ named, kinds, generators: GENERATORS }, text);
    return EXIT.done;
  },
};
