//! Decode attention over what a cache stores, one layer of one sequence: how much of the bytes that a compressor saves
//! becomes time.

use super::inputs::Uniform;
use super::timing::time;
use super::{Context, Kernel, Measurement};
use crate::backend::cpu::{attention, Isa};
use crate::cache::{KvCache, Observed, SeqId};
use crate::compress::resolve;
use crate::model::rope::{Rope, RopeScaling};
use crate::model::Shape;
use crate::Result;
use half::f16;
use serde_json::{json, Value};
use std::sync::Arc;
use std::time::Duration;

pub(super) const KERNEL: Kernel = Kernel {
    name: "attend",
    claim: "decode attention of 4 sequences over 4096 entries a kv head, 9 query heads on 3 of 64 and 32 on 8 of 128",
    run,
};

const BUDGET: Duration = Duration::from_millis(400);
const TOKENS: usize = 4096;
const SEQUENCES: usize = 4;

/// A name and a request each; f16 first, as what the others are compared with.
fn cases() -> Vec<(&'static str, Value)> {
    vec![
        ("f16", json!("none")),
        ("kivi 4", json!({"kivi": {"bits": 4}})),
        ("kivi 2", json!({"kivi": {"bits": 2}})),
        ("fp8", json!({"fp8_e4m3": {}})),
        ("int8", json!({"int8_token_head": {}})),
        ("int4", json!({"int4_token_head": {}})),
        ("q8_0", json!({"q8_0": {}})),
        ("q4_0", json!({"q4_0": {}})),
        ("turboquant 4", json!({"turboquant_mse": {}})),
        ("turboquant 3", json!({"turboquant_mse": {"bits": 3}})),
        ("turboquant 2", json!({"turboquant_mse": {"bits": 2}})),
    ]
}

fn run(context: &Context, report: &mut dyn FnMut(Measurement)) {
    for (kv_heads, group, head_dim) in [(3, 3, 64), (8, 4, 128)] {
        let shape = Shape {
            layers: 1,
            q_heads: kv_heads * group,
            kv_heads,
            head_dim,
        };
        for (name, request) in cases() {
            match one(context, shape, name, &request) {
                Ok(measurement) => report(measurement),
                Err(error) => unreachable!("the case {name} fits every shape of this bench: {error}"),
            }
        }
    }
}

fn one(context: &Context, shape: Shape, name: &str, request: &Value) -> Result<Measurement> {
    let Shape {
        kv_heads, head_dim: d, ..
    } = shape;
    let resolved = resolve(request, Some(shape))?;
    let rope = Arc::new(Rope::new(d, 10_000.0, &RopeScaling::None, 2 * TOKENS)?);
    let mut cache = KvCache::new(shape, &resolved, rope, context.isa, 1 << 30)?;
    let mut random = Uniform::new(5);
    let mut halves = || -> Vec<f16> {
        let values = random.take(TOKENS * kv_heads * d, -1.0, 1.0);
        values.into_iter().map(f16::from_f32).collect()
    };
    let mut seqs: Vec<SeqId> = Vec::new();
    for _ in 0..SEQUENCES {
        let seq = cache.admit(TOKENS, 1, 0)?;
        cache.prefill_layer(context.pool, seq, 0, &halves(), &halves(), &Observed::default())?;
        seqs.push(seq);
    }
    let width = shape.q_heads * d;
    let q = Uniform::new(6).take(SEQUENCES * width, -1.0, 1.0);
    let mut out = vec![f32::NAN; q.len()];
    let attend = |isa: Isa, out: &mut [f32]| {
        attention::decode(context.pool, isa, &cache, &seqs, 0, &q, attention::CHUNK, out, None);
    };
    let us = time(BUDGET, |_| attend(context.isa, std::hint::black_box(&mut out)));
    let mut plain = vec![f32::NAN; q.len()];
    attend(Isa::Scalar, &mut plain);
    let same = out.iter().zip(&plain).all(|(a, b)| a.to_bits() == b.to_bits());
    let bytes: usize = seqs.iter().map(|seq| cache.stats(*seq).bytes_ideal).sum();
    let ops = 4.0 * (SEQUENCES * TOKENS * width) as f64;
    let row = Measurement::new("attend", format!("{name}, d {d}"), SEQUENCES, us, bytes as f64, ops);
    Ok(Measurement {
        matches: Some(same),
        ..row.bounded(context.peaks.read_gb_s, context.peaks.f32_gflop_s)
    })
}
