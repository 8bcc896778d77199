//! ggml's q8_0: signed bytes with an f16 scale a block of 32 channels.
//!
//! Based on: ggml's reference code, whose halves round away from zero; its AVX2 path rounds them to even.

use super::per_token;
use super::{Bits, Compressor, Params, Spec};
use crate::cache::{Layout, Part, TokenCodec};
use crate::model::Shape;
use crate::Result;

/// The method.
pub struct Q8_0;

static SPEC: Spec = Spec {
    name: "q8_0",
    title: "ggml q8_0 blocks",
    bits_k: "8.5",
    bits_v: "8.5",
    rules: &["head_dim % 32 == 0"],
    source: "ggml: ggml-quants.c quantize_row_q8_0_ref",
    ..per_token::SPEC
};

impl Compressor for Q8_0 {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn check(&self, params: &Params, shape: Option<Shape>) -> Result<()> {
        per_token::check_blocks(SPEC.name, shape)?;
        per_token::check_rotation(SPEC.name, params, shape)
    }

    fn bits(&self, _params: &Params, _head_dim: usize) -> Bits {
        Bits { k: 8.5, v: 8.5 }
    }

    fn layout(&self, params: &Params, _layer: usize, _shape: Shape) -> Layout {
        let part = Part::Token {
            codec: TokenCodec::Q8_0,
            rotation: per_token::rotation(params),
        };
        per_token::layout(params, part, part)
    }
}
