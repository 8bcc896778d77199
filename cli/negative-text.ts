/** Negatives as people read them. A prompt is called negative without more only if replicates say so. */

import type { NegativeCount } from '../activities/ledger/negatives.ts';
import { netTest } from '../analysis/negatives.ts';
import type { NegativeEntry } from './negative-entries.ts';
import { type Column, shorten, sideBySide, wrap } from './side-by-side.ts';

export interface CountLine extends NegativeCount {
  compressor: string;
  batch: number | null;
}

/** @param weighed under rule artifact records are counted twice: then there is no p */
export function countTable(lines: readonly CountLine[], weighed: boolean) {
  return lines.map(({ compressor, batch, n, eligible, negatives, mirrored, robust }) => {
    const { net, p } = netTest(negatives, mirrored);
    return { compressor, batch, n, eligible, negatives, mirrored, net, p: weighed ? null : p, robust };
  });
}

/** What kind of negatives a list holds, in a sentence for its head. */
export function kindOfList(lines: readonly CountLine[]): string {
  return lines.every((line) => line.robust === null)
    ? 'These are single-run negatives: no replicates were run, so noise alone may account for any of them. Compare with mirrored.'
    : 'robust = negative whichever replicates are compared; the others are single-run negatives, which noise may account for.';
}

export function verdict(stable: boolean | null, robust: boolean | null): string {
  if (robust === null) return 'single-run negative (no replicates)';
  if (robust) return 'negative (robust: holds between all replicates)';
  return stable === false
    ? 'single-run negative (not robust: the uncompressed runs differ by as much)'
    : 'single-run negative (not robust: a replicate does better)';
}

const PROMPT_CHARS = 600;
const ANSWER_CHARS = 2000;
const LEAST_COLUMN = 28;

export function entryText(entry: NegativeEntry, no: number, width: number): string {
  const where = [
    entry.promptKey,
    ...(entry.replicate > 0 ? [`replicate ${entry.replicate}`] : []),
    ...(entry.taskType ? [entry.taskType] : []),
    [entry.metric, entry.variant].filter((part) => part !== '').join(' '),
    `batch ${entry.batch ?? 'max'}`,
  ].join(', ');
  const lines = [`${no}. ${where}`];
  for (const { label, negative, stable, robust } of entry.answers) {
    lines.push(`   ${label}: ${negative ? verdict(stable, robust) : 'not negative'}`);
  }
  lines.push(...labelled('prompt', shorten(promptText(entry), PROMPT_CHARS), width));
  if (entry.prompt?.references?.length) {
    lines.push(...labelled('reference', shorten(entry.prompt.references.join(' / '), PROMPT_CHARS), width));
  }
  const base: Column = { head: `none: ${score(entry.baseScore)}`, text: answer(entry.baseText) };
  const others = entry.answers.map(
    ({ label, score: value, text }): Column => ({ head: `${label}: ${score(value)}`, text: answer(text) }),
  );
  // The uncompressed answer stands first in each row of columns.
  const perRow = Math.max(1, Math.floor(width / LEAST_COLUMN) - 1);
  for (let at = 0; at < others.length; at += perRow) {
    lines.push(sideBySide([base, ...others.slice(at, at + perRow)], width));
  }
  return lines.join('\n');
}

function labelled(name: string, text: string, width: number): string[] {
  const head = `${name}: `;
  return wrap(text, Math.max(20, width - head.length)).map(
    (line, i) => (i === 0 ? head : ' '.repeat(head.length)) + line,
  );
}

function promptText({ prompt }: NegativeEntry): string {
  if (prompt?.prompt != null) return prompt.prompt;
  if (prompt?.messages) return prompt.messages.map((m) => `${m.role}: ${m.content}`).join('\n');
  return '(no text is stored)';
}

const answer = (text: string | null) => (text === null ? '(no text is stored)' : shorten(text, ANSWER_CHARS));
const score = (value: number) => value.toFixed(3);
