//! The small operations between linear layers, on one thread and one row; and what entering a parallel region costs.

use super::inputs::Uniform;
use super::timing::time;
use super::{Context, Kernel, Measurement};
use crate::backend::cpu::{math, Activations, Inputs, Isa, Pool};
use std::time::Duration;

pub(super) const NORM: Kernel = Kernel {
    name: "norm",
    claim: "root-mean-square norm of rows of 576 and 4096",
    run: norm,
};
pub(super) const SWIGLU: Kernel = Kernel {
    name: "swiglu",
    claim: "silu(gate) up of rows of 1536 and 14336",
    run: swiglu,
};
pub(super) const QUANTIZE: Kernel = Kernel {
    name: "quantize",
    claim: "rows of 576 and 4096 to int8 blocks",
    run: quantize,
};
pub(super) const REGION: Kernel = Kernel {
    name: "region",
    claim: "entering and leaving an empty parallel region, of which a decode step has hundreds",
    run: region,
};

const BUDGET: Duration = Duration::from_millis(50);
/// Rows per timed call, so that the clock does not show.
const REPEAT: usize = 64;

/// Times `f(isa, out)` over [`REPEAT`] calls and compares its output with the plain one.
fn row_kernel(
    context: &Context,
    kernel: &'static str,
    n: usize,
    inputs: usize,
    f: impl Fn(Isa, &mut [f32]),
) -> Measurement {
    let mut out = vec![f32::NAN; n];
    let us = time(BUDGET, |_| {
        for _ in 0..REPEAT {
            f(context.isa, std::hint::black_box(&mut out));
        }
    });
    let mut plain = vec![f32::NAN; n];
    f(Isa::Scalar, &mut plain);
    let same = out
        .iter()
        .zip(&plain)
        .all(|(got, want)| got.to_bits() == want.to_bits());
    let bytes = (REPEAT * n * 4 * (inputs + 1)) as f64;
    Measurement {
        matches: Some(same),
        ..Measurement::new(kernel, format!("{n}"), REPEAT, us, bytes, 0.0)
    }
}

fn norm(context: &Context, report: &mut dyn FnMut(Measurement)) {
    for n in [576, 4096] {
        let mut random = Uniform::new(1);
        let (x, weight) = (random.take(n, -2.0, 2.0), random.take(n, 0.5, 1.5));
        report(row_kernel(context, "norm", n, 2, |isa, out| {
            math::rms_norm(isa, &x, &weight, 1e-5, out);
        }));
    }
}

fn swiglu(context: &Context, report: &mut dyn FnMut(Measurement)) {
    for n in [1536, 14_336] {
        let mut random = Uniform::new(2);
        let (gate, up) = (random.take(n, -6.0, 6.0), random.take(n, -2.0, 2.0));
        report(row_kernel(context, "swiglu", n, 2, |isa, out| {
            math::swiglu(isa, &gate, &up, out);
        }));
    }
}

fn quantize(context: &Context, report: &mut dyn FnMut(Measurement)) {
    let inputs = Inputs {
        int8: true,
        residual: false,
        float: false,
    };
    // One row at a time runs on the calling thread.
    for n in [576, 4096] {
        let x = Uniform::new(3).take(n, -2.0, 2.0);
        let mut buffer = Activations::new();
        let us = time(BUDGET, |_| {
            for _ in 0..REPEAT {
                buffer.set(context.isa, context.pool, &x, n, inputs);
            }
        });
        let mut plain = Activations::new();
        plain.set(Isa::Scalar, context.pool, &x, n, inputs);
        let row = Measurement::new("quantize", format!("{n}"), REPEAT, us, (REPEAT * n * 5) as f64, 0.0);
        report(Measurement {
            matches: Some((0..n / 32).all(|block| buffer.block(0, block) == plain.block(0, block))),
            ..row
        });
    }
}

fn region(context: &Context, report: &mut dyn FnMut(Measurement)) {
    let pool: &Pool = context.pool;
    let us = time(BUDGET, |_| {
        for _ in 0..REPEAT {
            pool.run(&|id| {
                std::hint::black_box(id);
            });
        }
    });
    let case = format!("{} threads", pool.threads());
    report(Measurement::new("region", case, REPEAT, us, 0.0, 0.0));
}
