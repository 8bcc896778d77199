/** Reading option values, with a sentence for what does not fit. */
import { UsageError } from './usage-error.ts';

type Value = string | boolean | string[] | undefined;

export function positiveInteger(value: Value, name: string): number {
  const number = Number(value);
  if (typeof value !== 'string' || !Number.isInteger(number) || number < 1) {
    throw new UsageError(`${name} ${String(value)} is not a whole number of at least 1`);
  }
  return number;
}

export function wholeNumber(value: Value, name: string): number {
  const number = Number(value);
  if (typeof value !== 'string' || value.trim() === '' || !Number.isInteger(number) || number < 0) {
    throw new UsageError(`${name} ${String(value)} is not a whole number of at least 0`);
  }
  return number;
}

export function oneOf<T extends string>(value: Value, choices: readonly T[], name: string): T {
  if (typeof value === 'string' && (choices as readonly string[]).includes(value)) return value as T;
  throw new UsageError(`${name} ${String(value)} is not one of ${choices.join(', ')}`);
}
