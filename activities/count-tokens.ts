/** Token counts by the tokenizer of a model, asked of the engine (`encode`): the planner has no tokenizer. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { z } from 'zod';
import { EngineUnavailable } from './engine-commands.ts';

/** Bytes of text in one request; the engine reads lines of up to 8 MiB, and JSON may double a text. */
const REQUEST_BYTES = 2 << 20;

const encoded = z.looseObject({ event: z.literal('encoded'), ids: z.array(z.array(z.int())) });
const failed = z.looseObject({ event: z.literal('failed'), message: z.string() });

export interface Tokenizer {
  enginePath: string;
  environment: Record<string, string>;
  modelPath: string;
  chatTemplate?: string;
}

/** Token ids of each text; with `chat` inside the model's chat template. */
export async function encodeTexts(tokenizer: Tokenizer, texts: string[], chat: boolean): Promise<number[][]> {
  if (texts.length === 0) return [];
  const folder = await mkdtemp(join(tmpdir(), 'kvsweep-encode-'));
  try {
    const model = { path: tokenizer.modelPath };
    const template = tokenizer.chatTemplate === undefined ? {} : { chat_template: tokenizer.chatTemplate };
    const load = { op: 'load', id: 'm', model, backend: 'cpu', tokenizer_only: true, ...template };
    const encodes = portions(texts).map((part, i) => ({ op: 'encode', id: `e${i}`, texts: part, chat }));
    const requests = [load, ...encodes, { op: 'shutdown' }];
    const file = join(folder, 'requests.jsonl');
    await writeFile(file, requests.map((r) => `${JSON.stringify(r)}\n`).join(''));
    const run = await execa(tokenizer.enginePath, ['run', file], {
      env: tokenizer.environment,
      extendEnv: false,
      reject: false,
      stdin: 'ignore',
      timeout: 120_000,
      maxBuffer: 512 << 20,
    });
    const events = run.stdout
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as unknown);
    const ids = events.flatMap((e) => encoded.safeParse(e).data?.ids ?? []);
    if (ids.length === texts.length) return ids;
    const reason = events.map((e) => failed.safeParse(e)).find((r) => r.success)?.data.message;
    throw new EngineUnavailable(
      `the engine could not tokenise: ${reason ?? (run.stderr.trim().split('\n').at(-1) || `exit code ${run.exitCode}`)}`,
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The texts in order, in parts of a bounded size; a part holds at least one text. */
export function portions(texts: readonly string[]): string[][] {
  const parts: string[][] = [];
  let room = 0;
  for (const text of texts) {
    const bytes = Buffer.byteLength(text);
    if (parts.length === 0 || bytes > room) {
      parts.push([]);
      room = REQUEST_BYTES;
    }
    parts.at(-1)!.push(text);
    room -= bytes;
  }
  return parts;
}
