//! StreamingLLM: attention sinks plus the most recent tokens; no scores.
//!
//! One kept set for all layers and heads: the first `sinks` positions and the last `recent`. Published form: keys are
//! cached before RoPE and rotated at read by their slot, the rank among what is kept (`positions: slot`); `original`
//! keeps the rotation of the token's true index.
//!
//! Based on: Xiao et al., "Efficient Streaming Language Models with Attention Sinks", arXiv 2309.17453.

use super::{refusal, Alias, Budget, Compressor, Param, ParamKind, ParamValue, Params, Selection, Spec, StepRule};
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
        Param {
            name: "sinks",
            kind: ParamKind::Range(0, 1024),
            default: ParamValue::Int(4),
            meaning: "protected first tokens",
        },
        Param {
            name: "recent",
            kind: ParamKind::Range(1, 1_048_576),
            default: ParamValue::Int(1020),
            meaning: "last tokens kept; budget = sinks + recent",
        },
        Param {
            name: "positions",
            kind: ParamKind::Words(&["slot", "original"]),
            default: ParamValue::Word("slot"),
            meaning: "slot: RoPE by rank among kept entries; original: RoPE by token index",
        },
        Param {
            name: "evict_at",
            kind: ParamKind::Words(&["step", "prefill"]),
            default: ParamValue::Word("step"),
            meaning: "when a selection is due",
        },
    ],
    aliases: &[Alias {
        param: Param {
            name: "budget",
            kind: ParamKind::Range(1, 1_048_576 + 1024),
            default: ParamValue::Int(1024),
            meaning: "sinks and recent together",
        },
        stands_for: &["recent = budget - sinks"],
        formula: true,
    }],
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
            positions: true,
            ..Layout::f16()
        }
    }

    fn budget(&self, params: &Params, _layer: usize) -> Budget {
        Budget::Tokens {
            sinks: params.count("sinks"),
            recent: params.count("recent"),
        }
    }

    fn after_prefill(&self, _params: &Params) -> Selection {
        Selection::Positions
    }

    fn after_step(&self, params: &Params) -> StepRule {
        match params.word("evict_at") {
            "step" => StepRule::Ring,
            _ => StepRule::Nothing,
        }
    }
}
