import type { Context } from './context.ts';

/** Prints the three answers of a sweep: throughput, answer length, single prompts. */
export async function printAnswers(context: Context, sweepId: string): Promise<void> {
  // Loaded when needed: most commands answer without it.
  const { answersText, threeAnswers } = await import('../report/answers.ts');
  const { readReport } = await import('../report/data.ts');
  const model = await readReport(await context.db(), sweepId);
  context.result({ sweep: sweepId, answers: threeAnswers(model) }, `\n${answersText(model)}\n`);
}
