/** The time a plan may take, as a user is told it: the planner's guess, corrected by how such cells went here before. */
import { type Pace, readPaces } from '../activities/ledger.ts';
import { NoStack } from '../workers/addresses.ts';
import type { CellPlan } from '../workflows/plan.ts';
import type { Context } from './context.ts';
import { durationText } from './table.ts';

type TimedCell = Pick<CellPlan, 'model' | 'backend' | 'workload' | 'estMs'>;

export interface PlanTime {
  /** One worker, one slot. */
  ms: number;
  /** Cells of the plan without a recorded pace of their model, backend and workload: guessed from the size of the weights. */
  guessed: number;
  /** Recorded cells that the others rest on. */
  recorded: number;
}

export function planTime(cells: readonly TimedCell[], paces: readonly Pace[]): PlanTime {
  const keyOf = (of: Pick<Pace, 'model' | 'backend' | 'workload'>) => `${of.model}\n${of.backend}\n${of.workload}`;
  const known = new Map(paces.map((pace) => [keyOf(pace), pace]));
  const used = new Set<Pace>();
  let ms = 0;
  let guessed = 0;
  for (const cell of cells) {
    const pace = known.get(keyOf(cell));
    if (pace) used.add(pace);
    else guessed++;
    ms += (cell.estMs ?? 0) * (pace?.ratio ?? 1);
  }
  return { ms, guessed, recorded: [...used].reduce((sum, pace) => sum + pace.cells, 0) };
}

/** `about 3m 10s on one worker, by 18 cells that ran here`. */
export function planTimeText({ ms, guessed, recorded }: PlanTime): string {
  const time = `${durationText(ms)} on one worker`;
  if (recorded === 0) return guessed === 0 ? time : `very roughly ${time}, guessed: none of its kind ran here before`;
  const rest = guessed === 0 ? '' : `; ${guessed} of another kind are guessed`;
  return `about ${time}, by ${recorded} cells that ran here${rest}`;
}

/** Without a database nothing is recorded. */
export async function timeOfCells(context: Context, cells: readonly TimedCell[]): Promise<PlanTime> {
  try {
    const models = [...new Set(cells.map((cell) => cell.model))];
    return planTime(cells, await readPaces(await context.db(), models));
  } catch (error) {
    if (!(error instanceof NoStack)) throw error;
    return planTime(cells, []);
  }
}
