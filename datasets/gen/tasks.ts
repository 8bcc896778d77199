/**
 * Tasks with known answers in text of our own, after the task list of RULER and passkey tests: something is hidden in a
 * body of any length, and asked for at its end. A prompt is a pure function of (task, seed, sample, body units, depth).
 */
import { SplitMix64 } from '../../analysis/random.ts';
import { number, sentence, uuid, variableName, word } from './words.ts';

export const GENERATOR_VERSION = 'kvsweep-gen-1';

/** The beginning of the answer, for models that would not begin it themselves. */
export const ANSWER_PREFIX = 'The answer is';

export interface GeneratedPrompt {
  prompt: string;
  references: string[];
}

export interface GenTask {
  name: string;
  about: string;
  taskType: 'retrieval' | 'tracing' | 'aggregation';
  /** Tokens that the answer may take. */
  newTokens: number;
  metric: 'string_all' | 'passkey';
  /** Fewest body units that make sense. */
  leastUnits: number;
  /** @param depth percent of the body before the needle; only passkey reads it, and `digits` of its key */
  make(
    draw: Draws,
    units: number,
    depth: number,
    digits: number,
  ): { intro: string; body: string; question: string; references: string[] };
}

/** A stream of draws by its name. */
type Draws = (stream: string) => SplitMix64;

type Make = (random: SplitMix64, used: Set<string>) => string;
const VALUES = { number, uuid } as const;
const KEYS: Record<'word' | 'uuid', Make> = { word, uuid };

const CODES_INTRO =
  'Some access codes are hidden in the text below. Read the text with care; you will be asked about them afterwards.';
const needleText = (key: string, value: string) => `The access code for ${key} is ${value}.`;

interface Niah {
  body: 'repeated' | 'sentences' | 'needles';
  keys: number;
  values: number;
  key: keyof typeof KEYS;
  value: keyof typeof VALUES;
  asks: 'first' | 'values' | 'keys';
}

function niah(name: string, about: string, o: Niah): GenTask {
  return {
    name,
    about,
    taskType: 'retrieval',
    newTokens: 128,
    metric: 'string_all',
    leastUnits: 1,
    make(draw, units) {
      const used = new Set<string>();
      const keys = times(o.keys, () => KEYS[o.key](draw('keys'), used));
      const values = keys.map(() => times(o.values, () => VALUES[o.value](draw('values'))));
      const needles = keys.flatMap((key, k) => values[k]!.map((value) => needleText(key, value)));
      const noise = draw('noise');
      const unit = {
        repeated: (
          (text) => () =>
            text
        )(o.body === 'repeated' ? sentence(noise) : ''),
        sentences: () => sentence(noise),
        needles: () => {
          const key = KEYS[o.key](noise, used);
          return needleText(key, VALUES[o.value](noise));
        },
      }[o.body];
      const depths = draw('depth');
      const at = needles.map(() => Math.floor((depths.below(1_000_001) * units) / 1_000_000));
      const body = hide(needles, at, times(units, unit));
      const [first] = keys;
      const asked = {
        first: {
          question: `What is the access code for ${first}? Answer with the code alone.`,
          references: [values[0]![0]!],
        },
        values: {
          question: `List every access code given for ${first}. Answer with the codes alone, separated by commas.`,
          references: values[0]!,
        },
        keys: {
          question: `Give the access codes for ${keys.slice(0, -1).join(', ')} and ${keys.at(-1)}. Answer with the codes alone, in this order, separated by commas.`,
          references: values.map((v) => v[0]!),
        },
      }[o.asks];
      return { intro: CODES_INTRO, body, ...asked };
    },
  };
}

const tracing: GenTask = {
  name: 'vt',
  about: 'a value handed on through five variables; all five are asked for',
  taskType: 'tracing',
  newTokens: 30,
  metric: 'string_all',
  leastUnits: 1,
  make(draw, units) {
    const used = new Set<string>();
    const names = times(5, () => variableName(draw('keys'), used));
    const value = String(10_000 + draw('values').below(90_000));
    const statements = names.map((name, i) => `LET ${name} = ${i === 0 ? value : names[i - 1]}.`);
    const depths = draw('depth');
    const at = statements.map(() => Math.floor((depths.below(1_000_001) * units) / 1_000_000)).sort((a, b) => a - b);
    const body = hide(
      statements,
      at,
      times(units, () => sentence(draw('noise'))),
    );
    const question = `Which variables hold the value ${value}? Answer with the names alone, separated by commas.`;
    return {
      intro: 'The text below sets variables. Follow the assignments with care.',
      body,
      question,
      references: names,
    };
  },
};

