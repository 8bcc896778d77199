/** How rows of a finished cell become SQL: columns, parameters, insertions. Used by both ways of commit. */
import { fromHex, toJsonb } from './bytes.ts';
import type { ColumnValue } from './sample-columns.ts';
import type { CommitInput, KeptRow, OutputRow, ProbeRow, ThroughputRow } from './types.ts';

export interface Column<Row> {
  name: string;
  type: string;
  value: (row: Row) => ColumnValue;
}

const OUTPUT_COLUMNS: readonly Column<OutputRow>[] = [
  { name: 'sha', type: 'bytea', value: (o) => fromHex(o.sha) },
  { name: 'size', type: 'int', value: (o) => o.bytes.length },
  { name: 'bytes', type: 'bytea', value: (o) => Buffer.from(o.bytes) },
];

const KEPT_COLUMNS: readonly Column<KeptRow>[] = [
  { name: 'sample_idx', type: 'int', value: (k) => k.sampleIdx },
  { name: 'rep', type: 'smallint', value: (k) => k.rep },
  { name: 'seen', type: 'int', value: (k) => k.seen },
  { name: 'layers', type: 'smallint', value: (k) => k.layers },
  { name: 'kv_heads', type: 'smallint', value: (k) => k.kvHeads },
  { name: 'bitmap', type: 'bytea', value: (k) => Buffer.from(k.bitmap) },
];

export const THROUGHPUT_COLUMNS: readonly Column<ThroughputRow>[] = [
  { name: 'phase', type: 'text', value: (t) => t.phase },
  { name: 'repeat', type: 'int', value: (t) => t.repeat },
  { name: 'guard', type: 'boolean', value: (t) => t.guard },
  { name: 'batch', type: 'int', value: (t) => t.batch },
  { name: 'prompt_tokens', type: 'int', value: (t) => t.promptTokens },
  { name: 'steps', type: 'int', value: (t) => t.steps },
  { name: 'tokens', type: 'bigint', value: (t) => t.tokens },
  { name: 'seconds', type: 'double precision', value: (t) => t.seconds },
  { name: 'bytes_step', type: 'bigint', value: (t) => t.bytesStep },
  { name: 'bound_s', type: 'double precision', value: (t) => t.boundS },
  { name: 'peak_bytes', type: 'bigint', value: (t) => t.peakBytes },
  { name: 'bytes_end', type: 'bigint', value: (t) => t.bytesEnd },
  { name: 'kept_mean', type: 'double precision', value: (t) => t.keptMean },
  { name: 'clock_mhz', type: 'double precision', value: (t) => t.clockMhz },
  { name: 'us_step', type: 'jsonb', value: (t) => (t.usStep === null ? null : toJsonb(t.usStep)) },
];

const PROBE_COLUMNS: readonly Column<ProbeRow>[] = [
  { name: 'batch', type: 'int', value: (p) => p.batch },
  { name: 'fits', type: 'boolean', value: (p) => p.fits },
  { name: 'error_kind', type: 'text', value: (p) => p.errorKind },
];

/** Builds a statement's parameter list; each call returns the placeholder. */
export class Params {
  readonly values: unknown[] = [];

  add(value: unknown, type: string): string {
    this.values.push(value);
    return `$${this.values.length}::${type}`;
  }

  /** `unnest` of one array per column, under the name `u`. */
  rows<Row>(rows: readonly Row[], columns: readonly Column<Row>[]): string {
    const arrays = columns.map((column) => this.add(rows.map(column.value), `${column.type}[]`));
    return `unnest(${arrays.join(', ')}) as u (${columns.map((column) => column.name).join(', ')})`;
  }
}

/** A CTE that inserts rows of the cell that `done` names; nothing at all when there are none. */
export function insertion<Row>(
  params: Params,
  table: string,
  rows: readonly Row[],
  columns: readonly Column<Row>[],
): string {
  if (rows.length === 0) return '';
  const names = columns.map((column) => column.name);
  return `, ${table}_rows as (
      insert into ${table} (sweep_no, cell_no, ${names.join(', ')})
      select done.sweep_no, done.cell_no, ${names.map((name) => `u.${name}`).join(', ')}
        from done, ${params.rows(rows, columns)}
          on conflict do nothing)`;
}

/** Outputs in the order of their hashes: two cells that insert the same outputs would else wait for each other. */
export function inLockOrder(outputs: readonly OutputRow[]): OutputRow[] {
  const bySha = new Map(outputs.map((output) => [output.sha, output]));
  return [...bySha.values()].sort((a, b) => (a.sha < b.sha ? -1 : 1));
}

/**
 * How many samples of `own` (alias u) have other tokens than the same sample of an earlier run: of this cell `c`, or of
 * a cell of the same key in another sweep. Two lookups, because one with "or" would not use the index on keys.
 */
export function alarmCount(own: string): string {
  return `
  (select count(*)
     from (select c.sweep_no, c.cell_no
            union
           select other.sweep_no, other.cell_no from cell other
            where other.key = c.key and other.status = 'done' and other.reused_from is null) earlier
     join sample s on s.sweep_no = earlier.sweep_no and s.cell_no = earlier.cell_no
     join ${own} on u.sample_idx = s.sample_idx and u.rep = s.rep
    where s.out_sha is distinct from u.out_sha)`;
}

/** The rows beside the samples, for the transaction of `commitByCopy`. Assumes the cell is fenced already. */
export function smallInsertions(input: CommitInput): { text: string; values: unknown[] } {
  const params = new Params();
  const cell = `${params.add(input.sweepNo, 'int')} as sweep_no, ${params.add(input.cellNo, 'int')} as cell_no`;
  const text = `with done as (select ${cell})
    ${otherInsertions(params, input)}
    select from done`;
  return { text, values: params.values };
}

/** Insertions of all rows of the cell but its samples. */
export function otherInsertions(params: Params, input: CommitInput): string {
  return `${insertion(params, 'kept', input.kept, KEPT_COLUMNS)}
    ${insertion(params, 'throughput_run', input.throughput, THROUGHPUT_COLUMNS)}
    ${insertion(params, 'throughput_probe', input.probes, PROBE_COLUMNS)}
    ${outputInsertion(params, inLockOrder(input.outputs))}`;
}

function outputInsertion(params: Params, outputs: readonly OutputRow[]): string {
  if (outputs.length === 0) return '';
  return `, output_rows as (
      insert into output (sha, size, bytes)
      select u.sha, u.size, u.bytes from done, ${params.rows(outputs, OUTPUT_COLUMNS)}
          on conflict do nothing)`;
}
