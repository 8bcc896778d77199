/** Rows as a worker commits them, filled with plausible values. */
import { createHash } from 'node:crypto';
import { bytesOfTokens, type CommitInput, type OutputRow, type SampleRow } from '../../activities/ledger.ts';

export function output(bytes: Uint8Array): OutputRow {
  return { sha: createHash('sha256').update(bytes).digest('hex'), bytes };
}

export function sampleRow(sampleIdx: number, tokens: number[], over: Partial<SampleRow> = {}): SampleRow {
  return {
    sampleIdx,
    rep: 0,
    seed: 7,
    finish: 'stop',
    truncated: false,
    promptTokensRaw: 10,
    promptTokens: 10,
    newTokens: tokens.length,
    stopId: 2,
    seen: 10 + tokens.length,
    keptMin: 12,
    keptMax: 12,
    keptMean: 12.25,
    queueUs: 1000,
    prefillUs: 20_000,
    decodeUs: 1000 * tokens.length,
    bytesEnd: 4096,
    bytesPeak: 8192,
    bytesF16: 8192,
    promptSha: createHash('sha256').update(`prompt ${sampleIdx}`).digest('hex'),
    outSha: output(bytesOfTokens(tokens)).sha,
    textSha: output(Buffer.from(`text of ${tokens.join(' ')}`)).sha,
    errorKind: null,
    extra: { kept_layers: [12, 12.5] },
    ...over,
  };
}

/** Outputs of samples made by `sampleRow` from these token lists. */
export function outputsOf(lists: number[][]): OutputRow[] {
  return lists.flatMap((tokens) => [output(bytesOfTokens(tokens)), output(Buffer.from(`text of ${tokens.join(' ')}`))]);
}

export function commitInput(
  lease: { sweepNo: number; cellNo: number; lease: string },
  lists: number[][],
  over: Partial<CommitInput> = {},
): CommitInput {
  return {
    ...lease,
    effective: { none: {} },
    summary: {
      tokens: lists.flat().length,
      seconds: 0.5,
      inert: false,
      peak_bytes: 1000,
      batch: 1,
      max_batch: null,
      numerics: 'cpu-1',
      stop_ids: [2],
      page: null,
      memory: null,
    },
    samples: lists.map((tokens, i) => sampleRow(i, tokens)),
    outputs: outputsOf(lists),
    kept: [],
    throughput: [],
    probes: [],
    provenance: { engine: '0.1.0', device: { name: 'test cpu' } },
    ...over,
  };
}
