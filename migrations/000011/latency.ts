import { latencySummary as before } from '../000005/latency.ts';
import type { View } from '../000005/view.ts';
import { newestRun } from './lengths.ts';

export const latencySummary: View = {
  ...before,
  comment: `${before.comment} Written by the aggregation of a sweep.`,
  text: `
    select encode(r.key, 'hex'), encode(b.key, 'hex'), r.compressor, r.label, r.batch, m."nTimed",
           (m."stepsComp" / nullif(m."decodeCompMs", 0)) / nullif(m."stepsBase" / nullif(m."decodeBaseMs", 0), 0),
           m."stepsComp" / nullif(m."stepsBase", 0),
           (m."prefillCompMs" + m."decodeCompMs") / nullif(m."prefillBaseMs" + m."decodeBaseMs", 0),
           m."prefillCompMs" / nullif(m."prefillBaseMs", 0),
           m."decodeBaseMs" / nullif(m."prefillBaseMs" + m."decodeBaseMs", 0),
           m.slower::float8 / m."nTimed", m.paradox::float8 / m."nTimed",
           (m.exact ->> 'ratioP50')::float8, (m.exact ->> 'ratioP95')::float8
      from newest_run r
      join ${newestRun('r.baseline_key')} b on true
      join cell_stats t on t.sweep_no = r.sweep_no and t.cell_no = r.cell_no and t.task_type = ''
     cross join lateral jsonb_to_record(t.stats) as m (
             "nTimed" int, "prefillBaseMs" float8, "prefillCompMs" float8, "decodeBaseMs" float8, "decodeCompMs" float8,
             "stepsBase" float8, "stepsComp" float8, slower int, paradox int, exact jsonb)
     where r.workload = 'generate' and r.noise_kind is null and not_inert(r.compressor, r.summary) and m."nTimed" > 0`,
};
