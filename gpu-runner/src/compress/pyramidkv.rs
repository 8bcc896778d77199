//! PyramidKV: SnapKV's scores, and a budget that falls with depth.
//!
//! Deep layers look at few tokens, shallow ones at many: budgets fall along the layers from about twice the mean to
//! 1/`beta` of it, so that all layers together hold what `budget` everywhere would. They depend on the prompt's length.
//!
//! Based on: Cai et al., "PyramidKV: Dynamic KV Cache Compression based on Pyramidal Information Funneling",
//! arXiv 2406.02069.
//!
//! Parameters: as [`snapkv`](super::snapkv), without `evict_at`; `beta`, the steepness; `rounding` of the budgets.

use serde_json::Value;

use super::score::pyramid::{Pyramid, Rounding};
use super::score::schema;
use super::{snapkv, Compressor, Eviction, Kept, Param, ParamKind, ParamValue, Params, PromptEnd, Spec, View, When};
use crate::model::Shape;
use crate::Result;

/// The method.
pub struct PyramidKv;

static SPEC: Spec = Spec {
    name: "pyramidkv",
    title: "PyramidKV",
    section: 10,
    params: &[
        schema::BUDGET,
        schema::obs_window(8),
        schema::KERNEL,
        schema::POOL,
        schema::GQA,
        schema::GQA_AT,
        Param::new(
            "beta",
            ParamKind::Range(1, 1000),
            ParamValue::Int(20),
            "steepness: the smallest layer budget is (budget-obs_window) div beta",
        ),
        Param::new(
            "rounding",
            ParamKind::Words(&["exact", "published"]),
            ParamValue::Word("exact"),
            "exact: layer budgets sum to layers*(budget-obs_window); published: integer step",
        ),
    ],
    evict_at: Some("prefill"),
    head_granularity: "kv, budget differs by layer",
    rules: &["budget > obs_window", "kernel odd"],
    derived: &["layer_budgets (per sample: depend on the prompt length)"],
    identity_setting: Some("budget >= prompt length"),
    side_state: Some("query ring until prompt end"),
    paper: Some("arXiv 2406.02069"),
    source: "KVCache-Factory: pyramidkv/pyramidkv_utils.py PyramidKVCluster",
    ..schema::EVICTOR
};

/// Entries that a layer keeps of a prompt longer than the budget, its window not counted.
pub(super) fn layer_budget(params: &Params, at: PromptEnd) -> usize {
    let pyramid = Pyramid {
        layers: at.shape.layers,
        budget: params.count("budget"),
        window: params.count("obs_window"),
        beta: params.count("beta"),
        rounding: Rounding::named(params.word("rounding")),
    };
    pyramid.layer(at.layer, at.prompt)
}

impl Compressor for PyramidKv {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn check(&self, params: &Params, _shape: Option<Shape>) -> Result<()> {
        snapkv::check("pyramidkv", params)
    }

    fn eviction(&self, params: &Params) -> Option<Eviction> {
        Some(snapkv::eviction(params, When::Prefill))
    }

    fn score(&self, params: &Params, view: &View<'_>) -> Vec<Vec<f32>> {
        snapkv::with_window(snapkv::scores(params, view), params.count("obs_window"))
    }

    fn kept(&self, params: &Params, at: PromptEnd) -> Kept {
        Kept::Each(layer_budget(params, at) + params.count("obs_window"))
    }

    fn identity(&self) -> Option<Value> {
        schema::identity()
    }
}
