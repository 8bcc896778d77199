//! Runs one cell: plan, work, last word.

use super::prompt;
use super::seats::{Context, Driver, Outcome, Seats};
use super::{batch_continuous, batch_static, generate, score, throughput, Loaded};
use crate::cache::KvStats;
use crate::events::{Event, Events};
use crate::model::Runner;
use crate::plan::CellPlan;
use crate::request::{Batch, Generate, Item, Scheduler, Score, Trace, Truncate, Workload};
use crate::{Error, Result};
use std::time::{Duration, Instant};

/// Shortest time between two `progress` events of a phase.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);

/// How a cell ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// With a `finished`.
    Finished,
    /// With a `cancelled`.
    Cancelled,
}

/// What running cells report to, and are stopped by.
pub struct Host<'a> {
    /// Where events go.
    pub events: &'a Events,
    /// `false` to stop between two steps or chunks.
    pub go_on: &'a dyn Fn() -> bool,
}

/// Sums for `finished`.
#[derive(Default)]
pub(super) struct Totals {
    pub samples: usize,
    pub tokens: u64,
    /// The compressor dropped or sealed something in some sample.
    pub acted: bool,
    pub peak_bytes: u64,
    pub max_batch: Option<usize>,
}

/// Runs a planned cell to its `finished` or `cancelled`.
///
/// # Errors
/// What ends the cell; the caller reports it.
pub fn run_cell(loaded: &mut Loaded, plan: &CellPlan, host: &Host<'_>) -> Result<End> {
    let started = Instant::now();
    let mut totals = Totals::default();
    let outcome = match &plan.request.workload {
        Workload::Generate(w) => run_generate(loaded, plan, w, host, &mut totals)?,
        Workload::Score(w) => run_score(loaded, plan, w, host, &mut totals)?,
        Workload::Throughput(w) => throughput::run(loaded, plan, w, host, &mut totals)?,
    };
    let cell = plan.request.cell.clone();
    if outcome == Outcome::Stopped {
        host.events.emit(&Event::Cancelled {
            cell,
            samples: totals.samples,
        });
        return Ok(End::Cancelled);
    }
    host.events.emit(&Event::Finished {
        cell,
        samples: totals.samples,
        tokens: totals.tokens,
        seconds: started.elapsed().as_secs_f64(),
        peak_bytes: totals.peak_bytes,
        // The baseline never acts, and is compared with: only a compressor can be inert.
        inert: !plan.resolved.is_baseline() && !totals.acted,
        max_batch: totals.max_batch,
    });
    Ok(End::Finished)
}

fn run_generate(
    loaded: &mut Loaded,
    plan: &CellPlan,
    workload: &Generate,
    host: &Host<'_>,
    totals: &mut Totals,
) -> Result<Outcome> {
    let rules = prompt::Rules::new(loaded, workload.chat, workload.date.as_deref(), workload.truncate)?
        .truncate_at(workload.truncate_at);
    if !workload.stop_strings.is_empty() {
        rules.tokenizer()?;
    }
    let prompts = prepare(&plan.items, |item| {
        rules.prompt(item, item.max_new_tokens.unwrap_or(workload.max_new_tokens))
    })?;
    let answer_rules = generate::Rules {
        cell: &plan.request.cell,
        workload,
        stop_ids: &plan.stop_ids,
        context: loaded.config.context,
        tokenizer: loaded.tokenizer.as_ref(),
    };
    let now = host.events.now();
    let mut answers = Vec::new();
    let mut failed = Vec::new();
    for (item, prompt) in plan.items.iter().zip(prompts) {
        match prompt {
            Ok(prompt) => answers.push(generate::Answer::new(&answer_rules, item, prompt, now)),
            Err(error) => failed.push(generate::Answer::failed(&answer_rules, item, &error, now)),
        }
    }
    let kept = workload.trace.contains(&Trace::Kept);
    let runner = loaded.runner.as_mut().ok_or_else(no_model)?;
    run_drivers(runner.as_mut(), plan, &mut answers, failed, kept, host, totals)
}

fn run_score(
    loaded: &mut Loaded,
    plan: &CellPlan,
    workload: &Score,
    host: &Host<'_>,
    totals: &mut Totals,
) -> Result<Outcome> {
    let rules = prompt::Rules::new(loaded, workload.chat, workload.date.as_deref(), Truncate::None)?;
    let cell = &plan.request.cell;
    let prompts = prepare(&plan.items, |item| {
        let continuation = rules.continuation(item)?;
        let prompt = rules.prompt(item, 1)?;
        if prompt.ids.len() + continuation.len() > rules.context {
            return Err(Error::PromptTooLong(format!(
                "sample {} has {} prompt and {} continuation tokens and the context is {}; shorten either",
                item.sample,
                prompt.ids.len(),
                continuation.len(),
                rules.context
            )));
        }
        Ok((prompt, continuation))
    })?;
    let mut scorings = Vec::new();
    let mut failed = Vec::new();
    for (item, prompt) in plan.items.iter().zip(prompts) {
        match prompt {
            Ok((prompt, ids)) => scorings.push(score::Scoring::new(cell, workload, item, prompt, ids)),
            Err(error) => failed.push(score::Scoring::failed(cell, workload, item, &error)),
        }
    }
    let runner = loaded.runner.as_mut().ok_or_else(no_model)?;
    run_drivers(runner.as_mut(), plan, &mut scorings, failed, false, host, totals)
}

