//! TurboQuant, the form that minimises squared error: rotate, normalise, round every coordinate to a fixed codebook.
//!
//! No calibration and no groups: after a random rotation the coordinates of any vector are close to normal. Our
//! rotation is a Hadamard transform behind random signs. The inner-product form with a sketch of the residual is left
//! out: it is unbiased, but noisier through softmax.
//!
//! Based on: Zandieh et al., "TurboQuant: Online Vector Quantization with Near-optimal Distortion Rate", arXiv
//! 2504.19874.

use serde_json::{json, Value};

use super::per_token::{self, skip, WINDOW};
use super::{refusal, Alias, Bits, Compressor, Param, ParamKind, ParamValue, Params, Spec};
use crate::backend::cpu::codec::rotation::signs;
use crate::cache::{Layout, Part, Rotation, TokenCodec};
use crate::model::Shape;
use crate::Result;

/// The method.
pub struct TurboquantMse;

const BITS: ParamKind = ParamKind::Numbers(&[1, 2, 3, 4, 16]);

static SPEC: Spec = Spec {
    name: "turboquant_mse",
    title: "TurboQuant, MSE variant",
    family: "quant",
    section: 14,
    params: &[
        Param::new(
            "k_bits",
            BITS,
            ParamValue::Int(4),
            "bits of K codes; 16 stores K as f16",
        ),
        Param::new(
            "v_bits",
            BITS,
            ParamValue::Int(4),
            "bits of V codes; 16 stores V as f16",
        ),
        Param::new(
            "rotation",
            ParamKind::Words(&["hadamard_signs", "hadamard"]),
            ParamValue::Word("hadamard_signs"),
            "hadamard_signs: H diag(signs)/sqrt(d); hadamard: signs all +1",
        ),
        Param::new(
            "renorm",
            ParamKind::Bool,
            ParamValue::Bool(false),
            "store norm/|centroid vector| so that the decoded vector keeps its length",
        ),
        skip("skip_first", "first layers left in f16", 0),
        skip("skip_last", "last layers left in f16", 0),
        WINDOW,
        Param::new(
            "seed",
            ParamKind::Range(0, (1 << 53) - 1),
            ParamValue::Int(0),
            "seed of the sign vectors",
        ),
    ],
    aliases: &[Alias {
        param: Param::new("bits", BITS, ParamValue::Int(4), "k_bits and v_bits at once"),
        stands_for: &["k_bits", "v_bits"],
        formula: false,
    }],
    head_granularity: "kv; sign vector shared by the heads of a layer",
    bits_k: "16 if k_bits=16 else k_bits+16/d",
    bits_v: "16 if v_bits=16 else v_bits+16/d",
    rules: &["head_dim is a power of two"],
    identity_setting: Some("k_bits=v_bits=16"),
    paper: Some("arXiv 2504.19874"),
    source: "arXiv 2504.19874 (our rotation is Hadamard with signs instead of a dense orthogonal matrix)",
    ..per_token::SPEC
};

/// K (tensor 0) or V (1) of a layer.
fn part(params: &Params, name: &str, layer: usize, tensor: u64) -> Part {
    let bits = match params.int(name) {
        16 => return Part::F16,
        bits => bits as u8,
    };
    Part::Token {
        codec: TokenCodec::Codebook {
            bits,
            renorm: params.flag("renorm"),
        },
        rotation: match params.word("rotation") {
            "hadamard" => Rotation::Hadamard,
            _ => signs(params.int("seed") as u64, layer, tensor),
        },
    }
}

impl Compressor for TurboquantMse {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn expand(&self, given: &mut Params) -> Result<()> {
        let Some(bits) = given.remove("bits") else {
            return Ok(());
        };
        for name in ["k_bits", "v_bits"] {
            if given.get(name).is_some() {
                let message = format!("turboquant_mse: `bits` already sets `{name}`; give one of the two");
                return Err(refusal("param_conflict", message));
            }
            given.set(name, bits);
        }
        Ok(())
    }

    fn check(&self, _params: &Params, shape: Option<Shape>) -> Result<()> {
        per_token::check_power_of_two(SPEC.name, shape)
    }

    fn identity(&self) -> Option<Value> {
        Some(json!({"bits": 16}))
    }

    fn bits(&self, params: &Params, head_dim: usize) -> Bits {
        let of = |name| match params.int(name) {
            16 => 16.0,
            bits => bits as f64 + 16.0 / head_dim as f64,
        };
        Bits {
            k: of("k_bits"),
            v: of("v_bits"),
        }
    }

    fn layout(&self, params: &Params, layer: usize, shape: Shape) -> Layout {
        if per_token::is_skipped(params, layer, shape.layers) {
            return Layout::f16();
        }
        let (k, v) = (part(params, "k_bits", layer, 0), part(params, "v_bits", layer, 1));
        per_token::layout(params, k, v)
    }
}
