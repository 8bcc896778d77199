/**
 * The columns of `sample` that an engine fills, once: names, array types and values. Both ways of ingest (`unnest` in
 * one statement, COPY and merge) are made from this table.
 */
import type { JsonObject } from '../../workflows/contracts.ts';
import { fromHexOrNull, toJsonb } from './bytes.ts';
import { FINISHES, type SampleRow } from './types.ts';

/** A value as node-pg and the COPY encoder take it. */
export type ColumnValue = string | number | boolean | Buffer | null;

interface SampleColumn {
  name: string;
  type: 'int' | 'smallint' | 'bigint' | 'boolean' | 'double precision' | 'bytea' | 'text' | 'jsonb';
  value: (row: SampleRow) => ColumnValue;
}

const json = (value: JsonObject | null) => (value === null ? null : toJsonb(value));

export const SAMPLE_COLUMNS: readonly SampleColumn[] = [
  { name: 'sample_idx', type: 'int', value: (s) => s.sampleIdx },
  { name: 'rep', type: 'smallint', value: (s) => s.rep },
  { name: 'finish', type: 'smallint', value: (s) => FINISHES.indexOf(s.finish) },
  { name: 'truncated', type: 'boolean', value: (s) => s.truncated },
  { name: 'seed', type: 'bigint', value: (s) => s.seed },
  { name: 'prompt_tokens_raw', type: 'int', value: (s) => s.promptTokensRaw },
  { name: 'prompt_tokens', type: 'int', value: (s) => s.promptTokens },
  { name: 'new_tokens', type: 'int', value: (s) => s.newTokens },
  { name: 'stop_id', type: 'int', value: (s) => s.stopId },
  { name: 'seen', type: 'int', value: (s) => s.seen },
  { name: 'kept_min', type: 'int', value: (s) => s.keptMin },
  { name: 'kept_max', type: 'int', value: (s) => s.keptMax },
  { name: 'kept_mean', type: 'double precision', value: (s) => s.keptMean },
  { name: 'queue_us', type: 'bigint', value: (s) => s.queueUs },
  { name: 'prefill_us', type: 'bigint', value: (s) => s.prefillUs },
  { name: 'decode_us', type: 'bigint', value: (s) => s.decodeUs },
  { name: 'bytes_end', type: 'bigint', value: (s) => s.bytesEnd },
  { name: 'bytes_peak', type: 'bigint', value: (s) => s.bytesPeak },
  { name: 'bytes_f16', type: 'bigint', value: (s) => s.bytesF16 },
  { name: 'prompt_sha', type: 'bytea', value: (s) => fromHexOrNull(s.promptSha) },
  { name: 'out_sha', type: 'bytea', value: (s) => fromHexOrNull(s.outSha) },
  { name: 'text_sha', type: 'bytea', value: (s) => fromHexOrNull(s.textSha) },
  { name: 'error_kind', type: 'text', value: (s) => s.errorKind },
  { name: 'extra', type: 'jsonb', value: (s) => json(s.extra) },
];
