//! SnapKV: what the last queries of the prompt look at stays, and so do its neighbours.
//!
//! The softmax weights of the last `obs_window` queries are summed per key, reduced over the query heads of a group, and
//! pooled along keys, so that a kept key keeps its context. The window's own entries always stay. With `evict_at:
//! interval` the same happens again in decode, with the last queries of that time.
//!
//! Based on: Li et al., "SnapKV: LLM Knows What You are Looking for Before Generation", arXiv 2404.14469.
//!
//! Parameters: `budget` entries; `obs_window` queries w; `pool` and `kernel`; `gqa` at `gqa_at`; `evict_at`, `interval`.

use serde_json::Value;

use super::score::group::Reduce;
use super::score::pool::Pooling;
use super::score::schema;
use super::score::window::Window;
use super::{Compressor, Eviction, Params, Reads, Spec, View, When};
use crate::model::Shape;
use crate::Result;

/// The method.
pub struct SnapKv;

static SPEC: Spec = Spec {
    name: "snapkv",
    title: "SnapKV",
    section: 9,
    params: &[
        schema::BUDGET,
        schema::obs_window(32),
        schema::KERNEL,
        schema::POOL,
        schema::GQA,
        schema::GQA_AT,
        schema::evict_at(&["prefill", "interval"]),
        schema::INTERVAL.read_when("evict_at", "interval"),
    ],
    rules: &["budget > obs_window", "kernel odd"],
    side_state: Some(
        "query ring: obs_window*Hq*d*2 bytes per layer, until prompt end (prefill) or for life (interval)",
    ),
    paper: Some("arXiv 2404.14469"),
    source: "SnapKV: snapkv/monkeypatch/snapkv_utils.py; AdaKV: adaptive_snapkv/monkeypatch/snapkv_utils.py (GQA \
             order); R-KV: README (decode variant)",
    ..schema::EVICTOR
};

/// The rule that methods with SnapKV's scores share.
pub(super) fn eviction(params: &Params, when: When) -> Eviction {
    let window = params.count("obs_window");
    let reads = Reads {
        queries: window,
        keys: true,
        ..Reads::default()
    };
    Eviction {
        recent: window,
        ..schema::eviction(params, when, reads)
    }
}

/// The rules between their parameters.
pub(super) fn check(method: &str, params: &Params) -> Result<()> {
    schema::check_kernel(method, params)?;
    schema::check_room(method, params, &["obs_window"])
}

/// Their scores [kv_heads][n - w]: of all entries but the window's own.
pub(super) fn scores(params: &Params, view: &View<'_>) -> Vec<Vec<f32>> {
    let (reduce, kernel) = (Reduce::named(params.word("gqa")), params.count("kernel"));
    let pool = |scores: &[f32]| Pooling::named(params.word("pool")).apply(scores, kernel);
    let of = |head| {
        let window = Window::of(view, head, true);
        let columns = window.columns();
        match params.word("gqa_at") {
            "logits" => pool(&window.sums_reduced(reduce)),
            "weights" => pool(&reduce.rows(&window.sums(), columns)),
            _ => {
                let pooled: Vec<f32> = window.sums().chunks_exact(columns).flat_map(pool).collect();
                reduce.rows(&pooled, columns)
            }
        }
    };
    (0..view.heads.len()).map(of).collect()
}

/// Scores [n - w] as [n]: the window's entries are protected, so theirs are never read.
pub(super) fn with_window(mut scores: Vec<Vec<f32>>, window: usize) -> Vec<Vec<f32>> {
    scores.iter_mut().for_each(|s| s.resize(s.len() + window, 0.0));
    scores
}

impl Compressor for SnapKv {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn check(&self, params: &Params, _shape: Option<Shape>) -> Result<()> {
        check("snapkv", params)
    }

    fn eviction(&self, params: &Params) -> Option<Eviction> {
        Some(eviction(params, schema::when(params)))
    }

    fn score(&self, params: &Params, view: &View<'_>) -> Vec<Vec<f32>> {
        with_window(scores(params, view), params.count("obs_window"))
    }

    fn identity(&self) -> Option<Value> {
        schema::identity()
    }
}
