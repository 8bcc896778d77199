/** Answers with what they are scored against, and the scores themselves: many cells at once. */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { from as copyFrom } from 'pg-copy-streams';
import { type Db, poolOf, query } from '../database.ts';
import { fromHex } from './bytes.ts';
import { int16s, int32s, runKey } from './columns.ts';
import { copyOut, runsAsRelation } from './copy-out.ts';
import { copyLine } from './copy-text.ts';
import { LOCK_CELLS, runArrays } from './stages.ts';
import type { RunRef } from './types.ts';

/** How the answers to one prompt are scored. */
export interface Question {
  metric: string;
  variant: string | null;
  references: string[];
  /** The labels of a classification, if it is one. */
  classes: string[] | null;
}

/** Questions of prompt sets by index in the set; null where a prompt names no metric or has no references. */
export async function readQuestions(db: Db, sets: Iterable<string>): Promise<Map<string, (Question | null)[]>> {
  const rows = await query<{ set: string; idx: number } & Question>(
    db,
    `select encode(prompt_set, 'hex') as set, idx, metric, variant, answers as references,
            case when jsonb_typeof(meta -> 'all_classes') = 'array'
                 then array(select jsonb_array_elements_text(meta -> 'all_classes')) end as classes
       from prompt
      where prompt_set = any($1) and metric is not null and cardinality(answers) > 0`,
    [[...new Set(sets)].map(fromHex)],
  );
  const found = new Map<string, (Question | null)[]>();
  for (const { set, idx, ...question } of rows) {
    const questions = found.get(set) ?? [];
    while (questions.length < idx) questions.push(null);
    questions[idx] = question;
    found.set(set, questions);
  }
  return found;
}

/** Which answers a cell gave, in no particular order. */
export interface AnswerColumns {
  promptIdx: Int32Array;
  rep: Int32Array;
  /** Names of the texts: digests, 32 characters of one byte each. */
  texts: string[];
}

const SHA_BYTES = 32;

/** Answers of some runs by `runKey`; those that ended with an error are left out. */
export async function readAnswers(db: Db, runs: readonly RunRef[]): Promise<Map<string, AnswerColumns>> {
  if (runs.length === 0) return new Map();
  const rows = await copyOut(
    db,
    `select s.sweep_no, s.cell_no, string_agg(int4send(s.sample_idx), ''), string_agg(int2send(s.rep), ''),
            string_agg(s.text_sha, '')
       from ${runsAsRelation(runs)}
       join sample s using (sweep_no, cell_no)
      where s.finish <> 3 and s.text_sha is not null
      group by s.sweep_no, s.cell_no`,
  );
  return new Map(
    rows.map((row) => {
      const [sweepNo, cellNo, promptIdx, rep, shas] = row as Buffer[];
      const run = { sweepNo: sweepNo!.readInt32BE(), cellNo: cellNo!.readInt32BE() };
      return [runKey(run), { promptIdx: int32s(promptIdx!), rep: int16s(rep!), texts: shaNames(shas!) }];
    }),
  );
}

function shaNames(shas: Buffer): string[] {
  return Array.from({ length: shas.length / SHA_BYTES }, (_, i) =>
    shas.toString('latin1', i * SHA_BYTES, (i + 1) * SHA_BYTES),
  );
}

/** Texts by the names that `readAnswers` gives them; one that lies elsewhere than in the database is absent. */
export async function readTexts(db: Db, names: Iterable<string>): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const literal = Array.from(names, (name) => `"\\\\x${Buffer.from(name, 'latin1').toString('hex')}"`).join(',');
  if (literal === '') return found;
  const rows = await copyOut(
    db,
    `select string_agg(t.sha, ''), string_agg(int4send(octet_length(t.bytes)), ''), string_agg(t.bytes, '')
       from unnest('{${literal}}'::bytea[]) as u (sha)
       join output t using (sha)
      where t.bytes is not null`,
  );
  const [shas, sizes, bytes] = rows[0]!;
  if (!shas) return found;
  let at = 0;
  const lengths = int32s(sizes!);
  for (const [i, name] of shaNames(shas).entries()) {
    found.set(name, bytes!.toString('utf8', at, at + lengths[i]!));
    at += lengths[i]!;
  }
  return found;
}

export interface Scored {
  metric: string;
  variant: string;
  score: number;
  refIndex: number | null;
  /** What explains the score, as JSON. */
  extra: string | null;
}

const COLUMNS = 'sweep_no, cell_no, sample_idx, rep, metric, variant, scorer_version, score, ref_index, extra';

/** The part of a line of COPY that answers with one text share; see `scoreLine`. */
export function scoreTail(scorerVersion: string, { metric, variant, score, refIndex, extra }: Scored): string {
  return copyLine([metric, variant, scorerVersion, score, refIndex, extra]);
}

/** A row of `score` as `replaceScores` takes it. */
export function scoreLine({ sweepNo, cellNo }: RunRef, sampleIdx: number, rep: number, tail: string): string {
  return `${sweepNo}\t${cellNo}\t${sampleIdx}\t${rep}\t${tail}`;
}

/**
 * Replaces all scores of some runs; two aggregations at once write the same rows, one after the other.
 * @param chunks lines made while Postgres takes in those before
 */
export async function replaceScores(db: Db, runs: readonly RunRef[], chunks: Iterable<string>): Promise<void> {
  const client = await poolOf(db).connect();
  let broken: Error | undefined;
  try {
    await client.query('begin');
    // Asynchronous commit: whatever is lost in a crash is computed again.
    await client.query('set local synchronous_commit = off');
    await client.query(LOCK_CELLS, runArrays(runs));
    await client.query(
      `delete from score t using unnest($1::int[], $2::int[]) as u (sweep_no, cell_no)
        where t.sweep_no = u.sweep_no and t.cell_no = u.cell_no`,
      runArrays(runs),
    );
    await pipeline(Readable.from(chunks), client.query(copyFrom(`copy score (${COLUMNS}) from stdin`)));
    await client.query('commit');
  } catch (error) {
    broken = error as Error;
    throw error;
  } finally {
    // A connection in an unknown state is closed, which also rolls back.
    client.release(broken);
  }
}
