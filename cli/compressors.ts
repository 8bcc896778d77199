import type { CompressorRow } from '../activities/engine-commands.ts';
import { type Command, EXIT } from './command.ts';
import { UsageError } from './usage-error.ts';

export const compressors: Command = {
  name: 'compressors',
  args: ['[name]'],
  about: 'the compressors of this engine; with a name, its parameters',
  async run(context, [name]) {
    const { compressors: rows } = await context.engine.list();
    if (name === undefined) {
      if (context.json) context.result(rows, '');
      else {
        context.rows(
          rows.map((c) => ({
            name: c.name,
            family: c.family ?? '',
            parameters: c.params.map((p) => p.name).join(', '),
            about: c.title ?? '',
            paper: c.paper ?? '',
          })),
        );
      }
      return EXIT.done;
    }
    const row = rows.find((c) => c.name === name);
    if (!row)
      throw new UsageError(`unknown compressor '${name}'; this engine has ${rows.map((c) => c.name).join(', ')}`);
    context.result(row, explain(row));
    return EXIT.done;
  },
};

function explain(row: CompressorRow): string {
  const lines = [`${row.name}: ${row.title ?? ''}`];
  if (row.paper) lines.push(`paper: ${row.paper}`);
  for (const p of row.params) {
    const range = p.choices
      ? `one of ${p.choices.map(String).join(', ')}`
      : p.range
        ? `${p.range[0] ?? ''} to ${p.range[1] ?? ''}`
        : '';
    const fallback = p.default === undefined || p.default === null ? '' : `default ${String(p.default)}`;
    lines.push(
      `  ${p.name.padEnd(16)} ${[p.type, range, fallback].filter(Boolean).join('; ')}${p.meaning ? `. ${p.meaning}` : ''}`,
    );
  }
  for (const [alias, targets] of Object.entries(row.input_aliases ?? {}))
    lines.push(
      `  ${alias.padEnd(16)} ${Array.isArray(targets) ? `sets ${targets.join(' and ')}` : `means ${targets}`}`,
    );
  for (const rule of row.rules ?? []) lines.push(`  rule: ${rule}`);
  return lines.join('\n');
}
