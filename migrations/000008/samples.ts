import { samples as before } from '../000005/samples.ts';
import type { View } from '../000005/view.ts';

/** The columns of migration 5 stay in front: `create or replace view` may only add behind them. */
export const samples: View = {
  ...before,
  columns: {
    ...before.columns,
    kept_layers: 'tokens held at the end per layer, mean over its kv heads',
    budgets: 'entries that each layer, or each kv head of each layer, was given; null if all have the same',
    bytes_ideal: 'bytes of the payload alone: no page rounding, no side arrays',
    dropped: 'entries dropped, summed over layers and kv heads',
    sealed_k: 'entries whose key was quantised, summed over layers and kv heads',
    sealed_v: 'entries whose value was quantised, summed over layers and kv heads',
    selections: 'selections that dropped something',
    first_drop: 'decode step of the first drop, 0 = at the end of prefill; null if none',
  },
  text: before.text.replace(
    /token_ids\(o\.bytes\)\n/,
    `token_ids(o.bytes),
           case when jsonb_typeof(s.extra -> 'kept_layers') = 'array'
                then array(select value::float8 from jsonb_array_elements_text(s.extra -> 'kept_layers')) end,
           nullif(s.extra -> 'budgets', 'null'),
           (s.extra ->> 'bytes_ideal')::bigint, (s.extra ->> 'dropped')::bigint, (s.extra ->> 'sealed_k')::bigint,
           (s.extra ->> 'sealed_v')::bigint, (s.extra ->> 'selections')::bigint, (s.extra ->> 'first_drop')::bigint
`,
  ),
};
