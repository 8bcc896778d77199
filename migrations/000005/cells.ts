import type { View } from './view.ts';

/** Names are joined to the run that a cell has or reuses; the rest is the cell's own. */
export const cells: View = {
  name: 'cells',
  comment: 'One row per (sweep, cell). A cell that reuses a run of another sweep shows that run.',
  columns: {
    sweep: 'name of the sweep',
    cell_no: 'number of the cell in its sweep',
    cell_key: 'key of the cell, hex: equal keys mean equal results',
    status: 'pending, leased, done, failed (its own fault) or lost (not its fault)',
    model: 'name of the model',
    model_sha: 'sha256 of the model file, hex',
    workload: 'the workload as the engine got it',
    dataset: 'data set of the prompts; null for throughput',
    kind: 'generate, throughput or score',
    compressor: 'method, or methods joined by +; none = uncompressed',
    requested: 'parameters as written in the spec',
    effective: 'parameters as the engine resolved and reported them',
    label: 'short name of the compressor configuration',
    batch_size: 'sequences at a time; for batch "max" the size found, null before the run',
    invariant: 'true: tokens do not depend on the batch',
    scheduler: 'static or continuous',
    backend: 'cpu or cuda',
    baseline_cell_key: 'key of its baseline, null if that is not done',
    is_baseline: 'compressor none and no noise',
    noise_kind: 'seed, batch, backend or rerun for a noise cell, else null',
    max_new_tokens: 'cap on the tokens of an answer',
    sampling: 'greedy, or temperature and its limits',
    template_sha: 'sha256 of the prompt template of the data set, hex',
    chat_template_sha: 'sha256 of the chat template text, hex; null if the model has none',
    stop_ids: 'token ids that end an answer',
    engine: 'version of the engine that ran it',
    numerics: 'numerics version of the engine: output bits are equal within one',
    host: 'name of the host that ran it',
    device: 'name of the GPU or CPU',
    n_planned: 'samples planned; for throughput the repeats',
    n_done: 'samples stored without an error; for throughput the timed repeats',
    n_error: 'samples that ended with an error of their own',
    n_alarms: 'samples whose tokens contradict an earlier run of the same key',
    compressed: 'false: the compressor acted in no sample (inert), so the cell is left out of shares; null for none',
    error_kind: 'class of failure of a failed cell',
    axes: 'the coordinates as written in the spec',
    reused_from: 'name of the sweep whose run this cell reuses, else null',
    started_at: 'start of the run',
    finished_at: 'end of the run',
  },
  text: `
    select s.id, c.cell_no, encode(c.key, 'hex'), c.status, c.model, encode(c.model_sha, 'hex'),
           c.run -> 'workload', c.dataset, c.workload, c.compressor, c.requested, coalesce(r.effective, c.effective),
           c.label, coalesce((r.summary ->> 'batch')::int, c.batch), c.invariant, c.run ->> 'scheduler', c.backend,
           (select encode(b.key, 'hex') from newest_run b where b.key = c.baseline_key),
           c.is_baseline, c.noise_kind,
           (c.run #>> '{workload,generate,max_new_tokens}')::int, c.run #> '{workload,generate,sampling}',
           p.meta ->> 'template_sha',
           encode(sha256(convert_to(coalesce(c.run #>> '{model,chat_template}', m.meta ->> 'chat_template'), 'UTF8')), 'hex'),
           case when jsonb_typeof(r.summary -> 'stop_ids') = 'array'
                then array(select value::int from jsonb_array_elements_text(r.summary -> 'stop_ids')) end,
           coalesce(e.version, r.provenance ->> 'engine'), r.summary ->> 'numerics', h.name,
           coalesce(r.provenance #>> '{device,name}', h.facts #>> '{device,name}'),
           c.n_planned, n.done, n.error, coalesce(r.n_alarms, 0), not_inert(c.compressor, r.summary), c.err_class,
           c.axes, o.id, coalesce(r.started_at, c.started_at), coalesce(r.finished_at, c.finished_at)
      from cell c
      join sweep s using (sweep_no)
      left join cell r on r.key = c.key and r.sweep_no = coalesce(c.reused_from, c.sweep_no) and c.status = 'done'
      left join sweep o on o.sweep_no = c.reused_from
      left join attempt a on a.sweep_no = r.sweep_no and a.group_no = r.group_no and a.lease = r.lease
      left join engine_build e on e.id = a.engine_build_id
      left join host h on h.id = a.host_id
      left join prompt_set p on p.sha = c.prompt_set
      left join model m on m.sha = c.model_sha
      left join lateral (
           select case when c.workload = 'throughput'
                       then (select count(*) from throughput_run t
                              where t.sweep_no = r.sweep_no and t.cell_no = r.cell_no and t.phase = 'decode' and not t.guard)
                       else (select count(*) from sample t
                              where t.sweep_no = r.sweep_no and t.cell_no = r.cell_no and t.finish <> 3) end as done,
                  (select count(*) from sample t
                    where t.sweep_no = r.sweep_no and t.cell_no = r.cell_no and t.finish = 3) as error) n on true`,
};

export const pairs: View = {
  name: 'pairs',
  comment: 'One row per compressed cell that is done and whose compressor acted, with its baseline.',
  columns: {
    compressor: 'method, or methods joined by +',
    label: 'short name of the compressor configuration',
    cell_key: 'key of the compressed cell, hex',
    baseline_cell_key: 'key of its baseline, null if that is not done',
  },
  text: `
    select r.compressor, r.label, encode(r.key, 'hex'),
           (select encode(b.key, 'hex') from newest_run b where b.key = r.baseline_key)
      from newest_run r
     where not_inert(r.compressor, r.summary)`,
};

export const estimates: View = {
  name: 'estimates',
  comment: 'One row per (cell, statistic): values with bootstrap intervals and permutation p values.',
  columns: {
    cell_key: 'key of the cell, hex',
    statistic: 'name of the statistic',
    value: 'its value',
    lo: 'lower end of the 95 % interval',
    hi: 'upper end of the 95 % interval',
    p: 'p value of the test that belongs to it',
    n: 'pairs',
    n_clusters: 'prompts, the unit of resampling',
    b: 'resamples',
    seed: 'seed of the resampling',
    version: 'version of the code that computed it',
  },
  text: `
    select encode(r.key, 'hex'), e.statistic, e.value, e.lo, e.hi, e.p, e.n, e.n_clusters, e.b, e.seed, e.version
      from newest_run r
      join estimate e using (sweep_no, cell_no)`,
};
