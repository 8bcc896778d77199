//! Ada-KV: SnapKV's scores, and the layer's budget goes to the heads that have the best of them.
//!
//! Of all scores of a layer the best (kv heads x base) say how many entries each head would like; `alpha` of the base is
//! everybody's. Each head then keeps its own best, so stores of one layer have different lengths.
//!
//! Based on: Feng et al., "Ada-KV: Optimizing KV Cache Eviction by Adaptive Budget Allocation for Efficient LLM
//! Inference", arXiv 2407.11550.
//!
//! Parameters: as [`snapkv`](super::snapkv), without `evict_at`; `alpha`; `normalize` by concentration before sharing
//! out; `layers`, a flat base or the pyramid of [`pyramidkv`](super::pyramidkv) with `beta`; `rounding` of both.

use serde_json::Value;

use super::score::capacity::{capacities, counts, normalised};
use super::score::pyramid::Rounding;
use super::score::schema;
use super::{pyramidkv, refusal, snapkv, Compressor, Eviction, Kept, Param, ParamKind, ParamValue};
use super::{Params, PromptEnd, Spec, View, When};
use crate::model::Shape;
use crate::Result;

/// The method.
pub struct AdaKv;

static SPEC: Spec = Spec {
    name: "ada_kv",
    title: "Ada-KV over SnapKV scores",
    section: 11,
    params: &[
        schema::BUDGET,
        schema::obs_window(32),
        schema::KERNEL,
        schema::POOL,
        schema::GQA,
        schema::GQA_AT,
        Param::new(
            "alpha",
            ParamKind::Between(0.0, 1.0),
            ParamValue::Float(0.2),
            "share of the budget that every head gets regardless of scores; multiple of 0.001",
        ),
        Param::new(
            "normalize",
            ParamKind::Bool,
            ParamValue::Bool(false),
            "scale a head's scores by (sum of its top base) / (sum of all) before the joint top-k",
        ),
        Param::new(
            "layers",
            ParamKind::Words(&["uniform", "pyramid"]),
            ParamValue::Word("uniform"),
            "base budget per layer: uniform, or the pyramid of pyramidkv",
        ),
        Param::new(
            "beta",
            ParamKind::Range(1, 1000),
            ParamValue::Int(20),
            "as in pyramidkv",
        )
        .read_when("layers", "pyramid"),
        Param::new(
            "rounding",
            ParamKind::Words(&["exact", "published"]),
            ParamValue::Word("exact"),
            "exact: head capacities sum to Hk*base; published: round each",
        ),
    ],
    evict_at: Some("prefill"),
    head_granularity: "kv, ragged: budget differs by head",
    rules: &["budget > obs_window", "kernel odd", "alpha*1000 is an integer"],
    derived: &["head_capacities (per sample)"],
    identity_setting: Some("budget >= prompt length"),
    side_state: Some("query ring until prompt end"),
    paper: Some("arXiv 2407.11550"),
    source: "AdaKV: adaptive_snapkv/monkeypatch/snapkv_utils.py AdaptiveSnapKVCluster",
    ..schema::EVICTOR
};

/// Entries a head of the layer keeps on average, its window not counted.
fn base(params: &Params, at: PromptEnd) -> usize {
    match params.word("layers") {
        "pyramid" => pyramidkv::layer_budget(params, at),
        _ => params.count("budget") - params.count("obs_window"),
    }
}

/// `alpha` in thousandths, as far as it is a whole number of them.
fn thousandths(alpha: f64) -> Option<usize> {
    let rounded = (alpha * 1000.0).round();
    ((alpha * 1000.0 - rounded).abs() < 1e-9).then_some(rounded as usize)
}

fn alpha(params: &Params) -> usize {
    thousandths(params.float("alpha")).expect("alpha was checked with the other parameters")
}

impl Compressor for AdaKv {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn check(&self, params: &Params, _shape: Option<Shape>) -> Result<()> {
        let alpha = params.float("alpha");
        if thousandths(alpha).is_none() {
            let message = format!(
                "ada_kv: `alpha` is {alpha}; it must be a multiple of 0.001, so that capacities are whole by one rule"
            );
            return Err(refusal("param_range", message));
        }
        snapkv::check("ada_kv", params)
    }

    fn eviction(&self, params: &Params) -> Option<Eviction> {
        Some(snapkv::eviction(params, When::Prefill))
    }

    fn score(&self, params: &Params, view: &View<'_>) -> Vec<Vec<f32>> {
        snapkv::with_window(snapkv::scores(params, view), params.count("obs_window"))
    }

    fn kept(&self, params: &Params, at: PromptEnd) -> Kept {
        let (base, heads, window) = (base(params, at), at.shape.kv_heads, params.count("obs_window"));
        // Each head rounds by at most a half, and the floor of the common share is the same for all.
        let (sum, spread) = match params.word("rounding") {
            "published" => (
                heads * ((1000 - alpha(params)) * base + alpha(params) * base / 1000 * 1000),
                heads * 500,
            ),
            _ => (heads * base * 1000, 0),
        };
        Kept::Total {
            least: heads * window + sum.saturating_sub(spread).div_ceil(1000),
            most: heads * window + (sum + spread) / 1000,
        }
    }

    fn share(&self, params: &Params, at: PromptEnd, scores: &[Vec<f32>]) -> Vec<usize> {
        let (base, window) = (base(params, at), params.count("obs_window"));
        let mut scores: Vec<Vec<f32>> = scores.iter().map(|s| s[..s.len() - window].to_vec()).collect();
        if params.flag("normalize") {
            scores = normalised(&scores, base);
        }
        let rounding = Rounding::named(params.word("rounding"));
        let shares = capacities(&counts(&scores, base), base, alpha(params), rounding);
        shares.into_iter().map(|n| n + window).collect()
    }

    fn identity(&self) -> Option<Value> {
        schema::identity()
    }
}
