/** Scores of answers whose prompt has references and a metric that is computed here; the others stay without. */
import { SCORER_VERSION, scoreAnswer } from '../../analysis/metrics/index.ts';
import type { Db } from '../database.ts';
import {
  type Breathe,
  type Question,
  readAnswers,
  readQuestions,
  replaceScores,
  runKey,
  type ScoreRow,
  type StaleCell,
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

type Scored = Omit<ScoreRow, 'sweepNo' | 'cellNo' | 'sampleIdx' | 'rep'>;

export async function aggregateScores(db: Db, cells: readonly StaleCell[], breathe: Breathe): Promise<void> {
  const questions = await readQuestions(
    db,
    cells.flatMap((cell) => cell.promptSet ?? []),
  );
  const asked = cells.filter((cell) => questions.has(cell.promptSet ?? ''));
  const answers = asked.length === 0 ? new Map() : await readAnswers(db, asked);
  // Many answers are those of the baseline word by word: each text is scored once a prompt.
  const known = new Map<string, Map<string, Scored[]>[]>();
  const rows: ScoreRow[] = [];
  for (const { sweepNo, cellNo, promptSet } of asked) {
    const columns = answers.get(runKey({ sweepNo, cellNo }));
    if (!columns) continue;
    const ofSet = questions.get(promptSet!)!;
    const knownOfSet = known.get(promptSet!) ?? ofSet.map(() => new Map<string, Scored[]>());
    known.set(promptSet!, knownOfSet);
    for (let i = 0; i < columns.texts.length; i++) {
      const sampleIdx = columns.promptIdx[i]!;
      const question = ofSet[sampleIdx];
      if (!question) continue;
      const text = columns.texts[i]!;
      let scored = knownOfSet[sampleIdx]!.get(text);
      if (!scored) {
        scored = scoresOf(text, question);
        knownOfSet[sampleIdx]!.set(text, scored);
      }
      for (const score of scored) rows.push({ sweepNo, cellNo, sampleIdx, rep: columns.rep[i]!, ...score });
    }
    await breathe();
  }
  await replaceScores(db, cells, SCORER_VERSION, rows);
}

function scoresOf(text: string, { metric, variant, references, classes }: Question): Scored[] {
  return scoreAnswer(text, references, metric, { variant, classes }).map(({ extra, ...score }) => ({
    ...score,
    extra: extra === undefined ? null : JSON.stringify(extra),
  }));
}
