/** What keeps a plan from being an amendment of a launched sweep, in words for the user. Pure. */
import type { JsonObject } from '../../workflows/contracts.ts';
import type { SweepPlan } from '../../workflows/plan.ts';

export interface StoredPlan {
  sweepNo: number;
  specSha: string;
  spec: JsonObject;
  cells: StoredCell[];
}

interface StoredCell {
  key: string;
  label: string;
  model: string;
  workload: string;
  batch: number | null;
  backend: string;
  dataset: string | null;
}

/** How an axis is told: its name, and its value for a cell. */
const AXES: readonly [string, (cell: Omit<StoredCell, 'key'>) => string][] = [
  ['models', (cell) => cell.model],
  ['compressors', (cell) => cell.label],
  ['batch_sizes', (cell) => String(cell.batch ?? 'max')],
  ['workloads', (cell) => [cell.workload, cell.dataset].filter((part) => part !== null).join(' of ')],
  ['backend', (cell) => cell.backend],
];

/**
 * Empty when the plan holds every cell of the stored sweep. Else what changed: values that an axis has lost, fields of
 * the spec that differ, or, when the spec is the same, the inputs behind it.
 */
export function planDifferences(stored: StoredPlan, plan: SweepPlan): string[] {
  const planned = plan.groups.flatMap((group) => group.cells);
  const keys = new Set(planned.map((cell) => cell.key));
  const missing = stored.cells.filter((cell) => !keys.has(cell.key));
  if (missing.length === 0) return [];
  const lost = AXES.flatMap(([axis, value]) => {
    const values = new Set(planned.map(value));
    const gone = [...new Set(stored.cells.map(value))].filter((text) => !values.has(text));
    return gone.length === 0 ? [] : [`${axis} no longer has ${gone.join(', ')}`];
  });
  const fields = Object.keys({ ...stored.spec, ...plan.spec }).filter(
    (field) => stable(stored.spec[field]) !== stable(plan.spec[field]),
  );
  const changed = fields.length === 0 ? [] : [`changed in the spec: ${fields.sort().join(', ')}`];
  if (lost.length + changed.length > 0) return [...lost, ...changed];
  return [
    `the spec is the same, but ${missing.length} of ${stored.cells.length} cells have other inputs now ` +
      '(engine numerics, model file, prompts or device)',
  ];
}

/** Text that is equal for equal JSON whatever the order of keys: jsonb does not keep it. */
function stable(value: unknown): string {
  return (
    JSON.stringify(value, (_, part) =>
      part !== null && typeof part === 'object' && !Array.isArray(part)
        ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
        : part,
    ) ?? 'undefined'
  );
}
