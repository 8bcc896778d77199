import { type Kysely, sql } from 'kysely';

/**
 * Speeds of `throughput` cells as a model of latency (analysis 1.6): what a request costs at a batch size, by the length
 * of its prompt. Internal: users see what `kv.e2e_latency` and `kv.e2e_latency_at_max` make of them.
 */
export async function createSpeeds(db: Kysely<unknown>): Promise<void> {
  // Between two points the value is linear in ln T; beyond them it is that of the nearest: nothing is extrapolated.
  await sql`
    create function at_tokens(tokens float8[], points float8[], t float8) returns float8
      language sql immutable parallel safe
      return (select case when i = 0 then points[1]
                          when i = cardinality(tokens) then points[i]
                          else points[i] + (points[i + 1] - points[i]) * ln(t / tokens[i]) / ln(tokens[i + 1] / tokens[i]) end
                from (select width_bucket(t, tokens) as i) as at)`.execute(db);
  // One prompt's prefill at the rate of one sequence of the batch, then its decode steps.
  await sql`
    create function modelled_ms(tokens float8[], prefill_tok_s float8[], tpot_ms float8[], t float8, steps int) returns float8
      language sql immutable parallel safe
      return 1000 * t / at_tokens(tokens, prefill_tok_s, t) + greatest(steps, 0) * at_tokens(tokens, tpot_ms, t)`.execute(
    db,
  );
  // One row per throughput cell. The rate of prefill is that of one sequence: T over the time of the whole batch's prefill.
  await sql`
    create view speed_point as
    with phases as (
      select r.key, t.phase, max(t.batch) as batch, max(t.prompt_tokens) as prompt_tokens, max(t.steps) as steps,
             percentile_cont(0.5) within group (order by t.seconds) as seconds
        from newest_run r
        join throughput_run t using (sweep_no, cell_no)
       where not t.guard
       group by r.key, t.phase
    )
    select r.key, r.model_sha, r.compressor, r.effective, r.backend, coalesce(r.provenance #>> '{device,name}', '') as device,
           r.invariant, (r.run ->> 'memory_limit')::bigint as memory_limit, r.run ->> 'batch' = 'max' as is_max, d.batch,
           d.prompt_tokens, d.steps, p.prompt_tokens / p.seconds as prefill_tok_s, 1000 * d.seconds / d.steps as tpot_ms
      from newest_run r
      join phases p on p.key = r.key and p.phase = 'prefill'
      join phases d on d.key = r.key and d.phase = 'decode'
     where not_inert(r.compressor, r.summary) is not false and d.steps > 0`.execute(db);
  // One row per configuration and batch size, its points by prompt length. Of several at one length the serving form
  // (not invariant) with most steps counts.
  await sql`
    create view speed_curve as
    select model_sha, compressor, effective, backend, device, batch, array_agg(prompt_tokens::float8 order by prompt_tokens) as tokens,
           array_agg(prefill_tok_s order by prompt_tokens) as prefill_tok_s, array_agg(tpot_ms order by prompt_tokens) as tpot_ms
      from (select distinct on (model_sha, compressor, effective, backend, device, batch, prompt_tokens) *
              from speed_point
             order by model_sha, compressor, effective, backend, device, batch, prompt_tokens, invariant, steps desc, key) p
     group by model_sha, compressor, effective, backend, device, batch`.execute(db);
  // Compressed generate cells with both curves at one batch size, the nearest to their own. Unique by key, so that a query
  // that asks for no modelled column does not compute it.
  await sql`
    create view latency_model as
    select distinct on (r.key) r.key, own.batch, own.tokens, own.prefill_tok_s, own.tpot_ms,
           base.tokens as base_tokens, base.prefill_tok_s as base_prefill_tok_s, base.tpot_ms as base_tpot_ms
      from newest_run r
      join speed_curve own
        on own.model_sha = r.model_sha and own.effective = r.effective and own.backend = r.backend
       and own.device = coalesce(r.provenance #>> '{device,name}', '')
      join speed_curve base
        on base.model_sha = r.model_sha and base.compressor = 'none' and base.backend = r.backend and base.device = own.device
       and base.batch = own.batch
     where r.workload = 'generate' and r.noise_kind is null and r.compressor <> 'none' and not_inert(r.compressor, r.summary)
     order by r.key, abs(ln(own.batch::float8 / r.batch)), own.batch`.execute(db);
  // Own largest batches by prompt length: the one that a search found, else the largest done.
  await sql`
    create view speed_largest as
    select distinct on (model_sha, compressor, effective, backend, device, memory_limit, prompt_tokens)
           model_sha, compressor, effective, backend, device, memory_limit, prompt_tokens, batch
      from speed_point
     order by model_sha, compressor, effective, backend, device, memory_limit, prompt_tokens, is_max desc, batch desc`.execute(
    db,
  );
}

export async function dropSpeeds(db: Kysely<unknown>): Promise<void> {
  await sql`drop view speed_largest, latency_model, speed_curve, speed_point`.execute(db);
  await sql`drop function modelled_ms, at_tokens`.execute(db);
}
