//! The running sequences of a cell, and the driver that each of them serves.

use crate::cache::{KvStats, SeqId};
use crate::model::Runner;
use crate::{Error, Result};

/// What one sample wants of its sequence.
pub trait Driver {
    /// The prompt's ids.
    fn prompt(&self) -> &[u32];
    /// The most tokens that may follow the prompt.
    fn max_new(&self) -> usize;
    /// The sample's seed.
    fn seed(&self) -> u64;
    /// The prompt is about to run.
    fn admitted(&mut self, now: f64);
    /// Takes the logits [vocab] of the newest position and says which token to feed next; `None` ends the sequence.
    fn accept(&mut self, logits: &mut [f32], clock: &dyn Fn() -> f64) -> Option<u32>;
    /// The sequence ended, by the driver's own word or by an error of this sample. `kept` is there if asked for.
    fn ended(&mut self, kv: KvStats, kept: Option<Vec<u8>>, error: Option<Error>);
}

/// Whether the work is done or was stopped from outside.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All drivers ended.
    Done,
    /// `go_on` said no between two steps or chunks.
    Stopped,
}

/// What every scheduler needs beside drivers.
pub struct Context<'a> {
    /// The model.
    pub runner: &'a mut dyn Runner,
    /// Tokens per part of decode attention.
    pub chunk: usize,
    /// Whether to report which tokens are held at the end.
    pub kept: bool,
    /// Seconds since the process began.
    pub clock: &'a dyn Fn() -> f64,
    /// `false` to stop.
    pub go_on: &'a dyn Fn() -> bool,
}

struct Seat {
    driver: usize,
    seq: SeqId,
    next: u32,
}

/// The running sequences.
pub struct Seats<'a, 'c, D> {
    context: &'a mut Context<'c>,
    drivers: &'a mut [D],
    seats: Vec<Seat>,
    ended: &'a mut dyn FnMut(&mut D) -> Result<()>,
    progress: &'a mut dyn FnMut(&'static str),
    seqs: Vec<SeqId>,
    ids: Vec<u32>,
}

impl<'a, 'c, D: Driver> Seats<'a, 'c, D> {
    /// No one sits yet. `ended` is called for each driver that ends, `progress` at every phase and step.
    pub fn new(
        context: &'a mut Context<'c>,
        drivers: &'a mut [D],
        ended: &'a mut dyn FnMut(&mut D) -> Result<()>,
        progress: &'a mut dyn FnMut(&'static str),
    ) -> Self {
        Seats {
            context,
            drivers,
            seats: Vec::new(),
            ended,
            progress,
            seqs: Vec::new(),
            ids: Vec::new(),
        }
    }

    /// Drivers in all.
    pub fn drivers(&self) -> usize {
        self.drivers.len()
    }

    /// Sequences that run.
    pub fn taken(&self) -> usize {
        self.seats.len()
    }

    /// Reserves the worst case of a driver.
    ///
    /// # Errors
    /// All but `out_of_memory`, which is `Ok(None)`.
    pub fn admit(&mut self, driver: usize) -> Result<Option<SeqId>> {
        let d = &self.drivers[driver];
        let (prompt, max_new, seed) = (d.prompt().len(), d.max_new(), d.seed());
        match self.context.runner.cache()?.admit(prompt, max_new, seed) {
            Ok(seq) => Ok(Some(seq)),
            Err(Error::OutOfMemory { .. }) => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// Runs the prompt of an admitted driver and seats it, unless its first token is its last.
    ///
    /// # Errors
    /// Those that end the cell.
    pub fn prefill(&mut self, driver: usize, seq: SeqId) -> Result<Outcome> {
        (self.progress)("prefill");
        let d = &mut self.drivers[driver];
        d.admitted((self.context.clock)());
        match self.context.runner.prefill(seq, d.prompt(), self.context.go_on) {
            Ok(true) => {}
            Ok(false) => return Ok(Outcome::Stopped),
            Err(error) if error.is_of_sample() => {
                self.retire(driver, seq, Some(error))?;
                return Ok(Outcome::Done);
            }
            Err(error) => return Err(error),
        }
        match self.accept(driver, 0) {
            Ok(Some(next)) => self.seats.push(Seat { driver, seq, next }),
            Ok(None) => self.retire(driver, seq, None)?,
            Err(error) => self.retire(driver, seq, Some(error))?,
        }
        Ok(Outcome::Done)
    }

    /// One decode step of all that sit.
    ///
    /// # Errors
    /// Those that end the cell.
    pub fn step(&mut self) -> Result<Outcome> {
        if !(self.context.go_on)() {
            return Ok(Outcome::Stopped);
        }
        (self.progress)("decode");
        self.seqs.clear();
        self.ids.clear();
        self.seqs.extend(self.seats.iter().map(|s| s.seq));
        self.ids.extend(self.seats.iter().map(|s| s.next));
        self.context.runner.step(&self.seqs, &self.ids, self.context.chunk)?;
        let seats = std::mem::take(&mut self.seats);
        for (row, seat) in seats.into_iter().enumerate() {
            match self.accept(seat.driver, row) {
                Ok(Some(next)) => self.seats.push(Seat { next, ..seat }),
                Ok(None) => self.retire(seat.driver, seat.seq, None)?,
                Err(error) => self.retire(seat.driver, seat.seq, Some(error))?,
            }
        }
        Ok(Outcome::Done)
    }

    fn accept(&mut self, driver: usize, row: usize) -> Result<Option<u32>> {
        let logits = self.context.runner.logits(row)?;
        Ok(self.drivers[driver].accept(logits, self.context.clock))
    }

    fn retire(&mut self, driver: usize, seq: SeqId, error: Option<Error>) -> Result<()> {
        let cache = self.context.runner.cache()?;
        let kept = self.context.kept.then(|| cache.kept_bitmap(seq));
        // A sequence that failed may not have done what it had to; one that ended must have.
        let kv = match error {
            None => cache.release(seq)?,
            Some(_) => {
                let kv = cache.stats(seq);
                cache.discard(seq);
                kv
            }
        };
        let d = &mut self.drivers[driver];
        d.ended(kv, kept, error);
        (self.ended)(d)
    }
}
