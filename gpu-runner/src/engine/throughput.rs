//! Workload `throughput`: prefill and decode timed at fixed lengths on a static batch, every repeat on an empty cache.
//!
//! t0: ids ready, pages reserved and empty. t1: the first token of every sequence exists. t2: the last one. Greedy, end
//! ids ignored; prefill makes one token more than the steps.

use super::cell::{no_model, Host, Progress, Totals};
use super::prompt;
use super::sampler::argmax;
use super::seats::Outcome;
use super::Loaded;
use crate::cache::{expected, Held, KvStats, SeqId};
use crate::events::{self, Event, KvTotals, Measured, UsStep};
use crate::model::{Runner, Times};
use crate::plan::CellPlan;
use crate::random::{draw, key, uses};
use crate::request::{Batch, Throughput, Truncate};
use crate::{Error, Result};
use std::time::Instant;

/// One timed run.
struct Run {
    prefill_s: f64,
    decode_s: f64,
    prefill: Times,
    decode: Times,
    kv_prefill: KvTotals,
    kv_decode: KvTotals,
    acted: bool,
}

/// What all runs of a cell share.
struct Bench<'a> {
    plan: &'a CellPlan,
    workload: &'a Throughput,
    runner: &'a mut dyn Runner,
    measured: Measured,
    texts: Option<Vec<Vec<u32>>>,
    host: &'a Host<'a>,
}

pub(super) fn run(
    loaded: &mut Loaded,
    plan: &CellPlan,
    workload: &Throughput,
    host: &Host<'_>,
    totals: &mut Totals,
) -> Result<Outcome> {
    let longest = workload.prompt_tokens + workload.new_tokens;
    if longest > loaded.config.context {
        return Err(Error::BadRequest(format!(
            "prompt_tokens {} and new_tokens {} make {longest} tokens and the context is {}; lower either",
            workload.prompt_tokens, workload.new_tokens, loaded.config.context
        )));
    }
    let texts = given_ids(loaded, plan, workload)?;
    let measured = loaded.measured.ok_or_else(no_model)?;
    let runner = loaded.runner.as_mut().ok_or_else(no_model)?.as_mut();
    let mut bench = Bench {
        plan,
        workload,
        runner,
        measured,
        texts,
        host,
    };
    let batch = match plan.request.batch {
        Batch::Size(n) => {
            bench.open(n)?;
            bench.announce(n)?;
            n
        }
        Batch::Max => {
            bench.open(1)?;
            bench.announce(1)?;
            let Some(n) = bench.largest()? else {
                return Ok(Outcome::Stopped);
            };
            totals.max_batch = Some(n);
            bench.open(n)?;
            n
        }
    };
    bench.repeats(batch, totals)
}

/// The ids of the cell's samples, cut to exactly T; `None` without samples.
fn given_ids(loaded: &Loaded, plan: &CellPlan, workload: &Throughput) -> Result<Option<Vec<Vec<u32>>>> {
    if plan.items.is_empty() {
        return Ok(None);
    }
    let rules = prompt::Rules::new(loaded, false, None, Truncate::None)?;
    let want = workload.prompt_tokens;
    let cut = plan.items.iter().map(|item| {
        let mut ids = match (&item.tokens, &item.prompt) {
            (Some(ids), _) => ids.clone(),
            (None, Some(text)) => rules.encode(text)?,
            (None, None) => {
                return Err(Error::BadRequest(format!(
                    "sample {}: throughput takes prompt or tokens",
                    item.sample
                )))
            }
        };
        if ids.len() < want {
            return Err(Error::BadRequest(format!(
                "sample {} has {} tokens and prompt_tokens is {want}; send a longer text or lower prompt_tokens",
                item.sample,
                ids.len()
            )));
        }
        ids.truncate(want);
        Ok(ids)
    });
    cut.collect::<Result<Vec<_>>>().map(Some)
}

