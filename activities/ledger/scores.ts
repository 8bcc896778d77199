/** Answers with the references they are scored against, and the scores themselves. */
import { type Db, query } from '../database.ts';
import type { RunRef } from './types.ts';

export interface AnswerRow {
  sampleIdx: number;
  rep: number;
  metric: string;
  variant: string | null;
  references: string[];
  text: string;
}

/** Answers of a run whose prompt names a metric and has references; answers that ended with an error are left out. */
export async function readAnswers(db: Db, run: RunRef): Promise<AnswerRow[]> {
  return await query(
    db,
    `select s.sample_idx as "sampleIdx", s.rep, p.metric, p.variant, p.answers as references,
            convert_from(t.bytes, 'UTF8') as text
       from sample s
       join cell c using (sweep_no, cell_no)
       join prompt p on p.prompt_set = c.prompt_set and p.idx = s.sample_idx
       join output t on t.sha = s.text_sha
      where s.sweep_no = $1 and s.cell_no = $2 and s.finish <> 3 and p.metric is not null and cardinality(p.answers) > 0
      order by s.sample_idx, s.rep`,
    [run.sweepNo, run.cellNo],
  );
}

export interface ScoreRow {
  sampleIdx: number;
  rep: number;
  metric: string;
  variant: string;
  score: number;
  refIndex: number | null;
}

/** Replaces all scores of a run; two aggregations at once write the same rows. */
export async function replaceScores(
  db: Db,
  run: RunRef,
  scorerVersion: string,
  rows: readonly ScoreRow[],
): Promise<void> {
  const column = <K extends keyof ScoreRow>(name: K) => rows.map((row) => row[name]);
  await db.transaction().execute(async (trx) => {
    await query(trx, 'delete from score where sweep_no = $1 and cell_no = $2', [run.sweepNo, run.cellNo]);
    if (rows.length === 0) return;
    await query(
      trx,
      `insert into score (sweep_no, cell_no, scorer_version, sample_idx, rep, metric, variant, score, ref_index)
       select $1, $2, $3, u.*
         from unnest($4::int[], $5::smallint[], $6::text[], $7::text[], $8::float8[], $9::int[]) as u
           on conflict (sweep_no, cell_no, sample_idx, rep, metric, variant) do update
          set scorer_version = excluded.scorer_version, score = excluded.score, ref_index = excluded.ref_index`,
      [
        run.sweepNo,
        run.cellNo,
        scorerVersion,
        column('sampleIdx'),
        column('rep'),
        column('metric'),
        column('variant'),
        column('score'),
        column('refIndex'),
      ],
    );
  });
}
