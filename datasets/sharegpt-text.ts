/**
 * Fixed long texts out of a ShareGPT file, for perplexity and calibration. The rule knows no chance: records in the
 * order of the file, all their turns joined by a blank line, texts of at least 8,000 characters, the first 16,000 of
 * each. Records with an even index are for `evaluation`, odd ones for `calibration`: no text is in both.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { arrayElements } from './json-array.ts';
import {
  DatasetError,
  type DatasetPrompt,
  type JsonObject,
  type PromptSet,
  promptSet,
  type SelectOptions,
  selectPrompts,
} from './prompt-set.ts';

export const TEXT_PARTS = ['evaluation', 'calibration'] as const;
export type TextPart = (typeof TEXT_PARTS)[number];

export interface ShareGptTextOptions extends SelectOptions {
  path: string;
  name?: string;
  part?: TextPart;
}

export const LEAST_CHARS = 8_000;
export const MOST_CHARS = 16_000;

/** All turns of a record as one text; null if it has none. */
export function conversationText(record: unknown): string | null {
  const turns = (record as { conversations?: unknown } | null)?.conversations;
  if (!Array.isArray(turns)) return null;
  const texts = turns.flatMap((turn: unknown) => {
    const value = (turn as { value?: unknown } | null)?.value;
    return typeof value === 'string' && value.trim() !== '' ? [value] : [];
  });
  return texts.length === 0 ? null : texts.join('\n\n');
}

/** Cuts a text after so many UTF-16 units, never within a character. */
export function cutText(text: string, most: number): string {
  if (text.length <= most) return text;
  const last = text.charCodeAt(most - 1);
  return text.slice(0, last >= 0xd800 && last < 0xdc00 ? most - 1 : most);
}

export async function* fixedTexts(
  chunks: AsyncIterable<Buffer> | Iterable<Buffer>,
  part: TextPart,
  name: string,
): AsyncGenerator<DatasetPrompt> {
  const seen = new Set<string>();
  for await (const { index, bytes } of arrayElements(chunks)) {
    if (index % 2 !== TEXT_PARTS.indexOf(part)) continue;
    const text = conversationText(parse(bytes));
    if (text === null || text.length < LEAST_CHARS) continue;
    const cut = cutText(text, MOST_CHARS);
    if (seen.has(cut)) continue;
    seen.add(cut);
    yield { key: `${name}/#${index}`, prompt: cut };
  }
}

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return null;
  }
}

export async function loadShareGptText(options: ShareGptTextOptions): Promise<PromptSet> {
  const { path, part = 'evaluation' } = options;
  const name = options.name ?? (part === 'evaluation' ? 'fixed_text' : 'calibration_text');
  const stream = createReadStream(path, { highWaterMark: 1 << 20 });
  try {
    const selection = await selectPrompts(fixedTexts(stream as AsyncIterable<Buffer>, part, name), options);
    const meta: JsonObject = {
      kind: 'sharegpt_text',
      part,
      source_sha256: await fileSha(path),
      licence: 'user-shared conversations of ShareGPT; no licence of their own; nothing of them is redistributed',
      least_chars: LEAST_CHARS,
      most_chars: MOST_CHARS,
    };
    return promptSet(name, selection, options, meta);
  } catch (error) {
    if (error instanceof DatasetError) throw error;
    throw new DatasetError(`cannot read the data set ${path}: ${(error as Error).message}`, { cause: error });
  } finally {
    stream.destroy();
  }
}

async function fileSha(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
