//! Linear layers, per weight type and batch.

use super::inputs::{weights, Uniform};
use super::{Context, Kernel, Measurement};
use crate::backend::cpu::{linear, Activations, Isa, PackedMatrix, Rows};
use crate::quant::WeightType;
use std::time::Duration;

pub(super) const KERNEL: Kernel = Kernel {
    name: "linear",
    claim: "a linear layer of 4096 x 1536 weights, matrices rotating over 80 MB",
    run,
};

const ROWS: usize = 4096;
const COLS: usize = 1536;
/// More than twice the last-level cache that a laptop or a share of a server has.
const ROTATE: usize = 80 << 20;

fn run(context: &Context, report: &mut dyn FnMut(Measurement)) {
    for &ty in &context.weights {
        let bytes = weights(ty, ROWS, COLS, 1);
        let part = Rows {
            ty,
            rows: ROWS,
            bytes: &bytes,
            order: None,
        };
        let first = PackedMatrix::pack(COLS, &[part], context.pool);
        let copies = ROTATE.div_ceil(first.bytes());
        let mut matrices = vec![first];
        matrices.extend((1..copies).map(|_| PackedMatrix::pack(COLS, &[part], context.pool)));
        for &batch in &context.batches {
            report(one(context, ty, &matrices, batch));
        }
    }
}

fn one(context: &Context, ty: WeightType, matrices: &[PackedMatrix], batch: usize) -> Measurement {
    let x = Uniform::new(2).take(batch * COLS, -1.0, 1.0);
    let mut input = Activations::new();
    input.set(context.isa, context.pool, &x, COLS, matrices[0].inputs());
    let mut out = vec![f32::NAN; batch * ROWS];
    let us = super::timing::time(Duration::from_millis(300), |i| {
        let matrix = &matrices[i % matrices.len()];
        linear(context.isa, context.pool, matrix, &input, &mut out, false);
    });
    let float = matrices[0].inputs().float;
    let rate = if float {
        context.peaks.f32_gflop_s
    } else {
        context.peaks.int8_gop_s
    };
    let (bytes, ops) = (matrices[0].bytes() as f64, 2.0 * (ROWS * COLS * batch) as f64);
    let case = format!("{ty} {ROWS}x{COLS}");
    let row = Measurement::new("linear", case, batch, us, bytes, ops);
    Measurement {
        matches: Some(matches_reference(context, &matrices[0], &x, &out)),
        ..row.bounded(context.peaks.read_gb_s, rate)
    }
}

/// The first and the last token, computed alone in plain Rust on the same matrix, have the same bits.
fn matches_reference(context: &Context, matrix: &PackedMatrix, x: &[f32], out: &[f32]) -> bool {
    let mut input = Activations::new();
    let mut plain = vec![f32::NAN; ROWS];
    let last = x.len() / COLS - 1;
    [0, last].into_iter().all(|token| {
        input.set(
            Isa::Scalar,
            context.pool,
            &x[token * COLS..][..COLS],
            COLS,
            matrix.inputs(),
        );
        linear(Isa::Scalar, context.pool, matrix, &input, &mut plain, false);
        let got = &out[token * ROWS..][..ROWS];
        got.iter()
            .zip(&plain)
            .all(|(got, want)| got.to_bits() == want.to_bits())
    })
}
