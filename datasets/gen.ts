/** `kind: gen`: prompts with known answers, filled to a length in tokens or made of so many body units. */
import { ANSWER_PREFIX, GEN_TASKS, GENERATOR_VERSION, type GenTask, generate } from './gen/tasks.ts';
import {
  DatasetError,
  type DatasetPrompt,
  type JsonObject,
  type PromptSet,
  promptSet,
  type SelectOptions,
} from './prompt-set.ts';

/** Generators of `kind: gen`, by task. */
export const GENERATORS: readonly { name: string; about: string }[] = [
  { name: 'open_ended', about: '1,000 questions whose answers may take any length; no reference' },
  ...GEN_TASKS.map(({ name, about }) => ({ name, about })),
];

export interface GenOptions extends SelectOptions {
  task: string;
  /** Tokens of the whole prompt, chat template included, and its answer. */
  length?: number;
  /** Units of the body, instead of a length. */
  units?: number;
  /** Tokens that the answer may take; the task's own if absent. */
  newTokens?: number;
  /** passkey: percent of the body before the needle; 5, 15, ... 95 in turn if absent. */
  depth?: number;
  /** passkey: digits of the key; 7 if absent. */
  digits?: number;
  /** The prompt ends with `The answer is`. */
  answerPrefix?: boolean;
}

const DEPTHS = [5, 15, 25, 35, 45, 55, 65, 75, 85, 95];
const DEFAULT_SAMPLES = 10;
const SHORT_KEY = 7;
/** Tokens that a key of 64 digits may take. */
const LONG_KEY_TOKENS = 128;
/** Doubling ends here: no context is that long. */
const MOST_UNITS = 1 << 20;

export async function loadGenerated(options: GenOptions): Promise<PromptSet> {
  const task = GEN_TASKS.find((row) => row.name === options.task)!;
  const { seed, length, units, digits = SHORT_KEY, answerPrefix = false } = options;
  const samples = options.prompts ?? DEFAULT_SAMPLES;
  const newTokens = options.newTokens ?? (digits > SHORT_KEY ? LONG_KEY_TOKENS : task.newTokens);
  const depthOf = (sample: number) => options.depth ?? DEPTHS[sample % DEPTHS.length]!;
  if ((length === undefined) === (units === undefined)) {
    throw new DatasetError(
      `generator ${task.name} needs "length" (tokens of prompt and answer) or "units" (of its body), one of the two`,
    );
  }
  if (units !== undefined && units < task.leastUnits)
    throw new DatasetError(`generator ${task.name} needs at least ${task.leastUnits} units, not ${units}`);
  const at = (sample: number, n: number): DatasetPrompt => {
    const { prompt, references } = generate(task, seed, sample, n, depthOf(sample), digits);
    const meta: JsonObject = { units: n };
    if (task.name === 'passkey') meta.depth_percent = depthOf(sample);
    const size = length === undefined ? `n${units}` : `l${length}`;
    return {
      key: `${task.name}/s${seed}.${size}${digits === SHORT_KEY ? '' : `.d${digits}`}.${sample}`,
      prompt: answerPrefix ? `${prompt}\n\n${ANSWER_PREFIX}` : prompt,
      references,
      metric: task.metric,
      taskType: task.taskType,
      maxNewTokens: newTokens,
      meta,
    };
  };
  const sizes =
    units === undefined
      ? await unitsThatFit(task, samples, length! - newTokens, length!, at, options)
      : Array.from({ length: samples }, () => units);
  const prompts = sizes.map((n, sample) => at(sample, n));
  const meta: JsonObject = {
    kind: 'gen',
    generator: GENERATOR_VERSION,
    task: task.name,
    licence: 'Apache-2.0, part of kvsweep',
    length: length ?? null,
    new_tokens: newTokens,
    metric: task.metric,
    ...(answerPrefix ? { answer_prefix: ANSWER_PREFIX } : {}),
    ...(digits === SHORT_KEY ? {} : { digits }),
  };
  return promptSet(task.name, { prompts, droppedLong: 0, droppedShort: 0 }, options, meta);
}

/**
 * The largest number of units of each sample whose prompt takes at most `room` tokens. All samples are tried at once:
 * a call of the tokenizer costs far more than the text in it.
 */
async function unitsThatFit(
  task: GenTask,
  samples: number,
  room: number,
  length: number,
  at: (sample: number, n: number) => DatasetPrompt,
  { countTokens }: SelectOptions,
): Promise<number[]> {
  if (!countTokens) throw new DatasetError('a length in tokens needs the tokenizer of a model; give "units" instead');
  const least = task.leastUnits;
  /** Per sample: units that fit and their tokens, units that do not and theirs. */
  const state = Array.from({ length: samples }, () => ({ fits: 0, fitsTokens: 0, over: MOST_UNITS, overTokens: 0 }));
  const probe = async (wanted: readonly (readonly number[])[]) => {
    const tries = wanted.flatMap((ns, sample) => ns.map((n) => ({ sample, n })));
    const counts = await countTokens(tries.map(({ sample, n }) => at(sample, n)));
    for (const [i, { sample, n }] of tries.entries()) {
      const s = state[sample]!;
      const tokens = counts[i]!;
      if (tokens <= room && n > s.fits) Object.assign(s, { fits: n, fitsTokens: tokens });
      if (tokens > room && n < s.over) Object.assign(s, { over: n, overTokens: tokens });
    }
    return counts;
  };
  const first = await probe(state.map(() => [least]));
  const tooLong = first.find((tokens) => tokens > room);
  if (tooLong !== undefined) {
    throw new DatasetError(
      `length ${length} is too small: ${task.name} takes ${tooLong} tokens with its shortest body and ${length - room} for the answer`,
    );
  }
  while (state.some((s) => s.over - s.fits > 1)) {
    await probe(
      state.map((s) => {
        if (s.over - s.fits <= 1) return [];
        const inside = (n: number) => Math.min(s.over - 1, Math.max(s.fits + 1, n));
        // Before anything is known to be too long: double. Then: where a straight line crosses the limit, and beside it.
        if (s.over === MOST_UNITS) return [inside(2 * s.fits)];
        const slope = (s.overTokens - s.fitsTokens) / (s.over - s.fits);
        const guess = inside(s.fits + Math.floor((room - s.fitsTokens) / slope));
        return [...new Set([guess, inside(guess + 1), inside((s.fits + s.over) >> 1)])];
      }),
    );
  }
  return state.map((s) => s.fits);
}
