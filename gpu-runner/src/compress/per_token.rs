//! What the quantisers of one token's vector have in common: a window, a rotation, and the same schedule.
//!
//! After the last prompt chunk all but the last `window` entries are sealed; in decode the oldest f16 entry after each
//! forward. K and V follow the same rule.

use super::{refusal, Param, ParamKind, ParamValue, Params, Spec};
use crate::cache::{Flush, Layout, Part, Rotation, GGML_BLOCK};
use crate::hadamard;
use crate::model::Shape;
use crate::Result;

/// Entries at the end that stay f16.
pub(super) const WINDOW: Param = Param::new(
    "window",
    ParamKind::Range(0, 65_536),
    ParamValue::Int(0),
    "full-precision tail: the last R entries stay f16",
);

/// The basis of a scalar codec.
pub(super) const ROTATE: Param = Param::new(
    "rotate",
    ParamKind::Words(&["none", "hadamard"]),
    ParamValue::Word("none"),
    "Hadamard rotation of K and V inside the codec",
);

/// What the rows of these methods share.
pub(super) const SPEC: Spec = Spec {
    name: "",
    title: "",
    family: "scalar",
    section: 4,
    params: &[WINDOW, ROTATE],
    aliases: &[],
    evict_at: None,
    key_form: "post_rope",
    head_granularity: "kv",
    first_token_equals_baseline: "exact",
    bits_k: "",
    bits_v: "",
    compose_role: Some("quant"),
    rules: &[],
    derived: &[],
    identity_setting: None,
    side_state: None,
    paper: None,
    source: "",
    remarks: None,
};

/// The layout of a layer with such parts and the method's `window`.
pub(super) fn layout(params: &Params, k: Part, v: Part) -> Layout {
    let flush = Flush::Token(params.count(WINDOW.name));
    Layout {
        k,
        v,
        k_flush: flush,
        v_flush: flush,
        ..Layout::f16()
    }
}

/// What `rotate` stands for.
pub(super) fn rotation(params: &Params) -> Rotation {
    match params.word(ROTATE.name) {
        "hadamard" => Rotation::Hadamard,
        _ => Rotation::None,
    }
}

/// Refuses a head dimension that the rotation cannot be cut into blocks for.
pub(super) fn check_rotation(method: &str, params: &Params, shape: Option<Shape>) -> Result<()> {
    match shape {
        Some(shape) if rotation(params) != Rotation::None && hadamard::block(shape.head_dim).is_none() => {
            let message = format!(
                "{method}: no power of two from 32 on divides head dimension {}; set rotate to none",
                shape.head_dim
            );
            Err(refusal("head_dim_unsupported", message))
        }
        _ => Ok(()),
    }
}

/// Whether a layer is one of the first or last that stay f16, each count cut to half of the layers.
pub(super) fn is_skipped(params: &Params, layer: usize, layers: usize) -> bool {
    let cut = |name| params.count(name).min(layers / 2);
    layer < cut("skip_first") || layer >= layers - cut("skip_last")
}

/// First or last layers left in f16.
pub(super) const fn skip(name: &'static str, meaning: &'static str, default: i64) -> Param {
    Param::new(name, ParamKind::Range(0, 256), ParamValue::Int(default), meaning)
}

/// Refuses a head dimension that is no power of two.
pub(super) fn check_power_of_two(method: &str, shape: Option<Shape>) -> Result<()> {
    match shape {
        Some(shape) if !shape.head_dim.is_power_of_two() => {
            let message = format!(
                "{method}: head dimension {} is no power of two, which its rotation needs; take a scalar format",
                shape.head_dim
            );
            Err(refusal("head_dim_unsupported", message))
        }
        _ => Ok(()),
    }
}

/// Refuses a head dimension that blocks of 32 do not divide.
pub(super) fn check_blocks(method: &str, shape: Option<Shape>) -> Result<()> {
    match shape {
        Some(shape) if !shape.head_dim.is_multiple_of(GGML_BLOCK) => {
            let message = format!(
                "{method}: head dimension {} is not a multiple of its block of {GGML_BLOCK}; take int8_token_head or \
                 int4_token_head",
                shape.head_dim
            );
            Err(refusal("head_dim_unsupported", message))
        }
        _ => Ok(()),
    }
}