impl Bench<'_> {
    fn workspace(&self, batch: usize) -> u64 {
        let eviction = self.plan.resolved.eviction();
        self.runner
            .workspace_bytes(batch, self.workload.prompt_tokens, eviction)
    }

    fn open(&mut self, batch: usize) -> Result<()> {
        let limit = self.plan.limit.saturating_sub(self.workspace(batch));
        self.runner.open(&self.plan.resolved, limit)
    }

    fn announce(&mut self, batch: usize) -> Result<()> {
        let (w, workspace) = (self.workload, self.workspace(batch));
        let lengths = (0..batch).map(|_| (w.prompt_tokens, w.new_tokens + 1));
        self.plan
            .announce(self.runner, lengths, batch, workspace, self.host.events)
    }

    /// B prompts of exactly T ids: the given texts, or draws from the seed.
    fn prompts(&self, batch: usize) -> Result<Vec<Vec<u32>>> {
        let (w, vocab) = (self.workload, self.runner.config().vocab as u64);
        if let Some(texts) = &self.texts {
            return texts.get(..batch).map(<[_]>::to_vec).ok_or_else(|| {
                Error::BadRequest(format!(
                    "{} samples are given for a batch of {batch}; send one per sequence, or none",
                    texts.len()
                ))
            });
        }
        let row = |b: usize| {
            let key = key(w.seed, [uses::PROMPT_IDS, b as u64, 0, 0, 0]);
            (0..w.prompt_tokens as u64)
                .map(|i| (((draw(key, i) >> 32) * vocab) >> 32) as u32)
                .collect()
        };
        Ok((0..batch).map(row).collect())
    }

    /// The largest batch whose full run fits: 1, 2, 4, ... to a failure, then bisection. `None` if stopped.
    fn largest(&mut self) -> Result<Option<usize>> {
        let (mut fits, mut fails) = (0, None);
        loop {
            let batch = match fails {
                None => (fits * 2).max(1),
                Some(fails) if fails - fits <= 1 => return Ok(Some(fits)),
                Some(fails) => (fits + fails) / 2,
            };
            let probe = self.open(batch).and_then(|()| self.once(batch));
            let kind = match probe {
                Ok(Some(_)) => None,
                Ok(None) => return Ok(None),
                Err(error @ Error::OutOfMemory { .. }) if batch > 1 => Some(error.kind()),
                Err(error) => return Err(error),
            };
            self.host.events.emit(&Event::Probe {
                cell: self.plan.request.cell.clone(),
                batch,
                fits: kind.is_none(),
                kind,
            });
            match kind {
                None => fits = batch,
                Some(_) => fails = Some(batch),
            }
        }
    }

    fn repeats(&mut self, batch: usize, totals: &mut Totals) -> Result<Outcome> {
        let w = self.workload;
        let host = self.host;
        let mut progress = Progress::new(&self.plan.request.cell, w.repeats, host.events);
        for repeat in 0..w.warmup + w.repeats {
            progress.at(if repeat < w.warmup { "warmup" } else { "repeat" });
            let Some(run) = self.once(batch)? else {
                return Ok(Outcome::Stopped);
            };
            if repeat < w.warmup {
                continue;
            }
            totals.acted |= run.acted;
            totals.tokens += (batch * (w.new_tokens + 1)) as u64;
            let (weights, ..) = self.runner.weight_bytes();
            totals.peak_bytes = weights + self.workspace(batch) + self.runner.cache()?.arena().bytes() as u64;
            self.report(batch, repeat - w.warmup, &run, totals.peak_bytes)?;
            progress.done += 1;
            progress.tokens = totals.tokens;
        }
        totals.samples = batch;
        Ok(Outcome::Done)
    }

    /// One run on an empty cache; `None` if stopped.
    fn once(&mut self, batch: usize) -> Result<Option<Run>> {
        let w = self.workload;
        let prompts = self.prompts(batch)?;
        let mut seqs: Vec<SeqId> = Vec::with_capacity(batch);
        for _ in 0..batch {
            match self.runner.cache()?.admit(w.prompt_tokens, w.new_tokens + 1, w.seed) {
                Ok(seq) => seqs.push(seq),
                Err(error) => {
                    self.discard(&seqs)?;
                    return Err(error);
                }
            }
        }
        let run = self.timed(&seqs, &prompts);
        if !matches!(run, Ok(Some(_))) {
            self.discard(&seqs)?;
        }
        run
    }

    fn discard(&mut self, seqs: &[SeqId]) -> Result<()> {
        let cache = self.runner.cache()?;
        seqs.iter().for_each(|seq| cache.discard(*seq));
        Ok(())
    }

    fn timed(&mut self, seqs: &[SeqId], prompts: &[Vec<u32>]) -> Result<Option<Run>> {
        let chunk = self.plan.chunk(seqs.len());
        let mut ids = Vec::with_capacity(seqs.len());
        self.runner.take_times();
        let t0 = Instant::now();
        for (seq, prompt) in seqs.iter().zip(prompts) {
            if !self.runner.prefill(*seq, prompt, self.host.go_on)? {
                return Ok(None);
            }
            ids.push(argmax(self.runner.logits(0)?));
        }
        let prefill_s = t0.elapsed().as_secs_f64();
        let prefill = self.runner.take_times();
        let cache = self.runner.cache()?;
        let kv_prefill = totals_of(seqs.iter().map(|seq| cache.stats(*seq)));
        let t1 = Instant::now();
        for _ in 0..self.workload.new_tokens {
            if !(self.host.go_on)() {
                return Ok(None);
            }
            self.runner.step(seqs, &ids, chunk)?;
            for (row, id) in ids.iter_mut().enumerate() {
                *id = argmax(self.runner.logits(row)?);
            }
        }
        let decode_s = t1.elapsed().as_secs_f64();
        let decode = self.runner.take_times();
        let cache = self.runner.cache()?;
        let stats = seqs.iter().map(|seq| cache.release(*seq)).collect::<Result<Vec<_>>>()?;
        Ok(Some(Run {
            prefill_s,
            decode_s,
            prefill,
            decode,
            kv_prefill,
            acted: stats.iter().any(KvStats::acted),
            kv_decode: totals_of(stats.into_iter()),
        }))
    }

    fn report(&mut self, batch: usize, repeat: usize, run: &Run, peak_bytes: u64) -> Result<()> {
        let w = self.workload;
        let (steps, prompt) = (w.new_tokens, w.prompt_tokens);
        let bytes_step = self.bytes_step(batch)?;
        let bound_decode = steps as f64 * bytes_step as f64 / (self.measured.read_tb_s * 1e12);
        let bound_prefill = self.prefill_operations(batch) / (self.measured.gemm_tflop_s * 1e12);
        for decode in [false, true] {
            let (seconds, bound_s) = if decode {
                (run.decode_s, bound_decode)
            } else {
                (run.prefill_s, bound_prefill)
            };
            let tokens = batch * if decode { steps } else { prompt };
            self.host.events.emit(&Event::Throughput(Box::new(events::Throughput {
                cell: self.plan.request.cell.clone(),
                repeat,
                phase: if decode { "decode" } else { "prefill" },
                batch,
                prompt_tokens: prompt,
                steps: if decode { steps } else { 0 },
                tokens,
                seconds,
                tokens_s: tokens as f64 / seconds,
                bytes_step: decode.then_some(bytes_step),
                bound_s,
                of_bound: bound_s / seconds,
                us_step: if decode {
                    us_step(&run.decode, seconds, steps)
                } else {
                    us_step(&run.prefill, seconds, 1)
                },
                peak_bytes,
                kv: if decode {
                    run.kv_decode.clone()
                } else {
                    run.kv_prefill.clone()
                },
            })));
        }
        Ok(())
    }

    /// Bytes that a decode step in the middle of the run reads: all matrices once, and what the stores then hold.
    fn bytes_step(&mut self, batch: usize) -> Result<u64> {
        let (shape, w) = (self.runner.config().shape, self.workload);
        let seen = w.prompt_tokens + w.new_tokens / 2;
        let (_, weights, _) = self.runner.weight_bytes();
        let cache = self.runner.cache()?;
        let stores: usize = (0..shape.layers)
            .map(|layer| {
                let layout = &cache.plan(layer).layout;
                let e = expected(&self.plan.resolved, shape, layer, w.prompt_tokens, seen);
                // Of a total that is shared out by scores the mean reads as much.
                let held = match e.held {
                    Held::Each(n) => n,
                    Held::Total(_, most) => most / shape.kv_heads,
                };
                let (k, v) = layout.sealed(held);
                shape.kv_heads * layout.payload_bytes(shape.head_dim, held, k, v)
            })
            .sum();
        Ok(weights + (batch * stores) as u64)
    }

    /// Operations of the prefill, two per multiply-add: linear layers, the head for one row, causal attention.
    fn prefill_operations(&self, batch: usize) -> f64 {
        let c = self.runner.config();
        let head = (c.vocab * c.hidden) as f64;
        let t = self.workload.prompt_tokens as f64;
        let linear = 2.0 * (t * (c.linear_weights() as f64 - head) + head);
        let attention = 2.0 * (c.shape.layers * c.q_width()) as f64 * t * t;
        batch as f64 * (linear + attention)
    }
}

fn us_step(times: &Times, seconds: f64, steps: usize) -> UsStep {
    let per = |s: f64| s * 1e6 / steps as f64;
    UsStep {
        attention: per(times.attention),
        linear: per(times.linear),
        other: per((seconds - times.attention - times.linear).max(0.0)),
    }
}

fn totals_of(stats: impl Iterator<Item = KvStats>) -> KvTotals {
    let mut sum = KvTotals::default();
    let mut n = 0;
    for kv in stats {
        sum.bytes_end += kv.bytes_end as u64;
        sum.bytes_peak += kv.bytes_peak as u64;
        sum.bytes_f16 += kv.bytes_f16 as u64;
        sum.bytes_ideal += kv.bytes_ideal as u64;
        sum.kept_mean += kv.kept_mean;
        n += 1;
    }
    sum.kept_mean /= f64::from(n.max(1));
    sum
}
