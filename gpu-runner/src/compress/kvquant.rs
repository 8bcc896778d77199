//! KVQuant: calibrated non-uniform codes, keys before RoPE, sparse outliers.
//!
//! A calibration artefact holds bounds for every key channel and one codebook a layer for K and for V. Keys are coded as
//! projected and rotated at read: RoPE mixes channels of different ranges, so rotated keys have no bounds worth the name.
//! Values are coded token by token. What lies outside is kept as a difference. The first `sinks_fp` tokens stay f16.
//! Statistics of V are per kv head; the published code takes them over all heads of a token.
//!
//! Based on: Hooper et al., "KVQuant: Towards 10 Million Context Length LLM Inference with KV Cache Quantization",
//! arXiv 2401.18079.

use serde_json::{json, Value};

use super::{refusal, Bits, Compressor, Param, ParamKind, ParamValue, Params, Spec};
use crate::backend::cpu::sparse::outliers::per_tail;
use crate::cache::sparse::Sparse;
use crate::cache::{Flush, KeyForm, Layout, Part};
use crate::model::Shape;
use crate::Result;

/// The method.
pub struct Kvquant;

static SPEC: Spec = Spec {
    name: "kvquant",
    title: "KVQuant (calibrated, non-uniform)",
    family: "quant+sparse",
    section: 15,
    params: &[
        Param::new(
            "bits",
            ParamKind::Numbers(&[2, 3, 4]),
            ParamValue::Int(4),
            "codebook bits for K and V",
        ),
        Param::new(
            "sparsity",
            ParamKind::Between(0.0, 0.1),
            ParamValue::Float(0.01),
            "fraction of outliers; must equal the artefact's for K",
        ),
        Param::new(
            "sinks_fp",
            ParamKind::Range(0, 64),
            ParamValue::Int(1),
            "first tokens kept in f16 for good",
        ),
        Param::new(
            "qnorm",
            ParamKind::Bool,
            ParamValue::Bool(false),
            "apply the artefact's Q-Norm scale and shift to codebook values",
        ),
        Param::new(
            "calibration",
            ParamKind::Sha256,
            ParamValue::Null,
            "content hash of the calibration artefact; required",
        ),
    ],
    aliases: &[],
    evict_at: None,
    key_form: "pre_rope",
    head_granularity: "kv",
    first_token_equals_baseline: "within rounding",
    bits_k: "bits+32*sparsity (expected)",
    bits_v: "bits+32/d+64*t(d)/d",
    compose_role: None,
    rules: &["artefact matches the model's content hash, bits and sparsity"],
    derived: &[],
    identity_setting: None,
    side_state: None,
    paper: Some("arXiv 2401.18079"),
    source: "KVQuant: quant/kvquant/simquant_module_quantizer.py, quant/llama_simquant.py",
    remarks: None,
};

impl Compressor for Kvquant {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn check(&self, params: &Params, _shape: Option<Shape>) -> Result<()> {
        match params.get("calibration") {
            Some(ParamValue::Sha(_)) => Ok(()),
            _ => {
                let message =
                    "kvquant: `calibration` is missing; make an artefact with op calibrate and give its sha256";
                Err(refusal("calibration_missing", message.into()))
            }
        }
    }

    fn amend(&self, row: &mut Value) {
        row["bits_per_element"]["variables"] = json!("t(m)=0 if sparsity=0 else max(1,floor(m*sparsity/2))");
    }

    fn bits(&self, params: &Params, head_dim: usize) -> Bits {
        let (bits, sparsity, d) = (params.int("bits") as f64, params.float("sparsity"), head_dim as f64);
        Bits {
            k: bits + 32.0 * sparsity,
            v: bits + 32.0 / d + 64.0 * per_tail(head_dim, sparsity) as f64 / d,
        }
    }

    fn layout(&self, params: &Params, _layer: usize, _shape: Shape) -> Layout {
        let bits = params.int("bits") as u8;
        let kvquant = Sparse::Kvquant(crate::cache::sparse::Kvquant {
            bits,
            sparsity: params.float("sparsity"),
            sinks: params.count("sinks_fp"),
            qnorm: params.flag("qnorm"),
        });
        Layout {
            page_tokens: kvquant.page_tokens(),
            k: Part::Sparse { bits },
            v: Part::Sparse { bits },
            k_flush: Flush::Token(0),
            v_flush: Flush::Token(0),
            key_form: KeyForm::PreRope,
            sparse: Some(kvquant),
        }
    }
}
