import type { View } from '../000005/view.ts';
import { scores as before } from '../000008/scores.ts';

export const scores: View = {
  ...before,
  columns: { ...before.columns, extra: 'what explains a score, such as {"longPair": true}; mostly null' },
  text: before.text.replace('s.ref_index', 's.ref_index, s.extra'),
};
