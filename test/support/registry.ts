/** The committed rows of the engine's registry: those of the design, then our own. */
import { readFileSync } from 'node:fs';

export interface CommittedRow {
  name: string;
  /** Of the design; 0 for our own. */
  section: number;
  family: string;
  params: { name: string }[];
  input_aliases?: Record<string, unknown>;
  evict_at: { choices: string[] } | null;
}

export function committedRows(): CommittedRow[] {
  return ['compressors.json', 'compressors-own.json'].flatMap((file) => {
    const url = new URL(`../../gpu-runner/tests/fixtures/${file}`, import.meta.url);
    return (JSON.parse(readFileSync(url, 'utf8')) as { compressors: CommittedRow[] }).compressors;
  });
}
