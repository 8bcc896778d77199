//! TurboQuant as a serving engine ships it: keys rotated and coded by the codebook with their length kept, values by
//! the plain group quantiser, and the first and last layers left in f16.
//!
//! Based on: Zandieh et al., "TurboQuant: Online Vector Quantization with Near-optimal Distortion Rate", arXiv
//! 2504.19874, in the form of vLLM's PR 38479. Here the renormalisation is folded into the stored scale.

use serde_json::{json, Map, Value};

use super::per_token::{self, skip, WINDOW};
use super::{Bits, Compressor, Param, ParamKind, ParamValue, Params, Spec};
use crate::cache::{Layout, Part, Rotation, TokenCodec};
use crate::model::Shape;
use crate::Result;

/// The method.
pub struct TurboquantVllm;

const PRESETS: &[&str] = &["k8v4", "4bit_nc", "k3v4_nc", "3bit_nc"];

static SPEC: Spec = Spec {
    name: "turboquant_vllm",
    title: "TurboQuant, production variant",
    family: "quant",
    section: 14,
    params: &[
        Param::new(
            "preset",
            ParamKind::Words(PRESETS),
            ParamValue::Word("4bit_nc"),
            "k8v4: fp8 K, 4-bit V; 4bit_nc, k3v4_nc, 3bit_nc: 4/4, 3/4, 3/3 bits with renorm",
        ),
        skip("skip_first", "first layers left in f16", 2),
        skip("skip_last", "last layers left in f16", 2),
        WINDOW,
    ],
    bits_k: "8 (k8v4) or kbits+16/d",
    bits_v: "vbits+32/d",
    rules: &[
        "head_dim is a power of two (not for k8v4)",
        "skip_first and skip_last are each cut to layers div 2",
    ],
    paper: Some("arXiv 2504.19874"),
    source: "vLLM: vllm/model_executor/layers/quantization/turboquant/config.py, centroids.py; PR 38479",
    remarks: Some("bits_examples exclude the skipped layers"),
    ..per_token::SPEC
};

/// K and V of a preset.
fn parts(preset: &str) -> (Part, Part) {
    let codebook = |bits| Part::Token {
        codec: TokenCodec::Codebook { bits, renorm: true },
        rotation: Rotation::Hadamard,
    };
    let group = |bits| Part::Token {
        codec: TokenCodec::Group { bits },
        rotation: Rotation::None,
    };
    let fp8 = Part::Token {
        codec: TokenCodec::Fp8 { scaled: false },
        rotation: Rotation::None,
    };
    match preset {
        "k8v4" => (fp8, group(4)),
        "4bit_nc" => (codebook(4), group(4)),
        "k3v4_nc" => (codebook(3), group(4)),
        _ => (codebook(3), group(3)),
    }
}

fn bits(preset: &str, head_dim: usize) -> Bits {
    let (k, v) = parts(preset);
    let of = |part: Part| (part.payload_bytes(head_dim, 1) * 8) as f64 / head_dim as f64;
    Bits { k: of(k), v: of(v) }
}

impl Compressor for TurboquantVllm {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn check(&self, params: &Params, shape: Option<Shape>) -> Result<()> {
        match params.word("preset") {
            "k8v4" => Ok(()),
            _ => per_token::check_power_of_two(SPEC.name, shape),
        }
    }

    fn bits(&self, params: &Params, head_dim: usize) -> Bits {
        bits(params.word("preset"), head_dim)
    }

    fn layout(&self, params: &Params, layer: usize, shape: Shape) -> Layout {
        if per_token::is_skipped(params, layer, shape.layers) {
            return Layout::f16();
        }
        let (k, v) = parts(params.word("preset"));
        per_token::layout(params, k, v)
    }

    fn bits_examples(&self, _defaults: &Params) -> Value {
        let of = |preset| json!({"d64": bits(preset, 64).json(), "d128": bits(preset, 128).json()});
        let examples: Map<_, _> = PRESETS.iter().map(|p| ((*p).to_owned(), of(*p))).collect();
        Value::Object(examples)
    }

    fn amend(&self, row: &mut Value) {
        row["bits_per_element"]["layers"] = json!("mean over layers = (16*skipped + bits*(L-skipped))/L");
    }
}
