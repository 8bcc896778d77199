//! fp8: one OCP E4M3 byte a number, with no scale (as servers do unless calibrated) or one a token and kv head.
//!
//! Based on: OCP 8-bit floating point specification (OFP8), E4M3; vLLM's `kv_cache_dtype fp8_e4m3`.

use super::per_token::{self, ROTATE, WINDOW};
use super::{Bits, Compressor, Param, ParamKind, ParamValue, Params, Spec};
use crate::cache::{Layout, Part, TokenCodec};
use crate::model::Shape;
use crate::Result;

/// The method.
pub struct Fp8E4m3;

static SPEC: Spec = Spec {
    name: "fp8_e4m3",
    title: "OCP FP8 E4M3",
    params: &[
        Param::new(
            "scale",
            ParamKind::Words(&["unit", "token_head"]),
            ParamValue::Word("unit"),
            "unit: scale 1, nothing stored; token_head: one f16 scale per (token, kv head) and tensor",
        ),
        WINDOW,
        ROTATE,
    ],
    bits_k: "8 if scale=unit else 8+16/d",
    bits_v: "same as k",
    source: "vLLM: kv_cache_dtype fp8_e4m3; OCP OFP8 E4M3",
    ..per_token::SPEC
};

fn is_scaled(params: &Params) -> bool {
    params.word("scale") == "token_head"
}

impl Compressor for Fp8E4m3 {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn check(&self, params: &Params, shape: Option<Shape>) -> Result<()> {
        per_token::check_rotation(SPEC.name, params, shape)
    }

    fn bits(&self, params: &Params, head_dim: usize) -> Bits {
        let scale = if is_scaled(params) { 16.0 / head_dim as f64 } else { 0.0 };
        Bits {
            k: 8.0 + scale,
            v: 8.0 + scale,
        }
    }

    fn layout(&self, params: &Params, _layer: usize, _shape: Shape) -> Layout {
        let part = Part::Token {
            codec: TokenCodec::Fp8 {
                scaled: is_scaled(params),
            },
            rotation: per_token::rotation(params),
        };
        per_token::layout(params, part, part)
    }
}
