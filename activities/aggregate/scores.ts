/** Scores of answers whose prompt has references and a metric that is computed here; the others stay without. */
import { SCORER_VERSION, scoreAnswer } from '../../analysis/metrics/index.ts';
import type { Db } from '../database.ts';
import {
  type AnswerColumns,
  type Breathe,
  type Question,
  readAnswers,
  readQuestions,
  readTexts,
  replaceScores,
  runKey,
  type StaleCell,
  scoreLine,
  scoreTail,
} from '../ledger.ts';
import type { Stage } from './stages.ts';

export const scores: Stage = {
  name: 'scores',
  version: SCORER_VERSION,
  needs: 'own',
  workloads: ['generate'],
  batchSamples: 64_000,
  run: aggregateScores,
};

/** What each text is worth as the answer to each prompt of a set: the ends of its rows. */
type Known = Map<string, string[] | null>[];

/**
 * Most answers are those of another cell word by word, the baseline's above all. So a text is fetched, and scored, once
 * for a prompt and all cells of the batch.
 */
export async function aggregateScores(db: Db, cells: readonly StaleCell[], breathe: Breathe): Promise<void> {
  const questions = await readQuestions(
    db,
    cells.flatMap((cell) => cell.promptSet ?? []),
  );
  const asked = cells.filter((cell) => questions.has(cell.promptSet ?? ''));
  const answers = await readAnswers(db, asked);
  const known = new Map([...questions].map(([set, of]) => [set, of.map(() => new Map()) as Known]));
  const wanted = new Set<string>();
  for (const cell of asked) {
    const columns = answers.get(runKey(cell));
    if (columns) collect(columns, questions.get(cell.promptSet!)!, known.get(cell.promptSet!)!, wanted);
    await breathe();
  }
  const texts = await readTexts(db, wanted);
  for (const [set, of] of known) {
    await scoreAll(of, questions.get(set)!, texts, breathe);
  }
  await replaceScores(db, cells, lines(asked, answers, known));
}

/** Notes every text that answers a question. */
function collect(
  { promptIdx, texts }: AnswerColumns,
  questions: readonly (Question | null)[],
  known: Known,
  wanted: Set<string>,
): void {
  for (let i = 0; i < texts.length; i++) {
    const ofPrompt = known[promptIdx[i]!];
    const name = texts[i]!;
    if (!ofPrompt || !questions[promptIdx[i]!] || ofPrompt.has(name)) continue;
    ofPrompt.set(name, null);
    wanted.add(name);
  }
}

/** Scores between two breaths; a summary of 500 words takes a millisecond. */
const PER_BREATH = 500;

async function scoreAll(
  known: Known,
  questions: readonly (Question | null)[],
  texts: ReadonlyMap<string, string>,
  breathe: Breathe,
): Promise<void> {
  let n = 0;
  for (const [promptIdx, ofPrompt] of known.entries()) {
    for (const name of ofPrompt.keys()) {
      const text = texts.get(name);
      if (text !== undefined) ofPrompt.set(name, tailsOf(text, questions[promptIdx]!));
      if (++n % PER_BREATH === 0) await breathe();
    }
  }
}

function tailsOf(text: string, { metric, variant, references, classes }: Question): string[] {
  return scoreAnswer(text, references, metric, { variant, classes }).map(({ extra, ...score }) =>
    scoreTail(SCORER_VERSION, { ...score, extra: extra === undefined ? null : JSON.stringify(extra) }),
  );
}

/** All rows, a chunk a cell. */
function* lines(
  cells: readonly StaleCell[],
  answers: ReadonlyMap<string, AnswerColumns>,
  known: ReadonlyMap<string, Known>,
): Generator<string> {
  for (const cell of cells) {
    const columns = answers.get(runKey(cell));
    if (!columns) continue;
    const ofSet = known.get(cell.promptSet!)!;
    let chunk = '';
    for (let i = 0; i < columns.texts.length; i++) {
      const sampleIdx = columns.promptIdx[i]!;
      const tails = ofSet[sampleIdx]?.get(columns.texts[i]!);
      if (tails) for (const tail of tails) chunk += scoreLine(cell, sampleIdx, columns.rep[i]!, tail);
    }
    if (chunk !== '') yield chunk;
  }
}
