/** What the fake engine's documented rule gives, computed apart from it: the expected rows of an undisturbed run. */
import { createHash } from 'node:crypto';
import { sampleSeed } from '../../activities/cells.ts';

/** `label/sample/rep` -> sha256 of the three token ids, for cells whose seedling is their label. */
export function expectedHashes(labels: readonly string[], prompts: number): Record<string, string> {
  const hashes: Record<string, string> = {};
  for (const label of labels) {
    for (let i = 0; i < prompts; i++) {
      const key = `test/${i}`;
      const digest = createHash('sha256')
        .update(`${label}|${key}|0|${sampleSeed(1, key, 0)}`)
        .digest();
      const bytes = Buffer.alloc(12);
      for (let t = 0; t < 3; t++) bytes.writeUInt32LE(digest.readUInt16LE(2 * t), 4 * t);
      hashes[`${label}/${i}/0`] = createHash('sha256').update(bytes).digest('hex');
    }
  }
  return hashes;
}
