/** `number_final`: the number that an answer ends with, as GSM8K writes answers (`#### 42`). */
import { withoutWhite } from './text.ts';

const NUMBER = /-?[0-9][0-9,]*(\.[0-9]+)?/g;

export function numberFinal(prediction: string): (reference: string) => number {
  const said = decimal(afterHashes(prediction) ?? prediction.match(NUMBER)?.at(-1) ?? '');
  return (reference) => (said !== null && said === referenceNumber(reference) ? 1 : 0);
}

/** The number of a reference in normal form; null if it is none. */
export function referenceNumber(reference: string): string | null {
  return decimal(afterHashes(reference) ?? reference);
}

function afterHashes(text: string): string | null {
  const at = text.lastIndexOf('####');
  return at < 0 ? null : text.slice(at + 4);
}

/** Equal decimals get equal texts: 0.1 is 0.10, and no digit is lost to a double. Null if it is no decimal. */
function decimal(text: string): string | null {
  const bare = withoutWhite(text).replace(/[,$]/g, '').replace(/\.$/, '');
  const parts = /^(-?)0*([0-9]*)(?:\.([0-9]*))?$/.exec(bare);
  if (!parts || !/[0-9]/.test(bare)) return null;
  const whole = parts[2] === '' ? '0' : parts[2]!;
  const fraction = (parts[3] ?? '').replace(/0+$/, '');
  const sign = whole === '0' && fraction === '' ? '' : parts[1]!;
  return `${sign}${whole}${fraction === '' ? '' : `.${fraction}`}`;
}
