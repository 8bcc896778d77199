//! TOVA: what the newest query attends to stays.
//!
//! After every forward the entries are ranked by the newest query's softmax weights alone; nothing is remembered. As
//! published, the weights are a mean over all query heads of the layer, whose kv heads keep one common set, and the newest
//! entry competes like any other.
//!
//! Based on: Oren et al., "Transformers are Multi-State RNNs", arXiv 2401.06104.
//!
//! Parameters: `budget` entries; `heads`, one set a layer or one a kv head; `protect_last` keeps the newest entry in its
//! own step; `evict_at`.

use serde_json::Value;

use super::score::group::Reduce;
use super::score::schema;
use super::{Compressor, Eviction, HeadView, Param, ParamKind, ParamValue, Params, Reads, Spec, View};

/// The method.
pub struct Tova;

static SPEC: Spec = Spec {
    name: "tova",
    title: "TOVA",
    section: 12,
    params: &[
        schema::BUDGET,
        Param::new(
            "heads",
            ParamKind::Words(&["layer", "kv"]),
            ParamValue::Word("layer"),
            "layer: mean over all query heads, one set for the layer (published); kv: mean over the group, one set per kv \
             head",
        ),
        Param::new(
            "protect_last",
            ParamKind::Bool,
            ParamValue::Bool(false),
            "true: the newest entry cannot be evicted in its own step",
        ),
        schema::evict_at(&["step", "prefill"]),
    ],
    head_granularity: "layer (default) or kv",
    paper: Some("arXiv 2401.06104"),
    source: "TOVA: src/tova_cache.py",
    ..schema::EVICTOR
};

impl Compressor for Tova {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn eviction(&self, params: &Params) -> Option<Eviction> {
        let reads = Reads {
            weights: true,
            ..Reads::default()
        };
        Some(Eviction {
            recent: usize::from(params.flag("protect_last")),
            one_set: params.word("heads") == "layer",
            ..schema::eviction(params, schema::when(params), reads)
        })
    }

    fn score(&self, params: &Params, view: &View<'_>) -> Vec<Vec<f32>> {
        let mean = |weights: &[f32], entries: usize| Reduce::Mean.rows(weights, entries);
        if params.word("heads") == "kv" {
            let of = |h: &HeadView<'_>| mean(h.weights, h.positions.len());
            return view.heads.iter().map(of).collect();
        }
        // One set: every head of the layer holds the same entries in the same order.
        let all: Vec<f32> = view.heads.iter().flat_map(|h| h.weights).copied().collect();
        vec![mean(&all, view.heads[0].positions.len())]
    }

    fn identity(&self) -> Option<Value> {
        schema::identity()
    }
}
