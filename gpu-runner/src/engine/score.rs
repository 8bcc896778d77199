//! The driver of workload `score`: teacher-forced log-probabilities of a given continuation.
//!
//! The continuation is fed one decode step each, so that the compressor acts as in generation: prefill attention is
//! exact and would show nothing.

use super::prompt::Prompt;
use super::sampler::argmax;
use super::seats::Driver;
use crate::cache::KvStats;
use crate::events::{self, SampleError};
use crate::request::{Item, Score};
use crate::Error;

/// One continuation on its way to its scores.
pub struct Scoring<'a> {
    cell: &'a str,
    workload: &'a Score,
    item: &'a Item,
    prompt: Prompt,
    continuation: Vec<u32>,
    logprobs: Vec<f32>,
    argmax: Vec<u32>,
    top_ids: Vec<Vec<u32>>,
    top_logprobs: Vec<Vec<f32>>,
    order: Vec<u32>,
    kv: Option<KvStats>,
    error: Option<SampleError>,
}

impl<'a> Scoring<'a> {
    /// A sample with its continuation's ids, at least one.
    pub fn new(cell: &'a str, workload: &'a Score, item: &'a Item, prompt: Prompt, continuation: Vec<u32>) -> Self {
        Scoring {
            cell,
            workload,
            item,
            prompt,
            continuation,
            logprobs: Vec::new(),
            argmax: Vec::new(),
            top_ids: Vec::new(),
            top_logprobs: Vec::new(),
            order: Vec::new(),
            kv: None,
            error: None,
        }
    }

    /// A sample that failed before it had a prompt.
    pub fn failed(cell: &'a str, workload: &'a Score, item: &'a Item, error: &Error) -> Self {
        let mut scoring = Scoring::new(cell, workload, item, Prompt::default(), Vec::new());
        scoring.error = Some(error.into());
        scoring
    }

    /// What its stores report.
    pub fn kv(&self) -> Option<&KvStats> {
        self.kv.as_ref()
    }

    /// Tokens scored.
    pub fn tokens(&self) -> usize {
        self.logprobs.len()
    }

    /// The event `scored`.
    pub fn event(&self) -> events::Event {
        events::Event::Scored(Box::new(events::Scored {
            cell: self.cell.to_owned(),
            sample: self.item.sample.clone(),
            replicate: self.item.replicate,
            seed: self.item.seed,
            n_prompt: self.prompt.ids.len(),
            n_scored: self.logprobs.len(),
            logprobs: self.logprobs.clone(),
            argmax: self.argmax.clone(),
            top_ids: self.top_ids.clone(),
            top_logprobs: self.top_logprobs.clone(),
            kv: self.kv.clone(),
            error: self.error.clone(),
        }))
    }
}

/// ln of the sum of e^logit, in f64: a vocabulary of small terms would lose digits in f32.
fn log_sum_exp(logits: &[f32]) -> f64 {
    let most = f64::from(logits[argmax(logits) as usize]);
    let sum: f64 = logits.iter().map(|l| (f64::from(*l) - most).exp()).sum();
    most + sum.ln()
}

impl Driver for Scoring<'_> {
    fn prompt(&self) -> &[u32] {
        &self.prompt.ids
    }

    fn max_new(&self) -> usize {
        self.continuation.len()
    }

    fn seed(&self) -> u64 {
        self.item.seed
    }

    fn admitted(&mut self, _now: f64) {}

    fn accept(&mut self, logits: &mut [f32], _clock: &dyn Fn() -> f64) -> Option<u32> {
        let total = log_sum_exp(logits);
        let logprob = |id: u32| (f64::from(logits[id as usize]) - total) as f32;
        let given = self.continuation[self.logprobs.len()];
        self.logprobs.push(logprob(given));
        self.argmax.push(argmax(logits));
        let k = self.workload.top_k.min(logits.len());
        if k > 0 {
            let best_first = |a: &u32, b: &u32| {
                let (la, lb) = (logits[*a as usize], logits[*b as usize]);
                lb.total_cmp(&la).then(a.cmp(b))
            };
            self.order.clear();
            self.order.extend(0..logits.len() as u32);
            self.order.select_nth_unstable_by(k - 1, best_first);
            let top = &mut self.order[..k];
            top.sort_unstable_by(best_first);
            self.top_ids.push(top.to_vec());
            self.top_logprobs.push(top.iter().map(|id| logprob(*id)).collect());
        }
        (self.logprobs.len() < self.continuation.len()).then_some(given)
    }

    fn ended(&mut self, kv: KvStats, _kept: Option<Vec<u8>>, error: Option<Error>) {
        self.kv = Some(kv);
        self.error = error.as_ref().map(SampleError::from);
    }
}
