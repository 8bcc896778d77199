//! ggml's q4_0: 4-bit codes around 8 with a signed f16 scale a block of 32 channels.
//!
//! Based on: ggml's reference code.

use super::per_token;
use super::{Bits, Compressor, Params, Spec};
use crate::cache::{Layout, Part, TokenCodec};
use crate::model::Shape;
use crate::Result;

/// The method.
pub struct Q4_0;

static SPEC: Spec = Spec {
    name: "q4_0",
    title: "ggml q4_0 blocks",
    bits_k: "4.5",
    bits_v: "4.5",
    rules: &["head_dim % 32 == 0"],
    source: "ggml: ggml-quants.c quantize_row_q4_0_ref",
    ..per_token::SPEC
};

impl Compressor for Q4_0 {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn check(&self, params: &Params, shape: Option<Shape>) -> Result<()> {
        per_token::check_blocks(SPEC.name, shape)?;
        per_token::check_rotation(SPEC.name, params, shape)
    }

    fn bits(&self, _params: &Params, _head_dim: usize) -> Bits {
        Bits { k: 4.5, v: 4.5 }
    }

    fn layout(&self, params: &Params, _layer: usize, _shape: Shape) -> Layout {
        let part = Part::Token {
            codec: TokenCodec::Q4_0,
            rotation: per_token::rotation(params),
        };
        per_token::layout(params, part, part)
    }
}
