/** Conversions at the border: digests, token ids, JSON. */

/** Digests are hex in TypeScript and bytea in the tables; token ids are stored as little-endian u32. */
export function fromHex(hex: string): Buffer {
  return Buffer.from(hex, 'hex');
}

export function fromHexOrNull(hex: string | null): Buffer | null {
  return hex === null ? null : Buffer.from(hex, 'hex');
}

export function toHexOrNull(bytes: Buffer | null): string | null {
  return bytes === null ? null : bytes.toString('hex');
}

/** bytes [4 n] -> n token ids. */
export function tokensOf(bytes: Buffer): Uint32Array {
  const tokens = new Uint32Array(bytes.length / 4);
  for (let i = 0; i < tokens.length; i++) tokens[i] = bytes.readUInt32LE(4 * i);
  return tokens;
}

/** n token ids -> bytes [4 n]. */
export function bytesOfTokens(tokens: ArrayLike<number>): Buffer {
  const bytes = Buffer.alloc(4 * tokens.length);
  for (let i = 0; i < tokens.length; i++) bytes.writeUInt32LE(tokens[i]!, 4 * i);
  return bytes;
}

/**
 * JSON that jsonb accepts. Postgres stores neither NUL nor half a surrogate pair; engines' messages may hold either, so
 * each becomes U+FFFD, as it would in any UTF-8 stream.
 */
export function toJsonb(value: unknown): string {
  return JSON.stringify(value, (_, part) => (typeof part === 'string' ? toStorableText(part) : part));
}

export function toStorableText(text: string): string {
  return Buffer.from(text.replaceAll('\0', '\ufffd')).toString();
}
