//! The continuous scheduler: at most B sequences run, a freed seat is refilled at once. Two phases: prefill while a
//! seat and pages are free, else one decode step of all. Nothing is ever preempted: generated tokens run as a prompt
//! would give another compression history and so another answer.

use super::seats::{Driver, Outcome, Seats};
use crate::{Error, Result};

/// Runs all drivers in order, at most `batch` together.
///
/// # Errors
/// `out_of_memory` if one sequence alone does not fit, and what ends the cell.
pub fn run<D: Driver>(seats: &mut Seats<'_, '_, D>, batch: usize) -> Result<Outcome> {
    let mut waiting = 0..seats.drivers();
    loop {
        while seats.taken() < batch && waiting.start < waiting.end {
            let driver = waiting.start;
            let Some(seq) = seats.admit(driver)? else {
                if seats.taken() == 0 {
                    return Err(Error::OutOfMemory {
                        at: "host",
                        message: format!(
                            "sample {driver} of the cell does not fit into the memory for KV pages even alone; lower \
                             its max_new_tokens, shorten its prompt or choose a smaller budget"
                        ),
                    });
                }
                break;
            };
            waiting.start += 1;
            if seats.prefill(driver, seq)? == Outcome::Stopped {
                return Ok(Outcome::Stopped);
            }
        }
        if seats.taken() == 0 {
            return Ok(Outcome::Done);
        }
        if seats.step()? == Outcome::Stopped {
            return Ok(Outcome::Stopped);
        }
    }
}
