/** The statements of docs/queries.md: what is documented is what is tested. */
import { readFileSync } from 'node:fs';

const DOC = new URL('../../docs/queries.md', import.meta.url);

/** The n-th statement (from 0) under a heading, for one sweep. */
export function documented(heading: string, sweep: string, n = 0): string {
  const section = readFileSync(DOC, 'utf8')
    .split(/^## /m)
    .find((part) => part.startsWith(`${heading}\n`));
  if (section === undefined) throw new Error(`docs/queries.md has no section "${heading}".`);
  const text = [...section.matchAll(/```sql\n([\s\S]*?)```/g)][n]?.[1];
  if (text === undefined) throw new Error(`Section "${heading}" has no statement ${n}.`);
  return text.replaceAll("'my-sweep'", `'${sweep}'`);
}
