//! No compression: f16 keys after RoPE, f16 values, nothing dropped. Every other method is compared with this one.

use serde_json::{json, Value};

use super::{Compressor, Spec};

/// The baseline.
pub struct None;

static SPEC: Spec = Spec {
    name: "none",
    title: "No compression",
    family: "baseline",
    section: 3,
    params: &[],
    aliases: &[],
    evict_at: Option::None,
    key_form: "post_rope",
    head_granularity: "kv",
    first_token_equals_baseline: "exact",
    bits_k: "16",
    bits_v: "16",
    compose_role: Option::None,
    rules: &[],
    derived: &[],
    identity_setting: Some("always"),
    side_state: Option::None,
    paper: Option::None,
    source: "llama.cpp: f16 cache; HF DynamicCache",
    remarks: Option::None,
};

impl Compressor for None {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn identity(&self) -> Option<Value> {
        Some(json!({}))
    }
}
