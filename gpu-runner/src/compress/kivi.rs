//! KIVI: keys quantised per channel, values per token, a full-precision tail.
//!
//! Keys have outlier channels, so a key group is G consecutive tokens of one channel; values have none, so a value
//! group is G consecutive channels of one token. The last R entries (`window`) stay f16: K seals in blocks of R, V one
//! entry a step (`v_flush: token`, as published) or together with K (`block`).
//!
//! Based on: Liu et al., "KIVI: A Tuning-Free Asymmetric 2bit Quantization for KV Cache", arXiv 2402.02750.

use serde_json::{json, Value};

use super::{refusal, Alias, Bits, Compressor, Param, ParamKind, ParamValue, Params, Spec};
use crate::cache::{Axis, Flush, Layout, Part};
use crate::model::Shape;
use crate::Result;

/// The method.
pub struct Kivi;

const BITS: ParamKind = ParamKind::Numbers(&[2, 4, 8, 16]);

static SPEC: Spec = Spec {
    name: "kivi",
    title: "KIVI",
    family: "quant",
    section: 5,
    params: &[
        Param::new(
            "k_bits",
            BITS,
            ParamValue::Int(2),
            "bits of K codes; 16 stores K as f16",
        ),
        Param::new(
            "v_bits",
            BITS,
            ParamValue::Int(2),
            "bits of V codes; 16 stores V as f16",
        ),
        Param::new(
            "group",
            ParamKind::Sizes(&[32, 64, 128]),
            ParamValue::Int(32),
            "group length G: tokens for K, channels for V",
        ),
        Param::new(
            "window",
            ParamKind::Range(32, 4096),
            ParamValue::Int(128),
            "full-precision tail R (the paper's residual length)",
        ),
        Param::new(
            "v_flush",
            ParamKind::Words(&["token", "block"]),
            ParamValue::Word("token"),
            "token: V seals its oldest entry each step (published); block: V seals with K in blocks of R",
        ),
    ],
    aliases: &[Alias {
        param: Param::new("bits", BITS, ParamValue::Int(2), "k_bits and v_bits at once"),
        stands_for: &["k_bits", "v_bits"],
        formula: false,
    }],
    evict_at: None,
    key_form: "post_rope",
    head_granularity: "kv",
    first_token_equals_baseline: "exact",
    bits_k: "16 if k_bits=16 else k_bits+32/G",
    bits_v: "16 if v_bits=16 else v_bits+32/G",
    compose_role: Some("quant (only with evict_at=prefill)"),
    rules: &["window % group == 0", "head_dim % group == 0"],
    derived: &[],
    identity_setting: Some("k_bits=v_bits=16"),
    side_state: None,
    paper: Some("arXiv 2402.02750"),
    source: "KIVI: models/llama_kivi.py, quant/new_pack.py",
    remarks: Some("authors advise 4 bits for GQA and MQA models, 2 bits for MHA"),
};

fn part(params: &Params, name: &str, axis: Axis) -> Part {
    match params.int(name) {
        16 => Part::F16,
        bits => Part::Int {
            bits: bits as u8,
            axis,
            group: params.count("group"),
        },
    }
}

impl Compressor for Kivi {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn expand(&self, given: &mut Params) -> Result<()> {
        let Some(bits) = given.remove("bits") else {
            return Ok(());
        };
        for name in ["k_bits", "v_bits"] {
            if given.get(name).is_some() {
                let message = format!("kivi: `bits` already sets `{name}`; give one of the two");
                return Err(refusal("param_conflict", message));
            }
            given.set(name, bits);
        }
        Ok(())
    }

    fn check(&self, params: &Params, shape: Option<Shape>) -> Result<()> {
        let (window, group) = (params.count("window"), params.count("group"));
        if !window.is_multiple_of(group) {
            let message = format!("kivi: window {window} is not a multiple of group {group}; choose one that is");
            return Err(refusal("param_conflict", message));
        }
        if let Some(shape) = shape.filter(|s| !s.head_dim.is_multiple_of(group)) {
            let message = format!(
                "kivi: head dimension {} is not a multiple of group {group}; choose a smaller group",
                shape.head_dim
            );
            return Err(refusal("head_dim_unsupported", message));
        }
        Ok(())
    }

    fn identity(&self) -> Option<Value> {
        Some(json!({"bits": 16}))
    }

    fn bits(&self, params: &Params, _head_dim: usize) -> Bits {
        let of = |name| match params.int(name) {
            16 => 16.0,
            bits => bits as f64 + 32.0 / params.int("group") as f64,
        };
        Bits {
            k: of("k_bits"),
            v: of("v_bits"),
        }
    }

    fn layout(&self, params: &Params, _layer: usize, _shape: Shape) -> Layout {
        let window = params.count("window");
        let v_flush = match params.word("v_flush") {
            "block" => Flush::Block(window),
            _ => Flush::Token(window),
        };
        Layout {
            page_tokens: params.count("group").max(64),
            k: part(params, "k_bits", Axis::Channel),
            v: part(params, "v_bits", Axis::Token),
            k_flush: Flush::Block(window),
            v_flush,
            ..Layout::f16()
        }
    }
}
