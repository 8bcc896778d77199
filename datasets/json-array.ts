/**
 * A streaming scanner of one big JSON array. It finds where each element lies by tracking strings, escapes and depth
 * in the bytes, and leaves the meaning to the JSON parser: memory stays at one chunk and one element, and a file that
 * is cut off in the middle still gives every whole element before the cut.
 */
import { DatasetError } from './prompt-set.ts';

/** Refuses to buffer more than this for one element: such a file is not a list of records. */
export const MAX_ELEMENT_BYTES = 64 * 1024 * 1024;

export interface ArrayElement {
  /** 0-based position in the array. */
  index: number;
  /** Offset of the first byte in the file. */
  offset: number;
  bytes: Buffer;
}

export interface ArrayEnd {
  /** The closing bracket was there. */
  closed: boolean;
  /** Bytes of an element that the end of the file cut off. */
  tailBytes: number;
  /** Bytes after the closing bracket that are not white space. */
  trailingBytes: number;
}

const [QUOTE, BACKSLASH, COMMA, END, BEGIN] = [0x22, 0x5c, 0x2c, 0x5d, 0x5b];
const isSpace = (c: number) => c === 0x20 || c === 0x0a || c === 0x0d || c === 0x09;
const isOpen = (c: number) => c === 0x7b || c === BEGIN;
const isClose = (c: number) => c === 0x7d || c === END;
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf];

/** Yields the elements of the array in `chunks`; returns how the file ended. */
export async function* arrayElements(
  chunks: AsyncIterable<Buffer> | Iterable<Buffer>,
): AsyncGenerator<ArrayElement, ArrayEnd> {
  // the cast keeps the type wide: assignments inside the loops are not seen where the flow analysis starts
  let place = 'before' as 'before' | 'between' | 'inside' | 'after';
  let container = false; // the current element is an object or array, not a bare value
  let depth = 0; // open brackets of the current element
  let inString = false;
  let escaped = false;
  let index = 0;
  let offset = 0; // of the current chunk
  let started = 0; // of the current element
  let held: Buffer[] = []; // the current element's bytes in earlier chunks
  let heldBytes = 0;
  let trailingBytes = 0;

  for await (const chunk of chunks) {
    let from = 0; // where the current element begins in this chunk
    for (let i = 0; i < chunk.length; i++) {
      const c = chunk[i]!;
      if (place === 'inside') {
        if (inString) {
          if (escaped) escaped = false;
          else if (c === BACKSLASH) escaped = true;
          else if (c === QUOTE) inString = false;
          continue;
        }
        if (c === QUOTE) inString = true;
        else if (container && isOpen(c)) depth++;
        else if (container && isClose(c)) depth--;
        // a container ends with its own bracket, a bare value before the comma or bracket that follows it
        const ended = container ? depth === 0 : c === COMMA || c === END;
        if (!ended) continue;
        held.push(chunk.subarray(from, container ? i + 1 : i));
        yield { index: index++, offset: started, bytes: Buffer.concat(held) };
        held = [];
        heldBytes = 0;
        place = !container && c === END ? 'after' : 'between';
      } else if (place === 'between') {
        if (isSpace(c) || c === COMMA) continue;
        if (c === END) {
          place = 'after';
          continue;
        }
        place = 'inside';
        container = isOpen(c);
        depth = 1;
        inString = c === QUOTE;
        escaped = false;
        from = i;
        started = offset + i;
      } else if (place === 'before') {
        if (isSpace(c) || BYTE_ORDER_MARK[offset + i] === c) continue;
        if (c !== BEGIN) throw new DatasetError('the file is not a JSON array of records: it does not begin with "["');
        place = 'between';
      } else if (!isSpace(c)) trailingBytes++;
    }
    if (place === 'inside') {
      held.push(chunk.subarray(from));
      heldBytes += chunk.length - from;
      if (heldBytes > MAX_ELEMENT_BYTES) {
        throw new DatasetError(`the record at byte ${started} is larger than ${MAX_ELEMENT_BYTES >> 20} MiB`);
      }
    }
    offset += chunk.length;
  }
  return { closed: place === 'after', tailBytes: heldBytes, trailingBytes };
}
