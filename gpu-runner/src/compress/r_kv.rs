//! R-KV: eviction during long reasoning, by importance minus redundancy.
//!
//! Reasoning repeats itself. Every `interval` decode forwards an entry's importance, its pooled weight in the softmax of
//! the last `obs_window` queries, is weighed against its redundancy, how much its key resembles all others: a fact said
//! three times is kept once, the newest copy for choice.
//!
//! Based on: Cai et al., "R-KV: Redundancy-aware KV Cache Compression for Reasoning Models", arXiv 2505.24133.
//!
//! Parameters: `budget` entries; `obs_window` queries; `kernel`, `pool`; `lambda` weighs importance; `threshold`, the
//! cosine of near copies; `compress_prompt`; `interval`.

use serde_json::Value;

use super::score::group::Reduce;
use super::score::pool::Pooling;
use super::score::window::Window;
use super::score::{redundancy, schema};
use super::{snapkv, Compressor, Eviction, Param, ParamKind, ParamValue, Params, Spec, View, When};
use crate::model::Shape;
use crate::Result;

/// The method.
pub struct RKv;

static SPEC: Spec = Spec {
    name: "r_kv",
    title: "R-KV",
    section: 13,
    params: &[
        schema::BUDGET,
        schema::obs_window(8),
        schema::KERNEL,
        schema::POOL,
        Param::new(
            "lambda",
            ParamKind::Between(0.0, 1.0),
            ParamValue::Float(0.1),
            "weight of importance; 1-lambda weighs redundancy (project README 0.1, its code 0.07)",
        ),
        Param::new(
            "threshold",
            ParamKind::Between(-1.0, 1.0),
            ParamValue::Float(0.5),
            "cosine above which two keys count as near duplicates",
        ),
        Param::new(
            "compress_prompt",
            ParamKind::Bool,
            ParamValue::Bool(true),
            "run a selection at prompt end when the prompt is longer than the budget",
        ),
        schema::INTERVAL,
    ],
    evict_at: Some("interval"),
    head_granularity: "kv; max over the group on logits",
    rules: &["budget > obs_window", "kernel odd"],
    side_state: Some("query ring for life: obs_window*Hq*d*2 bytes per layer"),
    paper: Some("arXiv 2505.24133"),
    source: "R-KV: rkv/compression/r1_kv.py, rkv/utils.py, rkv/modeling.py",
    ..schema::EVICTOR
};

/// `lambda * importance - (1 - lambda) * redundancy` of each entry that has an importance.
pub fn weigh(importance: &[f32], redundancy: &[f32], lambda: f64) -> Vec<f32> {
    let z = |(i, r): (&f32, &f32)| (lambda * f64::from(*i) - (1.0 - lambda) * f64::from(*r)) as f32;
    importance.iter().zip(redundancy).map(z).collect()
}

impl Compressor for RKv {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn check(&self, params: &Params, _shape: Option<Shape>) -> Result<()> {
        snapkv::check("r_kv", params)
    }

    fn eviction(&self, params: &Params) -> Option<Eviction> {
        Some(Eviction {
            at_prompt: params.flag("compress_prompt"),
            ..snapkv::eviction(params, When::Interval(params.count("interval")))
        })
    }

    fn score(&self, params: &Params, view: &View<'_>) -> Vec<Vec<f32>> {
        let pooling = Pooling::named(params.word("pool"));
        let of = |head| {
            // The softmax covers only the keys that compete, so no query needs a mask.
            let window = Window::of(view, head, false);
            let queries = window.width() as f32;
            let mean: Vec<f32> = window.sums_reduced(Reduce::Max).iter().map(|s| s / queries).collect();
            let importance = pooling.apply(&mean, params.count("kernel"));
            let threshold = params.float("threshold") as f32;
            let (means, _) = redundancy::column_means(view.kernels, window.keys, window.n, window.d, threshold);
            let mut redundancy = means;
            view.kernels.softmax(&mut redundancy, window.n);
            weigh(&importance, &redundancy, params.float("lambda"))
        };
        let scores = (0..view.heads.len()).map(of).collect();
        snapkv::with_window(scores, params.count("obs_window"))
    }

    fn identity(&self) -> Option<Value> {
        schema::identity()
    }
}
