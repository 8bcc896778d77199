//! Random eviction: the control that every evictor must beat.
//!
//! An entry's score is a uniform number that depends on the seeds, the layer, the kv head and the entry's position, so it
//! is fixed for the entry's life. A method that does not do better at the same budget, sinks and recent has learnt
//! nothing from what it looks at.
//!
//! Parameters: `budget` entries, of which `sinks` first and `recent` last ones are always kept; `evict_at`, `interval`;
//! `seed`, mixed with the sample's own.

use serde_json::Value;

use super::score::schema;
use super::{Compressor, Eviction, Param, ParamKind, ParamValue, Params, Reads, Spec, View};
use crate::model::Shape;
use crate::random::{key, uniform, uses};
use crate::Result;

/// The method.
pub struct Random;

static SPEC: Spec = Spec {
    name: "random",
    title: "Random eviction (control)",
    section: 16,
    params: &[
        schema::BUDGET,
        schema::SINKS,
        schema::RECENT,
        schema::evict_at(&["prefill", "step", "interval"]),
        schema::INTERVAL.read_when("evict_at", "interval"),
        Param::new(
            "seed",
            ParamKind::Range(0, (1 << 53) - 1),
            ParamValue::Int(0),
            "mixed with the sample's own seed",
        ),
    ],
    rules: &["budget > sinks + recent"],
    source: "kvpress: random_press.py",
    ..schema::EVICTOR
};

/// The score of an entry: draw 0 of the key that the words make.
pub fn score(seed: u64, sample: u64, layer: usize, kv_head: usize, position: u32) -> f32 {
    let words = [
        uses::RANDOM_EVICTION,
        sample,
        layer as u64,
        kv_head as u64,
        u64::from(position),
    ];
    uniform(key(seed, words), 0)
}

impl Compressor for Random {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn check(&self, params: &Params, _shape: Option<Shape>) -> Result<()> {
        schema::check_room("random", params, &["sinks", "recent"])
    }

    fn eviction(&self, params: &Params) -> Option<Eviction> {
        Some(Eviction {
            sinks: params.count("sinks"),
            recent: params.count("recent"),
            ..schema::eviction(params, schema::when(params), Reads::default())
        })
    }

    fn score(&self, params: &Params, view: &View<'_>) -> Vec<Vec<f32>> {
        let seed = params.int("seed") as u64;
        let scores = |(head, entries): (usize, &super::HeadView<'_>)| {
            let of = |position: &u32| score(seed, view.seed, view.layer, head, *position);
            entries.positions.iter().map(of).collect()
        };
        view.heads.iter().enumerate().map(scores).collect()
    }

    fn identity(&self) -> Option<Value> {
        schema::identity()
    }
}
