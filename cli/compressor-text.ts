/** Rows of the engine's registry in words: for the terminal and for `docs/compressors.md`. Knows no compressor. */
import type { BitsByDim, CompressorParameter, CompressorRow } from '../activities/engine-commands.ts';

/** `bits=4 window=128`; a parameter without a default is `name=?`. */
export function parametersInShort(row: CompressorRow): string {
  return row.params.map((p) => `${p.name}=${defaultText(p) ?? '?'}`).join(' ');
}

/** Mean bits of a sealed K or V element at the defaults, by head dim. */
export function meanBits(row: CompressorRow, headDim: number): number | null {
  const usual = bitsExamples(row).find(({ choice }) => choice === null || row.params.some((p) => p.default === choice));
  return usual?.bits[`d${headDim}`]?.mean ?? null;
}

/** The examples of bits: one at the defaults, or one per choice of the parameter that decides. */
function bitsExamples(row: CompressorRow): { choice: string | null; bits: BitsByDim }[] {
  const examples = Object.entries(row.bits_examples ?? {});
  if (examples.every(([name]) => /^d\d+$/.test(name))) return [{ choice: null, bits: row.bits_examples as BitsByDim }];
  return examples.map(([choice, bits]) => ({ choice, bits: bits as unknown as BitsByDim }));
}

/** `K 8+16/d; V 4` with what explains its letters in brackets. */
export function bitsFormula(row: CompressorRow): string | null {
  if (!row.bits_per_element) return null;
  const { k, v, ...rest } = row.bits_per_element;
  const notes = Object.entries(rest).map(([name, text]) => (name === 'variables' ? text : `${name}: ${text}`));
  return `K ${k}; V ${v}${notes.length > 0 ? ` (${notes.join('; ')})` : ''}`;
}

export function defaultText(p: CompressorParameter): string | null {
  if (p.default === undefined) return null;
  if (p.default === null) return /required/.test(p.meaning ?? '') ? null : 'null';
  return String(p.default);
}

/** `one of 2, 4, 8`, `32 to 4096`; empty where the type says all. */
export function rangeText(p: CompressorParameter): string {
  if (p.choices) return `one of ${p.choices.map(String).join(', ')}`;
  if (p.range) return `${p.range[0] ?? ''} to ${p.range[1] ?? ''}`;
  return '';
}

/** `step (default) or prefill`; null for a compressor that drops nothing. */
export function evictAtText(row: CompressorRow): string | null {
  return choiceText(row.evict_at);
}

function choiceText(choice: { choices: string[]; default: string } | null | undefined): string | null {
  if (!choice) return null;
  const { choices, default: usual } = choice;
  return choices.map((at) => (at === usual && choices.length > 1 ? `${at} (default)` : at)).join(' or ');
}

export function aliasText(targets: string | string[]): string {
  return Array.isArray(targets) ? `sets ${targets.join(' and ')}` : `means ${targets}`;
}

/** All that the registry says of one compressor. */
export function explainCompressor(row: CompressorRow): string {
  const lines = [`${row.name}: ${row.title ?? ''}${row.family ? ` (${row.family})` : ''}`];
  const fact = (name: string, value: string | null | undefined) => {
    if (value) lines.push(`${name}: ${value}`);
  };
  fact('paper', row.paper);
  fact('source', row.source);
  const width = Math.max(
    0,
    ...row.params.map((p) => p.name.length),
    ...Object.keys(row.input_aliases ?? {}).map((a) => a.length),
  );
  lines.push('', row.params.length === 0 ? 'parameters: none' : 'parameters:');
  for (const p of row.params) {
    const usual = defaultText(p);
    const facts = [p.type, rangeText(p), usual === null ? 'required' : `default ${usual}`].filter(Boolean).join('; ');
    const when = p.read_when ? ` Read when ${p.read_when}.` : '';
    lines.push(`  ${p.name.padEnd(width)}  ${facts}${p.meaning ? `. ${p.meaning}` : ''}${when ? `.${when}` : ''}`);
  }
  for (const [alias, targets] of Object.entries(row.input_aliases ?? {}))
    lines.push(`  ${alias.padEnd(width)}  ${aliasText(targets)}`);
  if (row.params.some((p) => p.type === 'sha256'))
    lines.push(
      '  a sha256 parameter takes the hash of an artefact, or auto: found or made at launch (`kvsweep compressors calibrate`)',
    );
  lines.push('');
  fact('evicts at', evictAtText(row));
  fact('positions', choiceText(row.positions));
  fact('keys stored', row.key_form);
  fact('heads', row.head_granularity);
  fact('bits per element', bitsFormula(row));
  for (const { choice, bits } of bitsExamples(row))
    for (const [dim, { k, v, mean }] of Object.entries(bits ?? {}))
      fact(`bits at head dim ${dim.slice(1)}, ${choice ?? 'defaults'}`, `K ${k}, V ${v}, mean ${mean}`);
  fact('beside the elements', row.side_state);
  for (const rule of row.rules ?? []) fact('rule', rule);
  for (const derived of row.derived ?? []) fact('derived', derived);
  fact('equals the baseline', row.identity_setting);
  fact('first token equals the baseline', row.first_token_equals_baseline);
  fact('composes as', row.compose_role);
  if (row.seeded) lines.push('seeded: equal seeds give equal results');
  fact('remark', row.remarks);
  return lines.join('\n');
}
