/**
 * Writes docs/compressors.md from the rows of the engine's registry (`gpu-runner list --json`).
 * Run: npm run docs
 */
import { writeFile } from 'node:fs/promises';
import { argv } from 'node:process';
import { fileURLToPath } from 'node:url';
import { type CompressorRow, engineCommands } from '../activities/engine-commands.ts';
import {
  aliasText,
  bitsFormula,
  defaultText,
  evictAtText,
  meanBits,
  parametersInShort,
  rangeText,
} from '../cli/compressor-text.ts';
import { readConfig } from '../workers/config.ts';

export const DOCS_FILE = fileURLToPath(new URL('../docs/compressors.md', import.meta.url));

/** Markdown of all rows: one table of them all, then the parameters of each. */
export function compressorDocs(rows: readonly CompressorRow[]): string {
  const overview = table(
    [
      'name',
      'what',
      'family',
      'bits, d 64',
      'bits, d 128',
      'evicts at',
      'in a composition',
      'equals the baseline if',
      'source',
    ],
    rows.map((r) => [
      `[\`${r.name}\`](#${r.name})`,
      r.title,
      r.family,
      meanBits(r, 64),
      meanBits(r, 128),
      evictAtText(r),
      r.compose_role,
      r.identity_setting,
      sourceOf(r),
    ]),
  );
  return `# Compressors

*Written by \`npm run docs\` from the engine's own registry (\`gpu-runner list --json\`); do not edit. A test compares it with the
engine.*

${rows.length} rows. Bits are per K or V element that is sealed, scales and corrections included, at the defaults; an evictor keeps 16
bits an element and holds fewer of them. \`{compose: [evictor, quantiser]}\` joins one of each. \`kvsweep compressors NAME\` prints one row
with all its facts.

${overview}
${rows.map(section).join('')}`;
}

function section(row: CompressorRow): string {
  const short = row.params.length > 0 ? `In short: \`${parametersInShort(row)}\`.` : 'No parameters.';
  const lines = [`\n## ${row.name}\n`, `${row.title ?? row.name}. ${short}`];
  const bits = bitsFormula(row);
  if (bits) lines.push(`Bits of an element: ${bits}.`);
  if (row.side_state) lines.push(`Beside the elements: ${row.side_state}.`);
  if (row.rules?.length) lines.push(`Rules: ${row.rules.map((rule) => `\`${rule}\``).join(', ')}.`);
  if (row.derived?.length) lines.push(`Derived: ${row.derived.map((rule) => `\`${rule}\``).join(', ')}.`);
  if (row.remarks) lines.push(`Remark: ${row.remarks}.`);
  const aliases = Object.entries(row.input_aliases ?? {}).map(([name, targets]) => [
    `\`${name}\``,
    'shorthand',
    '',
    '',
    aliasText(targets),
    '',
  ]);
  const params = row.params.map((p) => [
    `\`${p.name}\``,
    p.type,
    rangeText(p),
    defaultText(p) ?? 'required',
    p.meaning,
    p.read_when,
  ]);
  const parts = [lines.join('\n')];
  if (params.length > 0)
    parts.push(table(['parameter', 'type', 'values', 'default', 'meaning', 'read when'], [...params, ...aliases]));
  return `${parts.join('\n\n')}\n`;
}

function sourceOf(row: CompressorRow): string {
  return [row.paper, row.source].filter(Boolean).join('; ');
}

type Cell = string | number | null | undefined;

function table(head: string[], rows: Cell[][]): string {
  const line = (cells: Cell[]) =>
    `| ${cells
      .map((cell) =>
        String(cell ?? '')
          .replaceAll('|', '\\|')
          .replaceAll('\n', ' '),
      )
      .join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  const { enginePath, engineEnvironment } = readConfig();
  const { compressors } = await engineCommands(enginePath, engineEnvironment).list();
  await writeFile(DOCS_FILE, compressorDocs(compressors));
  console.log(`docs/compressors.md: ${compressors.length} compressors`);
}
