//! The driver of workload `generate`: one answer to one prompt.

use super::prompt::Prompt;
use super::sampler::Sampler;
use super::seats::Driver;
use super::stats;
use crate::cache::KvStats;
use crate::events::{self, SampleError};
use crate::request::{Generate, Item, Trace};
use crate::tokenizer::Tokenizer;
use crate::Error;
use std::time::Instant;

/// What all answers of a cell share.
pub struct Rules<'a> {
    /// The cell's name.
    pub cell: &'a str,
    /// The workload.
    pub workload: &'a Generate,
    /// All end ids, ascending.
    pub stop_ids: &'a [u32],
    /// Most tokens of prompt and answer.
    pub context: usize,
    /// `None` for dummy models.
    pub tokenizer: Option<&'a Tokenizer>,
}

enum Finish {
    StopId(u32),
    /// The string, and where in the text it begins.
    StopString(String, usize),
    Length,
    Context,
    Failed(SampleError),
}

/// One sample on its way to an answer.
pub struct Answer<'a> {
    rules: &'a Rules<'a>,
    item: &'a Item,
    prompt: Prompt,
    max_new: usize,
    sampler: Sampler,
    out: Vec<u32>,
    /// Bytes of the text before the newest token: where a new stop string can begin is bounded by it.
    text_len: usize,
    finish: Option<Finish>,
    t_submit: f64,
    t_admit: Option<f64>,
    t_first: Option<f64>,
    t_last: Option<f64>,
    last_step: Option<Instant>,
    us_steps: Vec<u32>,
    kv: Option<KvStats>,
    kept: Option<Vec<u8>>,
}

impl<'a> Answer<'a> {
    /// A sample whose prompt is ready.
    pub fn new(rules: &'a Rules<'a>, item: &'a Item, prompt: Prompt, t_submit: f64) -> Answer<'a> {
        Answer {
            rules,
            item,
            prompt,
            max_new: item.max_new_tokens.unwrap_or(rules.workload.max_new_tokens),
            sampler: Sampler::new(&rules.workload.sampling, item.seed),
            out: Vec::new(),
            text_len: 0,
            finish: None,
            t_submit,
            t_admit: None,
            t_first: None,
            t_last: None,
            last_step: None,
            us_steps: Vec::new(),
            kv: None,
            kept: None,
        }
    }

    /// A sample that failed before it had a prompt.
    pub fn failed(rules: &'a Rules<'a>, item: &'a Item, error: &Error, t_submit: f64) -> Answer<'a> {
        let mut answer = Answer::new(rules, item, Prompt::default(), t_submit);
        answer.finish = Some(Finish::Failed(error.into()));
        answer
    }

    /// Tokens made.
    pub fn tokens(&self) -> usize {
        self.out.len()
    }

    /// What its stores report.
    pub fn kv(&self) -> Option<&KvStats> {
        self.kv.as_ref()
    }

    /// Looks for a stop string that the newest token completed: the earliest, then the first listed.
    fn stop_string(&mut self) -> Option<Finish> {
        let strings = &self.rules.workload.stop_strings;
        if strings.is_empty() {
            return None;
        }
        let text = self.rules.tokenizer?.decode(&self.out);
        let before = std::mem::replace(&mut self.text_len, text.len());
        if self.out.len() < self.rules.workload.min_new_tokens {
            return None;
        }
        let found = strings.iter().filter_map(|s| {
            let from = floor_char(&text, before.min(text.len()).saturating_sub(s.len() - 1));
            text[from..].find(s.as_str()).map(|at| (from + at, s))
        });
        let (at, s) = found.min_by_key(|(at, _)| *at)?;
        Some(Finish::StopString(s.clone(), at))
    }

    /// The event `sample`, and `kept` if asked for.
    pub fn events(&self) -> Vec<events::Event> {
        let mut text = self.rules.tokenizer.map(|t| t.decode(&self.out)).unwrap_or_default();
        let (mut stop_id, mut stop_string, mut error) = (None, None, None);
        let finish_reason = match &self.finish {
            Some(Finish::StopId(id)) => {
                stop_id = Some(*id);
                "stop"
            }
            Some(Finish::StopString(s, at)) => {
                stop_string = Some(s.clone());
                text.truncate(*at);
                "stop"
            }
            Some(Finish::Length) => "length",
            Some(Finish::Context) => "context",
            Some(Finish::Failed(e)) => {
                error = Some(e.clone());
                "error"
            }
            None => {
                error = Some(SampleError::from(&Error::Internal("the sample never ended".into())));
                "error"
            }
        };
        let sample = events::Sample {
            cell: self.rules.cell.to_owned(),
            sample: self.item.sample.clone(),
            replicate: self.item.replicate,
            seed: self.item.seed,
            n_prompt_raw: self.prompt.raw,
            n_prompt: self.prompt.ids.len(),
            truncated: self.prompt.truncated,
            prompt_sha: stats::ids_sha(&self.prompt.ids),
            n_out: self.out.len(),
            finish_reason,
            stop_id,
            stop_string,
            text,
            token_ids: self.out.clone(),
            output_sha: stats::ids_sha(&self.out),
            t_submit: self.t_submit,
            t_admit: self.t_admit,
            t_first: self.t_first,
            t_last: self.t_last,
            kv: self.kv.clone(),
            us_steps: self
                .rules
                .workload
                .trace
                .contains(&Trace::Times)
                .then(|| self.us_steps.clone()),
            error,
        };
        let mut all = vec![events::Event::Sample(Box::new(sample))];
        if let (Some(kept), Some(kv)) = (&self.kept, &self.kv) {
            all.push(stats::kept_event(self.rules.cell, self.item, kv, kept));
        }
        all
    }
}

/// The largest char boundary that is not above `at`.
fn floor_char(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

impl Driver for Answer<'_> {
    fn prompt(&self) -> &[u32] {
        &self.prompt.ids
    }

    fn max_new(&self) -> usize {
        self.max_new.min(self.rules.context - self.prompt.ids.len())
    }

    fn seed(&self) -> u64 {
        self.item.seed
    }

    fn admitted(&mut self, now: f64) {
        self.t_admit = Some(now);
    }

    fn accept(&mut self, logits: &mut [f32], clock: &dyn Fn() -> f64) -> Option<u32> {
        if self.out.len() < self.rules.workload.min_new_tokens {
            for id in self.rules.stop_ids {
                if let Some(logit) = logits.get_mut(*id as usize) {
                    *logit = f32::NEG_INFINITY;
                }
            }
        }
        let id = self.sampler.choose(logits, self.out.len() as u64);
        let (now, instant) = (clock(), Instant::now());
        self.t_first.get_or_insert(now);
        self.t_last = Some(now);
        if let Some(before) = self.last_step.replace(instant) {
            self.us_steps.push(instant.duration_since(before).as_micros() as u32);
        }
        if self.rules.stop_ids.binary_search(&id).is_ok() {
            self.finish = Some(Finish::StopId(id));
            return None;
        }
        self.out.push(id);
        self.finish = self.stop_string();
        if self.finish.is_none() {
            if self.out.len() >= self.max_new {
                self.finish = Some(Finish::Length);
            } else if self.prompt.ids.len() + self.out.len() >= self.rules.context {
                self.finish = Some(Finish::Context);
            }
        }
        self.finish.is_none().then_some(id)
    }

    fn ended(&mut self, kv: KvStats, kept: Option<Vec<u8>>, error: Option<Error>) {
        self.kv = Some(kv);
        self.kept = kept;
        if let Some(error) = error {
            self.finish = Some(Finish::Failed((&error).into()));
        }
    }
}
