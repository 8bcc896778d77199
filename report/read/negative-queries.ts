/** Statements on the stored negatives. */
import { type Db, query } from '../../activities/database.ts';
import type { NegativeRule } from '../model-scores.ts';

export interface NegativeLine {
  cell_key: string;
  label: string;
  dataset: string | null;
  task_type: string;
  metric: string;
  variant: string;
  rule: NegativeRule;
  theta: number;
  n: number;
  eligible: number;
  negatives: number;
  mirrored: number;
  base_runs: number;
  runs: number;
  robust: number | null;
  stable: number | null;
  noise_negatives: number | null;
  threshold: number | null;
  mean_base: number | null;
  mean_score: number | null;
}

/** @param all every rule and theta; else rule `default`, whole cells by theta and task types at 10 % */
export async function negativeLines(db: Db, keys: readonly string[], all: boolean): Promise<NegativeLine[]> {
  return await query(
    db,
    `select cell_key, label, dataset, task_type, metric, variant, rule, theta, n, eligible, negatives, mirrored, robust, stable,
            noise_negatives, threshold, mean_base, mean_score, base_runs, runs
       from kv.negatives_summary
      where cell_key = any($1) and noise_kind is null
        and ($2 or (rule = 'default' and (task_type = '' or theta = 0.1)))
      order by array_position($1, cell_key), metric, variant, task_type, rule, theta`,
    [keys, all],
  );
}

export interface ExampleLine {
  cell_key: string;
  baseline_cell_key: string;
  label: string;
  dataset: string | null;
  task_type: string | null;
  prompt_key: string;
  replicate: number;
  metric: string;
  base_score: number;
  score: number;
  /** Null without replicates. */
  robust: boolean | null;
}

/** Robust ones first, then the largest loss; two per label at most, and of a prompt with several metrics one. */
export async function exampleLines(
  db: Db,
  keys: readonly string[],
  rule: NegativeRule,
  theta: number,
  most: number,
): Promise<ExampleLine[]> {
  if (keys.length === 0) return [];
  return await query(
    db,
    `with found as (
       select distinct on (label, prompt_key) cell_key, baseline_cell_key, label, dataset, task_type, prompt_key, replicate, metric,
              base_score, score, case when robust_at is not null then $3 = any(robust_at) end as robust
         from kv.negative_sets
        where cell_key = any($1) and rule = $2 and noise_kind is null and negative_to >= $3
        order by label, prompt_key, base_score - score desc, cell_key, metric
     ), ranked as (
       select *, row_number() over (partition by label order by coalesce(robust, false) desc, base_score - score desc, prompt_key)
                 as place
         from found
     )
     select cell_key, baseline_cell_key, label, dataset, task_type, prompt_key, replicate, metric, base_score, score, robust
       from ranked
      where place <= 2
      order by coalesce(robust, false) desc, base_score - score desc, label, prompt_key
      limit $4`,
    [keys, rule, theta, most],
  );
}
