//! Plain 2-bit codes per token and kv head: a control. What 2 bits do without the per-channel keys of KIVI, a rotation, a
//! codebook or a correction: a method that does not beat it has learnt nothing about the data.
//!
//! Rule: `int4_token_head` with 2 bits: the group quantiser, one group of a vector.

use super::per_token;
use super::{Bits, Compressor, Params, Spec};
use crate::cache::{Layout, Part, TokenCodec};
use crate::model::Shape;
use crate::Result;

/// The method.
pub struct Int2TokenHead;

static SPEC: Spec = Spec {
    name: "int2_token_head",
    title: "Plain int2 per token and head (control)",
    bits_k: "2+32/d",
    bits_v: "2+32/d",
    section: 0,
    source: "ours: the group quantiser with one group of a vector",
    ..per_token::SPEC
};

impl Compressor for Int2TokenHead {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn check(&self, params: &Params, shape: Option<Shape>) -> Result<()> {
        per_token::check_rotation(SPEC.name, params, shape)
    }

    fn bits(&self, _params: &Params, head_dim: usize) -> Bits {
        let bits = 2.0 + 32.0 / head_dim as f64;
        Bits { k: bits, v: bits }
    }

    fn layout(&self, params: &Params, _layer: usize, _shape: Shape) -> Layout {
        let part = Part::Token {
            codec: TokenCodec::Group { bits: 2 },
            rotation: per_token::rotation(params),
        };
        per_token::layout(params, part, part)
    }
}
