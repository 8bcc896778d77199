//! 4-bit codes with an f16 scale and minimum a token and kv head: the group quantiser with one group of a vector.
//!
//! Based on: LMDeploy's int4 KV cache, with our rounding (it stores a zero point and truncates).

use super::per_token;
use super::{Bits, Compressor, Params, Spec};
use crate::cache::{Layout, Part, TokenCodec};
use crate::model::Shape;
use crate::Result;

/// The method.
pub struct Int4TokenHead;

static SPEC: Spec = Spec {
    name: "int4_token_head",
    title: "Asymmetric int4 per token and head",
    bits_k: "4+32/d",
    bits_v: "4+32/d",
    source: "LMDeploy: kv int4 (per token and head)",
    ..per_token::SPEC
};

impl Compressor for Int4TokenHead {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn check(&self, params: &Params, shape: Option<Shape>) -> Result<()> {
        per_token::check_rotation(SPEC.name, params, shape)
    }

    fn bits(&self, _params: &Params, head_dim: usize) -> Bits {
        let bits = 4.0 + 32.0 / head_dim as f64;
        Bits { k: bits, v: bits }
    }

    fn layout(&self, params: &Params, _layer: usize, _shape: Shape) -> Layout {
        let part = Part::Token {
            codec: TokenCodec::Group { bits: 4 },
            rotation: per_token::rotation(params),
        };
        per_token::layout(params, part, part)
    }
}
