//! `bench [KERNEL...]`: time, bytes and operations of a kernel, the bound that this machine sets, the fraction of it,
//! and the check against the plain reference.
//!
//! The ceilings are measured in the same process. Inputs are random and rotate over more than twice the caches, outputs
//! are poisoned with NaN first. Times are medians with quartiles: a shared machine is noisy, so the fastest run is told
//! as well.

mod attend;
mod inputs;
mod linear;
mod rows;
mod stack;
mod timing;

pub use timing::{Bound, Context, Measurement, Times};

use crate::backend::cpu::peak::measure;
use crate::backend::cpu::{Isa, Pool};
use crate::{Error, Result};
use std::io::Write;

/// One kernel to measure.
pub struct Kernel {
    /// Its name on the command line.
    pub name: &'static str,
    /// What is measured.
    pub claim: &'static str,
    run: fn(&Context, &mut dyn FnMut(Measurement)),
}

/// Every kernel that can be measured without a model.
pub const KERNELS: &[Kernel] = &[
    linear::KERNEL,
    stack::KERNEL,
    rows::NORM,
    rows::SWIGLU,
    rows::QUANTIZE,
    rows::REGION,
    attend::KERNEL,
];

/// What to measure, and how.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Names of [`KERNELS`]; all of them if empty.
    pub kernels: Vec<String>,
    /// Threads; all cores if 0.
    pub threads: usize,
    /// Weight types by their names; all if empty.
    pub weights: Vec<String>,
    /// Rows of the batch; 1, 2, 4, 8, 128 and 512 if empty.
    pub batches: Vec<usize>,
    /// JSON lines in place of a table.
    pub json: bool,
}

/// Measures kernels and writes one line each to `out`, the ceilings first.
///
/// # Errors
/// If a name is unknown, KVSWEEP_ISA is wrong, or a kernel differs from its reference.
pub fn run(options: &Options, out: &mut dyn Write) -> Result<()> {
    let chosen = choose(&options.kernels)?;
    let isa = Isa::from_env()?;
    let threads = match options.threads {
        0 => crate::devices::cores(),
        n => n,
    };
    let pool = Pool::new(threads);
    let peaks = measure(isa, &pool);
    let context = Context::new(isa, &pool, peaks, &options.weights, &options.batches)?;
    timing::write_head(&context, options.json, out);
    let mut wrong = Vec::new();
    for kernel in chosen {
        (kernel.run)(&context, &mut |measurement: Measurement| {
            timing::write_row(&measurement, options.json, out);
            if measurement.matches == Some(false) {
                wrong.push(format!("{} {}", measurement.kernel, measurement.case));
            }
        });
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(Error::Internal(format!(
        "{} of the kernels differ from their reference: {}",
        wrong.len(),
        wrong.join(", ")
    )))
}

fn choose(names: &[String]) -> Result<Vec<&'static Kernel>> {
    if names.is_empty() {
        return Ok(KERNELS.iter().collect());
    }
    let known: Vec<_> = KERNELS.iter().map(|kernel| kernel.name).collect();
    names
        .iter()
        .map(|name| {
            KERNELS.iter().find(|kernel| kernel.name == name).ok_or_else(|| {
                Error::BadRequest(format!(
                    "there is no kernel {name:?}; the kernels are {}",
                    known.join(", ")
                ))
            })
        })
        .collect()
}
