/**
 * `open_ended`: 1,000 questions of our own whose answers may take any length; a stand-in for ShareGPT that raises no
 * licence question. No references: for length only.
 */
import { SplitMix64 } from '../analysis/random.ts';
import { type DatasetPrompt, type PromptSet, promptSet, type SelectOptions, selectPrompts } from './prompt-set.ts';

const TEMPLATES = [
  'Explain {t} to a ten-year-old.',
  'Write a short story about {t}.',
  'List the main advantages and drawbacks of {t}.',
  'Give step-by-step advice to somebody who is new to {t}.',
  'Compare {t} a century ago with {t} today.',
  'Write a dialogue between two friends who disagree about {t}.',
  'What are the most common mistakes in {t}, and how are they avoided?',
  'Draft an e-mail that invites colleagues to a talk about {t}.',
  'Write a poem about {t}.',
  'In one sentence, what is the point of {t}?',
  'Plan a one-week course on {t}.',
  'Write a newspaper article about {t}.',
  'Sum up what a beginner should know about {t} in five bullet points.',
  'Tell me three surprising facts about {t}.',
  'Write a small Python program that could help with {t}, and explain it.',
  'Make a table of five tools used for {t}.',
  'Argue for, and then against, spending public money on {t}.',
  'Translate "{t}" into French, German and Spanish.',
  'Invent a quiz with four questions about {t}, with answers.',
  'How would you measure success in {t}?',
];

const TOPICS = [
  'bread baking',
  'city cycling',
  'rainwater storage',
  'chess openings',
  'night photography',
  'public libraries',
  'solar panels',
  'bee keeping',
  'mountain rescue',
  'language learning',
  'railway timetables',
  'home budgeting',
  'garden soil',
  'tidal power',
  'school lunches',
  'open-source software',
  'museum lighting',
  'second-hand clothes',
  'weather forecasts',
  'hospital queues',
  'coffee roasting',
  'tree pruning',
  'emergency radio',
  'map making',
  'choir singing',
  'winter tyres',
  'river fishing',
  'data backups',
  'street markets',
  'bird watching',
  'paper recycling',
  'house insulation',
  'sleep habits',
  'team meetings',
  'job interviews',
  'volcano monitoring',
  'bridge maintenance',
  'water polo',
  'film editing',
  'cheese making',
  'wildfire prevention',
  'desk ergonomics',
  'satellite navigation',
  'vaccine storage',
  'dictionary writing',
  'dog training',
  'board games',
  'lighthouse keeping',
  'exam preparation',
  'space telescopes',
];

/** Prompt `index` of 0..999: template index div 50, topic index mod 50. */
export function openEndedPrompt(index: number): string {
  const template = TEMPLATES[Math.floor(index / TOPICS.length)]!;
  return template.replaceAll('{t}', TOPICS[index % TOPICS.length]!);
}

/** All 1,000 prompts in the order of the seed. */
export function openEndedPrompts(seed: number): DatasetPrompt[] {
  const order = Array.from({ length: TEMPLATES.length * TOPICS.length }, (_, index) => index);
  SplitMix64.fromKey(`kvsweep-gen-1|open_ended|${seed}|0|order`).shuffle(order);
  return order.map((index) => ({ key: `open_ended/${index}`, prompt: openEndedPrompt(index) }));
}

export async function loadOpenEnded(options: SelectOptions): Promise<PromptSet> {
  const selection = await selectPrompts(openEndedPrompts(options.seed), options);
  const meta = { kind: 'gen', task: 'open_ended', generator: 'kvsweep-gen-1', licence: 'Apache-2.0, part of kvsweep' };
  return promptSet('open_ended', selection, options, meta);
}
