//! All linear layers of a model, in order, as one decode step or one prompt runs them: what the rest of a forward pass
//! adds is attention and norms. Shows what single matrices hide: small matrices, many regions, cold starts.

use super::inputs::{weights, Uniform};
use super::{Context, Kernel, Measurement};
use crate::backend::cpu::{linear, Activations, PackedMatrix, Rows};
use crate::quant::WeightType;
use std::time::Duration;

pub(super) const KERNEL: Kernel = Kernel {
    name: "stack",
    claim: "every linear layer of a model shaped as SmolLM2-135M: 30 layers of Q4_1, a head of Q8_0 for each row of a \
            decode batch and for one row of a prompt",
    run,
};

/// Rows and columns of QKV, output, gate+up, down.
const LAYER: [(usize, usize); 4] = [(960, 576), (576, 576), (3072, 576), (576, 1536)];
const LAYERS: usize = 30;
const HEAD: (usize, usize) = (49_152, 576);
/// Batches beyond it are prompts.
const DECODE: usize = 16;

fn run(context: &Context, report: &mut dyn FnMut(Measurement)) {
    let pack = |ty, (rows, cols): (usize, usize), seed| {
        let bytes = weights(ty, rows, cols, seed);
        let part = Rows {
            ty,
            rows,
            bytes: &bytes,
            order: None,
        };
        PackedMatrix::pack(cols, &[part], context.pool)
    };
    let mut matrices = Vec::new();
    for layer in 0..LAYERS {
        matrices.extend(LAYER.map(|shape| pack(WeightType::Q4_1, shape, layer as u64)));
    }
    let head = pack(WeightType::Q8_0, HEAD, 99);
    for &batch in &context.batches {
        report(one(context, &matrices, &head, batch));
    }
}

fn one(context: &Context, matrices: &[PackedMatrix], head: &PackedMatrix, batch: usize) -> Measurement {
    let (isa, pool) = (context.isa, context.pool);
    let x = Uniform::new(2).take(batch * 1536, -1.0, 1.0);
    let scored = if batch <= DECODE { batch } else { 1 };
    let mut input = Activations::new();
    let mut out = vec![f32::NAN; (batch * 3072).max(scored * HEAD.0)];
    let mut step = |matrix: &PackedMatrix, n: usize| {
        input.set(isa, pool, &x[..n * matrix.cols()], matrix.cols(), matrix.inputs());
        linear(isa, pool, matrix, &input, &mut out[..n * matrix.rows()], false);
    };
    let us = super::timing::time(Duration::from_millis(1_000), |_| {
        for matrix in matrices {
            step(matrix, batch);
        }
        step(head, scored);
    });
    let weights = |matrix: &PackedMatrix, n: usize| 2.0 * (matrix.rows() * matrix.cols() * n) as f64;
    let bytes: usize = matrices.iter().map(PackedMatrix::bytes).sum::<usize>() + head.bytes();
    let ops = matrices.iter().map(|m| weights(m, batch)).sum::<f64>() + weights(head, scored);
    let case = format!("{:.0} tok/s", batch as f64 / us.median * 1e6);
    let row = Measurement::new("stack", case, batch, us, bytes as f64, ops);
    row.bounded(context.peaks.read_gb_s, context.peaks.int8_gop_s)
}
