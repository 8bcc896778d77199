//! Parameters, checks and registry fields that evictors have in common.

use serde_json::{json, Value};

use crate::compress::{refusal, Eviction, Param, ParamKind, ParamValue, Params, Reads, Spec, When};
use crate::Result;

/// Entries of a store.
pub const BUDGET: Param = Param::new(
    "budget",
    ParamKind::Range(2, 1_048_576),
    ParamValue::Int(1024),
    "entries kept per (layer, kv head) right after a selection, protected entries included",
);

/// Sinks of the controls.
pub const SINKS: Param = Param::new(
    "sinks",
    ParamKind::Range(0, 1024),
    ParamValue::Int(0),
    "protected first tokens",
);

/// Recent entries of the controls.
pub const RECENT: Param = Param::new(
    "recent",
    ParamKind::Range(0, 1_048_575),
    ParamValue::Int(0),
    "protected last entries",
);

/// Decode forwards between selections.
pub const INTERVAL: Param = Param::new(
    "interval",
    ParamKind::Range(1, 65_536),
    ParamValue::Int(128),
    "decode forwards between two selections, counted per sequence from 1",
);

/// Pooling width.
pub const KERNEL: Param = Param::new(
    "kernel",
    ParamKind::Range(1, 63),
    ParamValue::Int(7),
    "pooling width along the key axis; odd",
);

/// Pooling.
pub const POOL: Param = Param::new(
    "pool",
    ParamKind::Words(&["max", "avg", "none"]),
    ParamValue::Word("max"),
    "pooling along the key axis: max pads with -inf, avg pads with zeros and always divides by kernel",
);

/// Reduction over a group.
pub const GQA: Param = Param::new(
    "gqa",
    ParamKind::Words(&["mean", "max"]),
    ParamValue::Word("mean"),
    "reduction over the g query heads of a kv head",
);

/// Place of that reduction.
pub const GQA_AT: Param = Param::new(
    "gqa_at",
    ParamKind::Words(&["logits", "weights", "pooled"]),
    ParamValue::Word("weights"),
    "where the reduction happens: on logits before softmax, on softmax weights summed over the window, or after pooling",
);

/// Registry fields of a plain evictor; a method writes the rest.
pub const EVICTOR: Spec = Spec {
    name: "",
    title: "",
    family: "evict",
    section: 0,
    params: &[],
    aliases: &[],
    evict_at: None,
    key_form: "post_rope",
    head_granularity: "kv",
    first_token_equals_baseline: "exact",
    bits_k: "16",
    bits_v: "16",
    compose_role: Some("evict"),
    rules: &[],
    derived: &[],
    identity_setting: Some("budget >= tokens seen"),
    side_state: None,
    paper: None,
    source: "",
    remarks: None,
};

/// When selections are due, of these choices in this order; the first is the default.
pub const fn evict_at(choices: &'static [&'static str]) -> Param {
    Param::new(
        "evict_at",
        ParamKind::Words(choices),
        ParamValue::Word(choices[0]),
        "when a selection is due",
    )
}

/// An observation window of `default` queries.
pub const fn obs_window(default: i64) -> Param {
    Param::new(
        "obs_window",
        ParamKind::Range(1, 1024),
        ParamValue::Int(default),
        "observation window: the last w queries; their own w entries are always kept",
    )
}

/// When selections are due by `evict_at` and `interval`.
pub fn when(params: &Params) -> When {
    match params.word("evict_at") {
        "prefill" => When::Prefill,
        "step" => When::Step,
        _ => When::Interval(params.count("interval")),
    }
}

/// A selection at prompt end and by `evict_at`, per kv head, with nothing protected.
pub fn eviction(params: &Params, when: When, reads: Reads) -> Eviction {
    Eviction {
        budget: params.count("budget"),
        sinks: 0,
        recent: 0,
        when,
        at_prompt: true,
        reads,
        one_set: false,
    }
}

/// A budget that no sample exceeds.
pub fn identity() -> Option<Value> {
    Some(json!({"budget": 1_048_576}))
}

/// Whether the budget leaves room beside what the parameters `protected` keep in any case.
///
/// # Errors
/// `budget_too_small`.
pub fn check_room(method: &str, params: &Params, protected: &[&str]) -> Result<()> {
    let (budget, kept) = (
        params.int("budget"),
        protected.iter().map(|p| params.int(p)).sum::<i64>(),
    );
    if budget > kept {
        return Ok(());
    }
    let message = format!(
        "{method}: budget {budget} leaves no entry to choose beside the {kept} protected by {}; it must be at least {}",
        protected.join(" and "),
        kept + 1
    );
    Err(refusal("budget_too_small", message))
}

/// Whether a pooling kernel has a middle.
///
/// # Errors
/// `param_range`.
pub fn check_kernel(method: &str, params: &Params) -> Result<()> {
    let kernel = params.int("kernel");
    if kernel % 2 == 1 {
        return Ok(());
    }
    let message = format!("{method}: `kernel` is {kernel}; it must be odd, so that it has a middle");
    Err(refusal("param_range", message))
}
