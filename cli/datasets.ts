import { longBenchFolder, namedDatasets } from '../activities/named-datasets.ts';
import { DATASETS, describeDatasets, GENERATORS } from '../datasets/index.ts';
import { type Command, EXIT } from './command.ts';
import type { Context } from './context.ts';
import { type Described, explainKind, explainMetrics, longBenchSets } from './dataset-text.ts';
import { nearest } from './nearest.ts';
import { renderTable } from './table.ts';
import { UsageError } from './usage-error.ts';

export const datasets: Command = {
  name: 'datasets',
  args: ['[name]'],
  about: 'data sets that a spec can name, and the kinds of your own; with a name, all that is known of it',
  async run(context, [name]) {
    const { data, text } = await (name === undefined ? overview(context) : explained(context, name));
    context.result(data, text);
    if (name === undefined && !context.json)
      context.note('`kvsweep datasets NAME` explains one, `kvsweep datasets metrics` lists the metrics');
    return EXIT.done;
  },
};

async function overview({ config }: Context): Promise<Described> {
  const found = namedDatasets(config.dataFolder);
  const named = found.map(({ name, ref, present, get }) => ({
    name,
    kind: ref.kind,
    present,
    path: ref.path ?? null,
    get: present ? '' : get,
  }));
  const folder = longBenchFolder(config.dataFolder);
  const sets = await longBenchSets(folder);
  const here = sets.filter((row) => row.here !== 'missing').map((row) => row.set as string);
  const kinds = describeDatasets();
  const text = [
    'by name:',
    renderTable(named),
    '',
    `LongBench: ${here.length} of ${sets.length} sets in ${folder}${here.length === 0 ? ' (`kvsweep datasets longbench` says how to get it)' : `: ${here.join(', ')}`}`,
    '',
    'by kind, as `dataset: {kind: ..., path: ...}`:',
    renderTable(kinds.map((k) => ({ kind: k.kind, needs: (k.needs as string[]).join(', '), about: k.title }))),
    '',
    'generators, as `dataset: {kind: gen, task: ..., length: 640}` (tokens of prompt and answer):',
    renderTable(GENERATORS.map(({ name, about }) => ({ task: name, about }))),
  ].join('\n');
  return { data: { named, longbench: { folder, sets: here }, kinds, generators: [...GENERATORS] }, text };
}

async function explained({ config }: Context, name: string): Promise<Described> {
  if (name === 'metrics') return explainMetrics();
  const named = namedDatasets(config.dataFolder).find((d) => d.name === name);
  const generator = GENERATORS.some((g) => g.name === name);
  const kind = DATASETS.find((d) => d.kind === name)?.kind ?? named?.ref.kind ?? (generator ? 'gen' : null);
  if (kind === null) {
    const known = [...DATASETS.map((d) => d.kind), ...namedDatasets(config.dataFolder).map((d) => d.name), 'metrics'];
    const meant = nearest(name, known);
    throw new UsageError(
      `there is no data set '${name}'${meant ? ` (did you mean ${meant}?)` : ''}; known are ${[...new Set(known)].join(', ')}`,
    );
  }
  const file = named?.ref.path ?? namedDatasets(config.dataFolder).find((d) => d.ref.kind === kind)?.ref.path ?? null;
  return await explainKind(kind, kind === 'longbench' ? longBenchFolder(config.dataFolder) : file);
}
