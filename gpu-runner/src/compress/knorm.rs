//! Key norms: keys with a small norm stay.
//!
//! A control without attention: keys that draw much attention tend to have small norms. RoPE does not change a norm.
//!
//! Based on: Devoto et al., "A Simple and Effective L2 Norm-Based Strategy for KV Cache Compression", arXiv 2406.11430.
//!
//! Parameters: as [`random`](super::random), without `seed`.

use serde_json::Value;

use super::score::{schema, unit};
use super::{Compressor, Eviction, Params, Reads, Spec, View};
use crate::model::Shape;
use crate::Result;

/// The method.
pub struct Knorm;

static SPEC: Spec = Spec {
    name: "knorm",
    title: "Key norm eviction (control)",
    section: 16,
    params: &[
        schema::BUDGET,
        schema::SINKS,
        schema::RECENT,
        schema::evict_at(&["prefill", "step", "interval"]),
        schema::INTERVAL.read_when("evict_at", "interval"),
    ],
    rules: &["budget > sinks + recent"],
    paper: Some("arXiv 2406.11430"),
    source: "kvpress: knorm_press.py",
    ..schema::EVICTOR
};

impl Compressor for Knorm {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn check(&self, params: &Params, _shape: Option<Shape>) -> Result<()> {
        schema::check_room("knorm", params, &["sinks", "recent"])
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
        let d = view.shape.head_dim;
        let norms = view.heads.iter().map(|h| unit::norms(&h.keys, h.positions.len(), d));
        norms.map(|norms| norms.into_iter().map(|n| -n).collect()).collect()
    }

    fn identity(&self) -> Option<Value> {
        schema::identity()
    }
}
