//! Repeats, medians, bounds, and how a result is printed.

use crate::backend::cpu::peak::Peaks;
use crate::backend::cpu::{Isa, Pool};
use crate::quant::WeightType;
use crate::{Error, Result};
use serde::Serialize;
use std::io::Write;
use std::time::{Duration, Instant};

/// What every kernel bench needs.
pub struct Context<'a> {
    /// The instruction set to measure.
    pub isa: Isa,
    /// The threads to measure.
    pub pool: &'a Pool,
    /// The ceilings of this process.
    pub peaks: Peaks,
    /// Weight types to go through.
    pub weights: Vec<WeightType>,
    /// Batch rows to go through.
    pub batches: Vec<usize>,
}

impl<'a> Context<'a> {
    pub(super) fn new(
        isa: Isa,
        pool: &'a Pool,
        peaks: Peaks,
        weights: &[String],
        batches: &[usize],
    ) -> Result<Context<'a>> {
        let known = || WeightType::ALL.map(WeightType::name).join(", ");
        let weights = match weights {
            [] => WeightType::ALL.to_vec(),
            names => names
                .iter()
                .map(|name| {
                    let ty = WeightType::ALL.into_iter().find(|ty| ty.name() == name);
                    ty.ok_or_else(|| {
                        Error::BadRequest(format!("there is no weight type {name:?}; the types are {}", known()))
                    })
                })
                .collect::<Result<_>>()?,
        };
        if batches.contains(&0) {
            return Err(Error::BadRequest(
                "a batch of 0 rows cannot be measured; name 1 or more".into(),
            ));
        }
        let batches = match batches {
            [] => vec![1, 2, 4, 8, 128, 512],
            batches => batches.to_vec(),
        };
        Ok(Context {
            isa,
            pool,
            peaks,
            weights,
            batches,
        })
    }
}

/// Microseconds of one call.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Times {
    /// The median.
    pub median: f64,
    /// The quartiles.
    pub quartiles: [f64; 2],
    /// The fastest.
    pub min: f64,
    /// Calls that were timed.
    pub calls: usize,
}

/// What limits a kernel.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// Bytes over the read bandwidth.
    Memory,
    /// Operations over the multiply-add rate.
    Compute,
    /// Neither is known to bind.
    None,
}

/// One case of one kernel.
#[derive(Debug, Clone, Serialize)]
pub struct Measurement {
    /// The kernel.
    pub kernel: &'static str,
    /// The case: weight type, shape.
    pub case: String,
    /// Rows of the batch.
    pub batch: usize,
    /// Time of a call.
    pub us: Times,
    /// Bytes that a call must read.
    pub bytes: f64,
    /// Operations of a call.
    pub ops: f64,
    /// GB/s at the median.
    pub gb_s: f64,
    /// 10^9 operations per second at the median.
    pub gop_s: f64,
    /// The larger bound, in microseconds.
    pub bound_us: f64,
    /// Which one that is.
    pub bound: Bound,
    /// Bound over median: 1 is all that the machine can do.
    pub of_bound: f64,
    /// Whether the result equals that of the plain reference, bit by bit; `None` if the case has no output to check.
    pub matches: Option<bool>,
}

impl Measurement {
    /// Of a call that reads `bytes` and does `ops` operations; without a bound and a check yet.
    pub fn new(kernel: &'static str, case: String, batch: usize, us: Times, bytes: f64, ops: f64) -> Measurement {
        Measurement {
            kernel,
            case,
            batch,
            us,
            bytes,
            ops,
            gb_s: bytes / us.median / 1e3,
            gop_s: ops / us.median / 1e3,
            bound_us: 0.0,
            bound: Bound::None,
            of_bound: 0.0,
            matches: None,
        }
    }

    /// Sets the bound: bytes at `read` GB/s or operations at `rate` 10^9/s, whichever takes longer.
    #[must_use]
    pub fn bounded(mut self, read: f64, rate: f64) -> Measurement {
        let (memory, compute) = (self.bytes / read / 1e3, self.ops / rate / 1e3);
        (self.bound_us, self.bound) = if memory >= compute {
            (memory, Bound::Memory)
        } else {
            (compute, Bound::Compute)
        };
        self.of_bound = self.bound_us / self.us.median;
        self
    }
}

/// Calls `run(i)`, i counting up, once untimed, then for `budget` or at least 5 times.
pub fn time(budget: Duration, mut run: impl FnMut(usize)) -> Times {
    run(0);
    let (begin, mut us) = (Instant::now(), Vec::new());
    while us.len() < 5 || begin.elapsed() < budget {
        let start = Instant::now();
        run(us.len() + 1);
        us.push(start.elapsed().as_secs_f64() * 1e6);
    }
    us.sort_by(f64::total_cmp);
    Times {
        median: us[us.len() / 2],
        quartiles: [us[us.len() / 4], us[us.len() * 3 / 4]],
        min: us[0],
        calls: us.len(),
    }
}

pub(super) fn write_head(context: &Context, json: bool, out: &mut dyn Write) {
    let (name, isa, peaks) = (crate::devices::cpu_name(), context.isa.name(), context.peaks);
    // A closed stdout is the reader's choice, here and below.
    let _ = if json {
        let head = serde_json::json!({ "cpu": name, "isa": isa, "peaks": peaks });
        writeln!(out, "{head}")
    } else {
        writeln!(
            out,
            "{name}, {isa}, {} threads: read {:.1} GB/s, copy {:.1} GB/s, int8 {:.0} GOP/s, f32 {:.0} GFLOP/s\n\
             {:<10} {:<22} {:>5} {:>10} {:>10} {:>10} {:>8} {:>8} {:>8} {:>6}",
            peaks.threads,
            peaks.read_gb_s,
            peaks.copy_gb_s,
            peaks.int8_gop_s,
            peaks.f32_gflop_s,
            "kernel",
            "case",
            "rows",
            "median us",
            "min us",
            "q1-q3 us",
            "GB/s",
            "GOP/s",
            "of bound",
            "check"
        )
    };
}

pub(super) fn write_row(row: &Measurement, json: bool, out: &mut dyn Write) {
    let _ = if json {
        writeln!(out, "{}", serde_json::to_string(row).unwrap_or_default())
    } else {
        let spread = row.us.quartiles[1] - row.us.quartiles[0];
        let bound = match row.bound {
            Bound::Memory => format!("{:.2} mem", row.of_bound),
            Bound::Compute => format!("{:.2} ops", row.of_bound),
            Bound::None => "-".to_string(),
        };
        writeln!(
            out,
            "{:<10} {:<22} {:>5} {:>10.1} {:>10.1} {:>10.1} {:>8.1} {:>8.1} {:>8} {:>6}",
            row.kernel,
            row.case,
            row.batch,
            row.us.median,
            row.us.min,
            spread,
            row.gb_s,
            row.gop_s,
            bound,
            match row.matches {
                Some(true) => "same",
                Some(false) => "WRONG",
                None => "-",
            }
        )
    };
}