const commonWords: GenTask = {
  name: 'cwe',
  about: 'ten words that occur most often in a numbered list',
  taskType: 'aggregation',
  newTokens: 120,
  metric: 'string_all',
  leastUnits: 1,
  make(draw, units) {
    const used = new Set<string>();
    const common = times(10, () => word(draw('keys'), used));
    const others = times(units, () => word(draw('noise'), used));
    const all = [...common.flatMap((w) => times(30, () => w)), ...others.flatMap((w) => times(3, () => w))];
    const body = draw('shuffle')
      .shuffle(all)
      .map((w, i) => `${i + 1}. ${w}`)
      .join(' ');
    return {
      intro: 'Below is a numbered list of words. Some words occur much more often than the others.',
      body,
      question: 'Which 10 words occur most often in the list? Answer with the words alone, separated by commas.',
      references: common,
    };
  },
};

/** The sum of 1/k^2: shares of the ranks add up to one. */
const ZETA_2 = 1.6449340668482264;

const frequentWords: GenTask = {
  name: 'fwe',
  about: 'the three most frequent coded words of a stream',
  taskType: 'aggregation',
  newTokens: 50,
  metric: 'string_all',
  leastUnits: 100,
  make(draw, units) {
    const used = new Set<string>();
    const ranked: string[] = [];
    const all: string[] = [];
    for (let k = 1; ; k++) {
      const count = Math.floor(units / (k * k * ZETA_2));
      if (count === 0) break;
      const text = k === 1 ? '...' : word(draw('keys'), used);
      ranked.push(text);
      all.push(...times(count, () => text));
    }
    return {
      intro: 'The text below is a stream of coded words and dots.',
      body: draw('shuffle').shuffle(all).join(' '),
      question:
        'Ignore the dots. Which three words occur most often in the text above? Answer with the words alone, separated by commas.',
      references: ranked.slice(1, 4),
    };
  },
};

const passkey: GenTask = {
  name: 'passkey',
  about: 'seven digits, or 64, hidden at a given depth',
  taskType: 'retrieval',
  newTokens: 32,
  metric: 'passkey',
  leastUnits: 1,
  make(draw, units, depth, digits) {
    const values = draw('values');
    const key = times(digits, (i) => String(i === 0 ? values.below(9) + 1 : values.below(10))).join('');
    const at = Math.floor((depth * units + 50) / 100);
    const body = hide(
      [`The pass key is ${key}. Keep it in mind: ${key} is the pass key.`],
      [at],
      times(units, () => sentence(draw('noise'))),
    );
    return {
      intro: 'A pass key is hidden in the text below. Remember it.',
      body,
      question: 'What is the pass key? Answer with the digits alone.',
      references: [key],
    };
  },
};

const ONE = { keys: 1, values: 1, key: 'word', value: 'number', asks: 'first' } as const;

export const GEN_TASKS: readonly GenTask[] = [
  niah('niah_single_1', 'one code in one sentence said over and over', { ...ONE, body: 'repeated' }),
  niah('niah_single_2', 'one code among sentences', { ...ONE, body: 'sentences' }),
  niah('niah_single_3', 'one long code among sentences', { ...ONE, body: 'sentences', value: 'uuid' }),
  niah('niah_multikey_1', 'one of four codes among sentences', { ...ONE, body: 'sentences', keys: 4 }),
  niah('niah_multikey_2', 'one code among other codes', { ...ONE, body: 'needles' }),
  niah('niah_multikey_3', 'one long code among other long codes', {
    ...ONE,
    body: 'needles',
    key: 'uuid',
    value: 'uuid',
  }),
  niah('niah_multivalue', 'four codes of one key', { ...ONE, body: 'sentences', values: 4, asks: 'values' }),
  niah('niah_multiquery', 'four codes of four keys', { ...ONE, body: 'sentences', keys: 4, asks: 'keys' }),
  tracing,
  commonWords,
  frequentWords,
  passkey,
];

/** The prompt of a sample with so many body units. */
export function generate(
  task: GenTask,
  seed: number,
  sample: number,
  units: number,
  depth: number,
  digits = 7,
): GeneratedPrompt {
  const streams = new Map<string, SplitMix64>();
  const draw: Draws = (stream) => {
    const key = `${GENERATOR_VERSION}|${task.name}|${seed}|${sample}|${stream}`;
    const known = streams.get(stream) ?? SplitMix64.fromKey(key);
    streams.set(stream, known);
    return known;
  };
  const { intro, body, question, references } = task.make(draw, units, depth, digits);
  return { prompt: [intro, body, question].join('\n\n'), references };
}

/** Puts needle j before unit at[j]; several at one place keep their order. */
function hide(needles: readonly string[], at: readonly number[], units: readonly string[]): string {
  const out: string[] = [];
  for (let i = 0; i <= units.length; i++) {
    for (const [j, needle] of needles.entries()) if (at[j] === i) out.push(needle);
    if (i < units.length) out.push(units[i]!);
  }
  return out.join(' ');
}

function times<T>(n: number, make: (i: number) => T): T[] {
  return Array.from({ length: n }, (_, i) => make(i));
}