/// Makes every item ready; an error of one sample is its result, any other ends the cell.
fn prepare<T>(items: &[Item], make: impl Fn(&Item) -> Result<T>) -> Result<Vec<Result<T>>> {
    items
        .iter()
        .map(|item| match make(item) {
            Err(error) if !error.is_of_sample() => Err(error),
            made => Ok(made),
        })
        .collect()
}

/// What the end of a driver is reported by.
trait Report: Driver {
    fn events(&self) -> Vec<Event>;
    fn kv(&self) -> Option<&KvStats>;
    /// Tokens made or scored.
    fn tokens(&self) -> usize;
}

impl Report for generate::Answer<'_> {
    fn events(&self) -> Vec<Event> {
        self.events()
    }

    fn kv(&self) -> Option<&KvStats> {
        self.kv()
    }

    fn tokens(&self) -> usize {
        self.tokens()
    }
}

impl Report for score::Scoring<'_> {
    fn events(&self) -> Vec<Event> {
        vec![self.event()]
    }

    fn kv(&self) -> Option<&KvStats> {
        self.kv()
    }

    fn tokens(&self) -> usize {
        self.tokens()
    }
}

fn run_drivers<D: Report>(
    runner: &mut dyn Runner,
    plan: &CellPlan,
    drivers: &mut [D],
    failed: Vec<D>,
    kept: bool,
    host: &Host<'_>,
    totals: &mut Totals,
) -> Result<Outcome> {
    let Batch::Size(batch) = plan.request.batch else {
        return Err(Error::Internal("batch \"max\" reached a generate or score cell".into()));
    };
    let longest = drivers.iter().map(|d| d.prompt().len()).max().unwrap_or(0);
    let workspace = runner.workspace_bytes(batch, longest, plan.resolved.eviction());
    runner.open(&plan.resolved, plan.limit.saturating_sub(workspace))?;
    let lengths = drivers.iter().map(|d| (d.prompt().len(), d.max_new()));
    plan.announce(runner, lengths, batch, workspace, host.events)?;
    for sample in &failed {
        totals.samples += 1;
        sample.events().iter().for_each(|e| host.events.emit(e));
    }
    let total = drivers.len() + failed.len();
    let cell = &plan.request.cell;
    let clock = || host.events.now();
    let mut context = Context {
        runner,
        chunk: plan.chunk(batch),
        kept,
        clock: &clock,
        go_on: host.go_on,
    };
    let progress = std::cell::RefCell::new(Progress::new(cell, total, host.events));
    progress.borrow_mut().done = failed.len();
    let mut ended = |driver: &mut D| {
        driver.events().iter().for_each(|e| host.events.emit(e));
        totals.samples += 1;
        totals.tokens += driver.tokens() as u64;
        totals.acted |= driver.kv().is_some_and(KvStats::acted);
        let mut progress = progress.borrow_mut();
        progress.done = totals.samples;
        progress.tokens = totals.tokens;
        Ok(())
    };
    let mut phase = |name| progress.borrow_mut().at(name);
    let mut seats = Seats::new(&mut context, drivers, &mut ended, &mut phase);
    let outcome = match plan.scheduler {
        Scheduler::Static => batch_static::run(&mut seats, batch),
        Scheduler::Continuous => batch_continuous::run(&mut seats, batch),
    };
    drop(seats);
    let (weights, ..) = context.runner.weight_bytes();
    totals.peak_bytes = weights + workspace + context.runner.cache()?.arena().bytes() as u64;
    outcome
}

/// `progress` at phase changes, else at most every 500 ms.
pub(super) struct Progress<'a> {
    cell: &'a str,
    events: &'a Events,
    phase: &'static str,
    last: Instant,
    total: usize,
    pub done: usize,
    pub tokens: u64,
}

impl<'a> Progress<'a> {
    pub(super) fn new(cell: &'a str, total: usize, events: &'a Events) -> Self {
        Progress {
            cell,
            events,
            phase: "",
            last: Instant::now(),
            total,
            done: 0,
            tokens: 0,
        }
    }

    pub(super) fn at(&mut self, phase: &'static str) {
        // A continuous batch changes phase with every refill: the first of each phase, then the clock.
        let fresh = self.phase.is_empty() || self.last.elapsed() >= PROGRESS_EVERY;
        if fresh {
            self.last = Instant::now();
            self.events.emit(&Event::Progress {
                cell: self.cell.to_owned(),
                phase,
                done: self.done,
                total: self.total,
                tokens: self.tokens,
            });
        }
        self.phase = phase;
    }
}

pub(super) fn no_model() -> Error {
    Error::BadRequest("only a tokenizer is loaded; load the model without tokenizer_only to run cells".into())
}
