//! StreamingLLM: attention sinks plus the most recent tokens; no scores.
//!
//! One kept set for all layers and heads: the first `sinks` positions and the last `recent`. Published form: keys are
//! cached before RoPE and rotated at read by their slot, the rank among what is kept (`positions: slot`); `original`
//! keeps the rotation of the token's true index.
//!
//! Based on: Xiao et al., "Efficient Streaming Language Models with Attention Sinks", arXiv 2309.17453.

use serde_json::{json, Value};

use super::{refusal, Alias, Compressor, Eviction, Param, ParamKind, ParamValue, Params, Reads, Spec, When};
use crate::cache::{KeyForm, Layout};
use crate::model::Shape;
use crate::Result;

/// The method.
pub struct StreamingLlm;

static SPEC: Spec = Spec {
    name: "streaming_llm",
    title: "StreamingLLM",
    family: "evict",
    section: 7,
    params: &[
        Param::new(
            "sinks",
            ParamKind::Range(0, 1024),
            ParamValue::Int(4),
            "protected first tokens",
        ),
        Param::new(
            "recent",
            ParamKind::Range(1, 1_048_576),
            ParamValue::Int(1020),
            "last tokens kept; budget = sinks + recent",
        ),
        Param::new(
            "positions",
            ParamKind::Words(&["slot", "original"]),
            ParamValue::Word("slot"),
            "slot: RoPE by rank among kept entries; original: RoPE by token index",
        ),
        Param::new(
            "evict_at",
            ParamKind::Words(&["step", "prefill"]),
            ParamValue::Word("step"),
            "when a selection is due",
        ),
    ],
    aliases: &[Alias {
        param: Param::new(
            "budget",
            ParamKind::Range(1, 1_048_576 + 1024),
            ParamValue::Int(1024),
            "sinks and recent together",
        ),
        stands_for: &["recent = budget - sinks"],
        formula: true,
    }],
    evict_at: None,
    key_form: "pre_rope if positions=slot else post_rope",
    head_granularity: "layer-uniform (one set for all layers and heads)",
    first_token_equals_baseline: "exact if positions=original, else within rounding",
    bits_k: "16",
    bits_v: "16",
    compose_role: Some("evict (positions=original only)"),
    rules: &[],
    derived: &["budget = sinks + recent"],
    identity_setting: Some("positions=original and sinks+recent >= tokens seen"),
    side_state: None,
    paper: Some("arXiv 2309.17453"),
    source:
        "streaming-llm: streaming_llm/kv_cache.py, pos_shift/modify_llama.py; KVCache-Factory: StreamingLLMKVCluster",
    remarks: None,
};

impl Compressor for StreamingLlm {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn expand(&self, given: &mut Params) -> Result<()> {
        let Some(ParamValue::Int(budget)) = given.remove("budget") else {
            return Ok(());
        };
        if given.get("recent").is_some() {
            let message = "streaming_llm: `budget` is sinks + recent; give `recent` or `budget`, not both".to_owned();
            return Err(refusal("param_conflict", message));
        }
        let sinks = match given.get("sinks") {
            Some(ParamValue::Int(sinks)) => sinks,
            _ => 4,
        };
        if budget <= sinks {
            let message = format!(
                "streaming_llm: budget {budget} leaves no recent token beside {sinks} sinks; it must be at least {}",
                sinks + 1
            );
            return Err(refusal("budget_too_small", message));
        }
        given.set("recent", ParamValue::Int(budget - sinks));
        Ok(())
    }

    fn derived(&self, params: &Params) -> Vec<(&'static str, i64)> {
        vec![("budget", params.int("sinks") + params.int("recent"))]
    }

    fn layout(&self, params: &Params, _layer: usize, _shape: Shape) -> Layout {
        Layout {
            key_form: match params.word("positions") {
                "slot" => KeyForm::PreRope,
                _ => KeyForm::PostRope,
            },
            ..Layout::f16()
        }
    }

    fn eviction(&self, params: &Params) -> Option<Eviction> {
        let (sinks, recent) = (params.count("sinks"), params.count("recent"));
        Some(Eviction {
            budget: sinks + recent,
            sinks,
            recent,
            when: match params.word("evict_at") {
                "step" => When::Step,
                _ => When::Prefill,
            },
            at_prompt: true,
            reads: Reads::default(),
            one_set: true,
        })
    }

    fn identity(&self) -> Option<Value> {
        Some(json!({"positions": "original", "recent": 1_048_576}))
    }
}
