//! Signed bytes with one f16 scale a token and kv head, K and V apart.
//!
//! Based on: vLLM's `int8_per_token_head` KV cache.

use super::per_token;
use super::{Bits, Compressor, Params, Spec};
use crate::cache::{Layout, Part, TokenCodec};
use crate::model::Shape;
use crate::Result;

/// The method.
pub struct Int8TokenHead;

static SPEC: Spec = Spec {
    name: "int8_token_head",
    title: "Symmetric int8 per token and head",
    bits_k: "8+16/d",
    bits_v: "8+16/d",
    source: "vLLM: int8_per_token_head",
    ..per_token::SPEC
};

impl Compressor for Int8TokenHead {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn check(&self, params: &Params, shape: Option<Shape>) -> Result<()> {
        per_token::check_rotation(SPEC.name, params, shape)
    }

    fn bits(&self, _params: &Params, head_dim: usize) -> Bits {
        let bits = 8.0 + 16.0 / head_dim as f64;
        Bits { k: bits, v: bits }
    }

    fn layout(&self, params: &Params, _layer: usize, _shape: Shape) -> Layout {
        let part = Part::Token {
            codec: TokenCodec::Int8,
            rotation: per_token::rotation(params),
        };
        per_token::layout(params, part, part)
    }
}
