//! The static scheduler: B sequences are admitted together and run to their end before the next B. No sequence decodes
//! before all are prefilled. The mode for timing.

use super::seats::{Driver, Outcome, Seats};
use crate::{Error, Result};

/// Runs all drivers, `batch` at a time, in order.
///
/// # Errors
/// `out_of_memory` if a batch does not fit, and what ends the cell.
pub fn run<D: Driver>(seats: &mut Seats<'_, '_, D>, batch: usize) -> Result<Outcome> {
    let mut first = 0;
    while first < seats.drivers() {
        let end = (first + batch).min(seats.drivers());
        let admitted = (first..end)
            .map(|driver| {
                seats.admit(driver)?.ok_or_else(|| Error::OutOfMemory {
                    at: "host",
                    message: format!(
                        "only {} of the {} sequences of a static batch fit into the memory for KV pages; lower the \
                         batch to that",
                        driver - first,
                        end - first
                    ),
                })
            })
            .collect::<Result<Vec<_>>>()?;
        for (driver, seq) in (first..end).zip(admitted) {
            if seats.prefill(driver, seq)? == Outcome::Stopped {
                return Ok(Outcome::Stopped);
            }
        }
        while seats.taken() > 0 {
            if seats.step()? == Outcome::Stopped {
                return Ok(Outcome::Stopped);
            }
        }
        first = end;
    }
    Ok(Outcome::Done)
}
