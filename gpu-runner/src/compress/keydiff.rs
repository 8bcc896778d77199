//! Key differences: keys that point away from the mean of the store's unit keys stay.
//!
//! A control without attention: the score is minus the cosine between a key, after RoPE, and the mean direction of the
//! entries that the store holds now.
//!
//! Based on: Park et al., "KeyDiff: Key Similarity-Based KV Cache Eviction for Long-Context LLM Inference in
//! Resource-Constrained Environments", arXiv 2504.15364.
//!
//! Parameters: as [`random`](super::random), without `seed`.

use serde_json::Value;

use super::score::{schema, unit};
use super::{Compressor, Eviction, Kernels, Params, Reads, Rows, Spec, View};
use crate::model::Shape;
use crate::Result;

/// The method.
pub struct Keydiff;

static SPEC: Spec = Spec {
    name: "keydiff",
    title: "Key difference eviction (control)",
    section: 16,
    params: &[
        schema::BUDGET,
        schema::SINKS,
        schema::RECENT,
        schema::evict_at(&["prefill", "step", "interval"]),
        schema::INTERVAL.read_when("evict_at", "interval"),
    ],
    rules: &["budget > sinks + recent"],
    paper: Some("arXiv 2504.15364"),
    source: "kvpress: keydiff_press.py",
    ..schema::EVICTOR
};

/// Minus the cosine of each of `n` keys [n, d] with the mean of the unit keys. A zero key, or a zero mean, gives 0.
pub fn scores(kernels: &dyn Kernels, keys: &Rows<'_>, n: usize, d: usize) -> Vec<f32> {
    let (norms, mean) = unit::mean(keys, n, d);
    let length = unit::norm(&mean);
    let mut dots = vec![0.0; n];
    kernels.dots(&mean, keys, n, 1.0, &mut dots);
    let cosine = |(dot, norm): (f32, f32)| match norm * length {
        0.0 => 0.0,
        both => -dot / both,
    };
    dots.into_iter().zip(norms).map(cosine).collect()
}

impl Compressor for Keydiff {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn check(&self, params: &Params, _shape: Option<Shape>) -> Result<()> {
        schema::check_room("keydiff", params, &["sinks", "recent"])
    }

    fn eviction(&self, params: &Params) -> Option<Eviction> {
        let reads = Reads {
            keys: true,
            ..Reads::default()
        };
        Some(Eviction {
            sinks: params.count("sinks"),
            recent: params.count("recent"),
            ..schema::eviction(params, schema::when(params), reads)
        })
    }

    fn score(&self, _params: &Params, view: &View<'_>) -> Vec<Vec<f32>> {
        let of = |h: &super::HeadView<'_>| scores(view.kernels, &h.keys, h.positions.len(), view.shape.head_dim);
        view.heads.iter().map(of).collect()
    }

    fn identity(&self) -> Option<Value> {
        schema::identity()
    }
}
