/** What the fields of a reference may be, kind by kind: one sentence about the first that is wrong, or null. */
import { GENERATORS } from './gen.ts';
import { LONGBENCH_GROUPS, LONGBENCH_SETS, longBenchSet } from './longbench-sets.ts';
import { TEMPLATE_VERSION } from './longbench-templates.ts';
import type { DatasetRef } from './ref.ts';

/** Of `kind: gen`. */
export function checkGenerated(ref: DatasetRef): string | null {
  if (!GENERATORS.some((g) => g.name === ref.task))
    return `unknown generator ${JSON.stringify(ref.task)}; known are ${GENERATORS.map((g) => g.name).join(', ')}`;
  for (const [field, most] of [
    ['length', 1e6],
    ['units', 1e5],
    ['new_tokens', 1e5],
    ['depth', 100],
  ] as const) {
    const value = ref[field];
    if (value !== undefined && !(Number.isInteger(value) && value >= 1 && value <= most))
      return `${field} ${JSON.stringify(value)} of a data set is not a whole number from 1 to ${most}`;
  }
  if (
    ref.task === 'open_ended' &&
    (ref.length ?? ref.units ?? ref.new_tokens ?? ref.depth ?? ref.answer_prefix) !== undefined
  )
    return 'generator open_ended has questions of a fixed text; it takes no length, units, new_tokens, depth or answer_prefix';
  if (ref.depth !== undefined && ref.task !== 'passkey')
    return `generator ${ref.task} draws its depths; only passkey takes "depth"`;
  if (ref.digits !== undefined && ref.task !== 'passkey')
    return `only generator passkey takes "digits", not ${ref.task}`;
  if (ref.digits !== undefined && ref.digits !== 7 && ref.digits !== 64)
    return `digits ${JSON.stringify(ref.digits)} of a pass key is neither 7 nor 64`;
  return null;
}

/** Of `kind: longbench`. */
export function checkLongBench(ref: DatasetRef): string | null {
  if (typeof ref.set !== 'string' || longBenchSet(ref.set) === undefined)
    return `unknown set ${JSON.stringify(ref.set)} of LongBench; known are ${LONGBENCH_SETS.map((row) => row.name).join(', ')}, and ${Object.keys(LONGBENCH_GROUPS).join(' or ')} in "sets"`;
  if (ref.template !== undefined && ref.template !== TEMPLATE_VERSION && !/^file:./.test(ref.template))
    return `template ${JSON.stringify(ref.template)} of a data set is neither ${TEMPLATE_VERSION} nor file:<path of dataset2prompt.json>`;
  const { max_new: maxNew } = ref;
  const known = maxNew === undefined || maxNew === 'table' || maxNew === 'artifact';
  if (!known && !(Number.isInteger(maxNew) && (maxNew as number) >= 1))
    return `max_new ${JSON.stringify(maxNew)} of a data set is none of table, artifact, or a whole number from 1`;
  if (ref.chat !== undefined && !['set', 'all', 'none'].includes(ref.chat))
    return `chat ${JSON.stringify(ref.chat)} of a data set is none of set, all, none`;
  return null;
}
