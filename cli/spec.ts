import { type Document, LineCounter, type Node, parseDocument } from 'yaml';
import type { z } from 'zod';
import { type Spec, specSchema } from './spec-schema.ts';
import { UsageError } from './usage-error.ts';

export interface SpecIssue {
  /** 1-based line of the spec; null if the value has no place (an absent field at the top). */
  line: number | null;
  path: string;
  message: string;
}

/** A spec with its mistakes, each with the line where it stands. */
export class SpecError extends UsageError {
  readonly issues: SpecIssue[];
  constructor(file: string, issues: SpecIssue[]) {
    const lines = issues.map((i) => `${file}${i.line ? `:${i.line}` : ''}: ${i.path ? `${i.path}: ` : ''}${i.message}`);
    super(lines.join('\n'));
    this.name = 'SpecError';
    this.issues = issues;
  }
}

/**
 * Reads a sweep spec (YAML; JSON is YAML). The text is parsed with anchors bounded and duplicate keys refused.
 *
 * @throws SpecError with one line per mistake.
 */
export function parseSpec(text: string, file: string): Spec {
  const counter = new LineCounter();
  const doc = parseDocument(text, { lineCounter: counter, uniqueKeys: true, strict: true });
  const syntax = doc.errors.map((e) => ({
    line: counter.linePos(e.pos[0]).line,
    path: '',
    message: e.message.split('\n')[0]!.replace(/ at line \d+, column \d+:?$/, ''),
  }));
  if (syntax.length > 0) throw new SpecError(file, syntax);
  const value: unknown = doc.toJS({ maxAliasCount: 100 });
  if (value === null || value === undefined) {
    throw new SpecError(file, [
      { line: 1, path: '', message: 'the file is empty; a spec needs name, models, compressors and workloads' },
    ]);
  }
  const result = specSchema.safeParse(value);
  if (result.success) return result.data;
  throw new SpecError(
    file,
    result.error.issues.flatMap((issue) => describe(issue, value, doc, counter)),
  );
}

/** Line of the node at `path`, or of the closest parent that exists (a missing field is reported at its map). */
export function lineOf(doc: Document, counter: LineCounter, path: PropertyKey[]): number | null {
  for (let depth = path.length; depth >= 0; depth--) {
    const node = doc.getIn(path.slice(0, depth), true) as Node | undefined;
    if (node?.range) return counter.linePos(node.range[0]).line;
  }
  return null;
}

function describe(issue: z.core.$ZodIssue, root: unknown, doc: Document, counter: LineCounter): SpecIssue[] {
  // A union reports all its branches; the one that went deepest is the one the user meant.
  if (issue.code === 'invalid_union' && issue.errors.length > 0) {
    const deepest = issue.errors
      .map((branch) => ({ branch, depth: Math.max(...branch.map((i) => i.path.length)) }))
      .sort((a, b) => b.depth - a.depth)[0]!;
    if (deepest.depth > 0) {
      return deepest.branch.flatMap((i) => describe({ ...i, path: [...issue.path, ...i.path] }, root, doc, counter));
    }
  }
  const at = issue.code === 'unrecognized_keys' ? [...issue.path, issue.keys[0]!] : issue.path;
  return [
    { line: lineOf(doc, counter, at), path: pathText(issue.path), message: sentence(issue, valueAt(root, issue.path)) },
  ];
}

function sentence(issue: z.core.$ZodIssue, value: unknown): string {
  if (issue.code === 'unrecognized_keys') {
    return `unknown field ${issue.keys.map((k) => `'${k}'`).join(', ')}; check the spelling against the spec in the README`;
  }
  if (value === undefined) return `is missing (${issue.message.replace(/^Invalid input: /, '')})`;
  const got = JSON.stringify(value);
  const shown = got !== undefined && got.length > 60 ? `${got.slice(0, 57)}...` : got;
  if (issue.code === 'invalid_union') return `${shown} fits none of the forms this field may have`;
  return `${shown}: ${issue.message.replace(/^Invalid (input|option): /, '').replace(/^Too (small|big): /, '')}`;
}

function valueAt(root: unknown, path: PropertyKey[]): unknown {
  let at = root;
  for (const key of path) at = (at as Record<PropertyKey, unknown> | null | undefined)?.[key];
  return at;
}

function pathText(path: PropertyKey[]): string {
  return path.map((p, i) => (typeof p === 'number' ? `[${p}]` : `${i ? '.' : ''}${String(p)}`)).join('');
}
