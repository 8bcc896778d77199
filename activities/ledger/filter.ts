/**
 * The filter of `retry --where`: comparisons `axis op literal` joined by `and`, `or`, `not` and parentheses, as in
 * `compressor = kivi and (batch >= 8 or error = EngineCrash)`. Compiled to SQL over `cell c` with parameters: what the
 * user wrote never becomes SQL text.
 */
import { LedgerRefusal } from './errors.ts';

type Kind = 'text' | 'number' | 'boolean';

/** Axes by name: the column and what literals it takes. Any other name is looked up in the cell's axes as written. */
const AXES: Record<string, { column: string; kind: Kind }> = {
  compressor: { column: 'c.compressor', kind: 'text' },
  label: { column: 'c.label', kind: 'text' },
  model: { column: 'c.model', kind: 'text' },
  batch: { column: 'c.batch', kind: 'number' },
  workload: { column: 'c.workload', kind: 'text' },
  dataset: { column: 'c.dataset', kind: 'text' },
  backend: { column: 'c.backend', kind: 'text' },
  status: { column: 'c.status', kind: 'text' },
  error: { column: 'c.err_class', kind: 'text' },
  tries: { column: 'c.tries', kind: 'number' },
  noise: { column: 'c.noise_kind', kind: 'text' },
  baseline: { column: 'c.is_baseline', kind: 'boolean' },
  cell: { column: 'c.cell_no', kind: 'number' },
  key: { column: `encode(c.key, 'hex')`, kind: 'text' },
};

/** How an operator is written in SQL; the keys are the grammar. */
const OPERATORS: Record<string, string> = {
  '=': '=',
  '!=': 'is distinct from',
  '<': '<',
  '<=': '<=',
  '>': '>',
  '>=': '>=',
  '~': 'like',
};

export interface CompiledFilter {
  /** A boolean SQL expression with placeholders from `$firstParam` on. */
  text: string;
  values: (string | number | boolean)[];
}

interface Token {
  kind: 'word' | 'quoted' | 'op' | 'paren';
  text: string;
  at: number;
}

const TOKEN = /\s*(?:("(?:[^"\\]|\\.)*")|(!=|<=|>=|=|<|>|~)|([()])|([^\s()=<>!~"]+))/y;

/** Compiles a filter; a mistake throws one sentence that names the place. `*` in a `~` literal matches any text. */
export function compileFilter(source: string, firstParam = 1): CompiledFilter {
  const tokens = tokenize(source);
  const values: CompiledFilter['values'] = [];
  let next = 0;
  const peek = () => tokens[next];
  const refuse = (what: string): never => {
    const at = peek()?.at ?? source.length;
    throw new LedgerRefusal(
      `Filter "${source}": ${what} at character ${at + 1}. Write axis op value, as in: compressor = kivi and batch >= 8`,
    );
  };
  const isWord = (word: string) => peek()?.kind === 'word' && peek()!.text.toLowerCase() === word;

  const either = (): string => {
    let text = both();
    while (isWord('or')) {
      next++;
      text = `(${text} or ${both()})`;
    }
    return text;
  };
  const both = (): string => {
    let text = unary();
    while (isWord('and')) {
      next++;
      text = `(${text} and ${unary()})`;
    }
    return text;
  };
  const unary = (): string => {
    if (isWord('not')) {
      next++;
      // A comparison with a null axis is null: "not" must then be true, as a reader expects.
      return `(${unary()}) is not true`;
    }
    if (peek()?.text === '(' && peek()?.kind === 'paren') {
      next++;
      const text = either();
      if (peek()?.text !== ')') refuse('")" is missing');
      next++;
      return `(${text})`;
    }
    return comparison();
  };
  const comparison = (): string => {
    const axis = peek();
    if (axis === undefined || (axis.kind !== 'word' && axis.kind !== 'quoted')) return refuse('an axis is missing');
    next++;
    const op = peek();
    if (op?.kind !== 'op') return refuse(`an operator (${Object.keys(OPERATORS).join(' ')}) is missing`);
    next++;
    const literal = peek();
    if (literal === undefined || (literal.kind !== 'word' && literal.kind !== 'quoted'))
      return refuse('a value is missing');
    next++;
    const known = Object.hasOwn(AXES, axis.text) ? AXES[axis.text]! : null;
    const kind = known?.kind ?? 'text';
    const place = (value: string | number | boolean, type: string) => {
      values.push(value);
      return `$${firstParam + values.length - 1}::${type}`;
    };
    const column = known?.column ?? `(c.axes ->> ${place(axis.text, 'text')})`;
    if (op.text === '~') {
      return `${column}::text like ${place(likePattern(literal.text), 'text')}`;
    }
    if (kind === 'number') {
      const number = Number(literal.text);
      if (!Number.isFinite(number)) return refuse(`${axis.text} wants a number, "${literal.text}" is none,`);
      return `${column} ${OPERATORS[op.text]} ${place(number, 'float8')}`;
    }
    if (kind === 'boolean') {
      if (literal.text !== 'true' && literal.text !== 'false') return refuse(`${axis.text} wants true or false,`);
      return `${column} ${OPERATORS[op.text]} ${place(literal.text === 'true', 'boolean')}`;
    }
    const number = Number(literal.text);
    if (known === null && literal.kind === 'word' && literal.text !== '' && Number.isFinite(number)) {
      // An axis as the user wrote it may be a number or a text; only numbers are compared as numbers.
      const name = `$${firstParam + values.length - 1}`;
      return `(case when jsonb_typeof(c.axes -> ${name}) = 'number'
                    then ${column}::float8 ${OPERATORS[op.text]} ${place(number, 'float8')}
                    else ${column} ${OPERATORS[op.text]} ${place(literal.text, 'text')} end)`;
    }
    return `${column} ${OPERATORS[op.text]} ${place(literal.text, 'text')}`;
  };

  const text = either();
  if (next < tokens.length) refuse(`"${peek()!.text}" is not expected`);
  return { text, values };
}

function tokenize(source: string): Token[] {
  const tokens: Token[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < source.trimEnd().length) {
    const at = TOKEN.lastIndex;
    const match = TOKEN.exec(source);
    if (match === null) {
      throw new LedgerRefusal(
        `Filter "${source}": cannot read character ${at + 1}; put values with signs into double quotes.`,
      );
    }
    const [, quoted, op, paren, word] = match;
    if (quoted !== undefined) tokens.push({ kind: 'quoted', text: quoted.slice(1, -1).replace(/\\(.)/g, '$1'), at });
    else if (op !== undefined) tokens.push({ kind: 'op', text: op, at });
    else if (paren !== undefined) tokens.push({ kind: 'paren', text: paren, at });
    else tokens.push({ kind: 'word', text: word!, at });
  }
  return tokens;
}

function likePattern(text: string): string {
  return text.replace(/[\\%_]/g, '\\$&').replaceAll('*', '%');
}
