import { answersText, threeAnswers } from '../report/answers.ts';
import { readReport } from '../report/data.ts';
import type { Context } from './context.ts';

/** Prints the three answers of a sweep: throughput, answer length, single prompts. */
export async function printAnswers(context: Context, sweepId: string): Promise<void> {
  const model = await readReport(await context.db(), sweepId);
  context.result({ sweep: sweepId, answers: threeAnswers(model) }, `\n${answersText(model)}\n`);
}
