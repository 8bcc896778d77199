//! H2O: heavy hitters by accumulated attention, plus recent tokens.
//!
//! Each entry accumulates the attention it gets, a mean over the query heads of its group, from its own query on. The
//! last `recent` entries stay, and of the others the `heavy = budget - recent` with the largest sums. In `step` mode the
//! sums live as long as the entries; `prefill` mode selects once and forgets them. A plain sum favours old tokens, which
//! more queries could see: `normalise: visible` divides by their number.
//!
//! Based on: Zhang et al., "H2O: Heavy-Hitter Oracle for Efficient Generative Inference of Large Language Models",
//! arXiv 2306.14048.
//!
//! Parameters: `budget` entries; `recent` of them (half the budget in `step` mode, 8 in `prefill` mode); `evict_at`;
//! `normalise`.

use serde_json::Value;

use super::score::schema;
use super::{Compressor, Eviction, HeadView, Param, ParamKind, ParamValue, Params, Reads, Spec, View};
use crate::model::Shape;
use crate::Result;

/// The method.
pub struct H2o;

/// The recent part of the public variant that selects at prefill, whatever its flags say.
const RECENT_AT_PREFILL: i64 = 8;

static SPEC: Spec = Spec {
    name: "h2o",
    title: "H2O heavy hitters",
    section: 8,
    params: &[
        schema::BUDGET,
        Param::new(
            "recent",
            ParamKind::Range(1, 1_048_575),
            ParamValue::Null,
            "last entries always kept; null resolves to floor(budget/2) for step and 8 for prefill",
        ),
        schema::evict_at(&["step", "prefill"]),
        Param::new(
            "normalise",
            ParamKind::Words(&["none", "visible"]),
            ParamValue::Word("none"),
            "none: plain sums; visible: sum divided by the number of queries that could see the entry",
        ),
    ],
    head_granularity: "kv; group mean of softmax weights",
    rules: &["budget > recent"],
    derived: &["heavy = budget - recent"],
    side_state: Some("4 bytes (f32 score) per entry per kv head when evict_at=step"),
    paper: Some("arXiv 2306.14048"),
    source: "H2O: h2o_hf/utils_real_drop/modify_llama.py (step); KVCache-Factory: H2OKVCluster (prefill); kvpress: \
             observed_attention_press.py (normalise=visible)",
    ..schema::EVICTOR
};

/// `sums` [n] divided by the number of queries that could see each entry.
pub fn visible(sums: &[f32], positions: &[u32], seen: usize) -> Vec<f32> {
    let share = |(sum, position): (&f32, &u32)| sum / (seen - *position as usize) as f32;
    sums.iter().zip(positions).map(share).collect()
}

impl Compressor for H2o {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn settle(&self, params: &mut Params) {
        if params.get("recent") == Some(ParamValue::Null) {
            let recent = match params.word("evict_at") {
                "step" => params.int("budget") / 2,
                _ => RECENT_AT_PREFILL,
            };
            params.set("recent", ParamValue::Int(recent));
        }
    }

    fn check(&self, params: &Params, _shape: Option<Shape>) -> Result<()> {
        schema::check_room("h2o", params, &["recent"])
    }

    fn derived(&self, params: &Params) -> Vec<(&'static str, i64)> {
        vec![("heavy", params.int("budget") - params.int("recent"))]
    }

    fn eviction(&self, params: &Params) -> Option<Eviction> {
        let reads = Reads {
            sums: true,
            ..Reads::default()
        };
        Some(Eviction {
            recent: params.count("recent"),
            ..schema::eviction(params, schema::when(params), reads)
        })
    }

    fn score(&self, params: &Params, view: &View<'_>) -> Vec<Vec<f32>> {
        let of = |head: &HeadView<'_>| match params.word("normalise") {
            "visible" => visible(head.sums, head.positions, view.seen),
            _ => head.sums.to_vec(),
        };
        view.heads.iter().map(of).collect()
    }

    fn identity(&self) -> Option<Value> {
        schema::identity()
    }
}
