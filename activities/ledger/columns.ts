/** Samples of many cells at once as columns of numbers. Postgres packs each column of a cell into one value. */
import type { SampleColumns } from '../../analysis/columns.ts';
import { type Db, query } from '../database.ts';
import { fromHex, tokensOf } from './bytes.ts';
import { copyOut, runsAsRelation } from './copy-out.ts';
import { FINISHES, type Finish, type RunRef } from './types.ts';

const SHA_BYTES = 32;
const NO_SHA = `'\\x${'00'.repeat(SHA_BYTES)}'::bytea`;

/** Columns by run; see `runKey`. A run without samples has no entry. */
export async function readSampleColumns(db: Db, runs: readonly RunRef[]): Promise<Map<string, SampleColumns>> {
  const found = new Map<string, SampleColumns>();
  if (runs.length === 0) return found;
  // string_agg leaves nulls out, so every column says what stands for one
  const rows = await copyOut(
    db,
    `select s.sweep_no, s.cell_no, string_agg(int4send(s.sample_idx), ''), string_agg(int2send(s.rep), ''),
            string_agg(int2send(s.finish), ''), string_agg(int4send(coalesce(s.new_tokens, -1)), ''),
            string_agg(int4send(coalesce(s.stop_id, -1)), ''), string_agg(float8send(coalesce(s.prefill_us, 'NaN'::float8)), ''),
            string_agg(float8send(coalesce(s.decode_us, 'NaN'::float8)), ''), string_agg(coalesce(s.prompt_sha, ${NO_SHA}), ''),
            string_agg(coalesce(s.out_sha, ${NO_SHA}), '')
       from ${runsAsRelation(runs)}
       join sample s using (sweep_no, cell_no)
      group by s.sweep_no, s.cell_no`,
  );
  for (const row of rows) {
    const [sweepNo, cellNo, promptIdx, rep, finish, newTokens, stopId, prefillUs, decodeUs, promptSha, outSha] =
      row as Buffer[];
    found.set(runKey({ sweepNo: sweepNo!.readInt32BE(), cellNo: cellNo!.readInt32BE() }), {
      promptIdx: int32s(promptIdx!),
      rep: int16s(rep!),
      finish: int16s(finish!),
      newTokens: int32s(newTokens!),
      stopId: int32s(stopId!),
      prefillUs: float64s(prefillUs!),
      decodeUs: float64s(decodeUs!),
      promptSha: int32s(promptSha!),
      outSha: int32s(outSha!),
    });
  }
  return found;
}

export function runKey({ sweepNo, cellNo }: RunRef): string {
  return `${sweepNo}/${cellNo}`;
}

/** Sums of log-probabilities of the cells of workload `score`; samples that failed are left out. */
export async function readScoredColumns(db: Db, runs: readonly RunRef[]): Promise<Map<string, ScoredColumns>> {
  const rows = await copyOut(
    db,
    `select s.sweep_no, s.cell_no, string_agg(int4send(s.sample_idx), ''), string_agg(int2send(s.rep), ''),
            string_agg(int4send(s.new_tokens), ''), string_agg(float8send((s.extra ->> 'logprob_sum')::float8), '')
       from ${runsAsRelation(runs)}
       join sample s using (sweep_no, cell_no)
      where s.finish <> 3 and s.new_tokens is not null and s.extra ->> 'logprob_sum' is not null
      group by s.sweep_no, s.cell_no`,
  );
  return new Map(
    rows.map((row) => {
      const [sweepNo, cellNo, promptIdx, rep, tokens, logprob] = row as Buffer[];
      const columns = {
        promptIdx: int32s(promptIdx!),
        rep: int16s(rep!),
        tokens: int32s(tokens!),
        logprob: float64s(logprob!),
      };
      return [runKey({ sweepNo: sweepNo!.readInt32BE(), cellNo: cellNo!.readInt32BE() }), columns];
    }),
  );
}

export interface ScoredColumns {
  promptIdx: Int32Array;
  rep: Int32Array;
  /** Tokens scored. */
  tokens: Int32Array;
  /** Sum of natural-log probabilities. */
  logprob: Float64Array;
}

export interface PromptColumns {
  /** By index in the prompt set. */
  keys: string[];
  /** Empty for a prompt without one. */
  taskTypes: string[];
}

/** Keys and task types of prompt sets, by the set's digest in hex. */
export async function readPromptColumns(db: Db, sets: Iterable<string>): Promise<Map<string, PromptColumns>> {
  const rows = await query<{ set: string } & PromptColumns>(
    db,
    `select encode(prompt_set, 'hex') as set, array_agg(key order by idx) as keys,
            array_agg(coalesce(task_type, '') order by idx) as "taskTypes"
       from prompt
      where prompt_set = any($1)
      group by prompt_set`,
    [[...new Set(sets)].map(fromHex)],
  );
  return new Map(rows.map(({ set, ...columns }) => [set, columns]));
}

/** Two outputs that differ, of one prompt and replicate. */
export interface OutputPair {
  sampleIdx: number;
  rep: number;
  base: { tokenIds: Uint32Array; finish: Finish };
  comp: { tokenIds: Uint32Array; finish: Finish };
}

/** Pairs of a cell and its baseline whose outputs differ and are both stored. */
export async function readOutputPairs(db: Db, comp: RunRef, base: RunRef): Promise<OutputPair[]> {
  const rows = await copyOut(
    db,
    `select y.sample_idx, y.rep, x.finish, y.finish, bx.bytes, by.bytes
       from sample y
       join sample x on x.sweep_no = ${base.sweepNo} and x.cell_no = ${base.cellNo} and x.sample_idx = y.sample_idx and x.rep = y.rep
       join output bx on bx.sha = x.out_sha
       join output by on by.sha = y.out_sha
      where y.sweep_no = ${comp.sweepNo} and y.cell_no = ${comp.cellNo} and x.out_sha <> y.out_sha
        and x.finish <> 3 and y.finish <> 3 and (x.prompt_sha = y.prompt_sha) is not false
        and bx.bytes is not null and by.bytes is not null`,
  );
  return rows.map((row) => {
    const [sampleIdx, rep, baseFinish, compFinish, baseBytes, compBytes] = row as Buffer[];
    const finish = (code: Buffer) => FINISHES[code.readInt16BE()]!;
    return {
      sampleIdx: sampleIdx!.readInt32BE(),
      rep: rep!.readInt16BE(),
      base: { tokenIds: tokensOf(baseBytes!), finish: finish(baseFinish!) },
      comp: { tokenIds: tokensOf(compBytes!), finish: finish(compFinish!) },
    };
  });
}

/** Numbers of a column that Postgres packed in network byte order, in memory of their own and so aligned. */
export function int32s(bytes: Buffer): Int32Array {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  bytes.copy(copy);
  return new Int32Array(copy.swap32().buffer);
}

export function int16s(bytes: Buffer): Int32Array {
  const out = new Int32Array(bytes.length / 2);
  for (let i = 0; i < out.length; i++) out[i] = bytes.readInt16BE(2 * i);
  return out;
}

export function float64s(bytes: Buffer): Float64Array {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  bytes.copy(copy);
  return new Float64Array(copy.swap64().buffer);
}
