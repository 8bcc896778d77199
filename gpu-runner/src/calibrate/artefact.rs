//! The artefact: its JSON form, its hash, and the checks before use.

use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::engine::stats::hex;
use crate::model::Shape;
use crate::{Error, Result};

/// What `kvquant` was calibrated to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Artefact {
    /// `kvquant`.
    pub compressor: String,
    /// Content hash of the model; see [`crate::engine::Loaded::model`].
    pub model: String,
    /// sha256 over the calibration sequences: each one's length, then its ids, as little-endian u32.
    pub tokens: String,
    /// How many sequences.
    pub sequences: usize,
    /// Tokens that were counted: all but the first `sinks_fp` of each sequence.
    pub counted: usize,
    /// Bits per code.
    pub bits: u8,
    /// Share of outliers.
    pub sparsity: f64,
    /// First tokens of each sequence that were left out.
    pub sinks_fp: usize,
    /// How values weighed in the codebooks.
    pub weights: Weighting,
    /// One a layer.
    pub layers: Vec<Tables>,
}

/// How values weigh in a codebook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weighting {
    /// All alike.
    Uniform,
    /// By Fisher information; such artefacts are made elsewhere.
    Fisher,
}

/// Tables of one layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tables {
    /// Of keys before RoPE.
    pub k: KeyTables,
    /// Of values.
    pub v: ValueTables,
}

/// Bounds and codebook of keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyTables {
    /// [kv_heads][head_dim]: below it lies an outlier.
    pub lo: Vec<Vec<f32>>,
    /// [kv_heads][head_dim]: above it lies an outlier.
    pub hi: Vec<Vec<f32>>,
    /// 2^bits ascending values in [-1, 1].
    pub codebook: Vec<f32>,
    /// Q-Norm.
    pub norm: Norm,
}

/// Codebook of values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValueTables {
    /// 2^bits ascending values in [-1, 1].
    pub codebook: Vec<f32>,
    /// Q-Norm.
    pub norm: Norm,
}

/// What a coded value is multiplied by and what is added then, if `qnorm` is on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Norm {
    /// Factor.
    pub scale: f32,
    /// Summand.
    pub shift: f32,
}

fn mismatch<T>(message: String) -> Result<T> {
    Err(Error::Compressor {
        code: "calibration_mismatch",
        message,
    })
}

impl Artefact {
    /// The file's bytes.
    ///
    /// # Errors
    /// `internal` if a number is not finite: the calibrator makes none.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        let mut bytes =
            serde_json::to_vec(self).map_err(|e| Error::Internal(format!("the artefact cannot be written: {e}")))?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Reads the file that a request names for `sha256`.
    ///
    /// # Errors
    /// `calibration_missing` if it cannot be read, `calibration_mismatch` if its content has another hash or no sound
    /// form.
    pub fn open(path: &Path, sha256: &str) -> Result<Artefact> {
        let bytes = std::fs::read(path).map_err(|e| Error::Compressor {
            code: "calibration_missing",
            message: format!(
                "calibration artefact {} cannot be read: {e}; give its path in `artefacts`",
                path.display()
            ),
        })?;
        let found = hex(&Sha256::digest(&bytes));
        if found != sha256 {
            return mismatch(format!(
                "{} has sha256 {found}, the request wants {sha256}; name the artefact that was calibrated, or calibrate again",
                path.display()
            ));
        }
        let artefact: Artefact = match serde_json::from_slice(&bytes) {
            Ok(artefact) => artefact,
            Err(e) => return mismatch(format!("{} is no calibration artefact: {e}", path.display())),
        };
        artefact.check(&path.display().to_string())?;
        Ok(artefact)
    }

    /// Checks what needs no model: shapes, order of codebooks, finite numbers.
    fn check(&self, name: &str) -> Result<()> {
        let bad = |what: String| mismatch(format!("{name}: {what}; calibrate again"));
        if self.compressor != "kvquant" {
            return bad(format!("it is for {}, not for kvquant", self.compressor));
        }
        if !matches!(self.bits, 2..=4) {
            return bad(format!("bits is {}, which must be 2, 3 or 4", self.bits));
        }
        if !(0.0..=0.1).contains(&self.sparsity) {
            return bad(format!("sparsity is {}, which must be 0 to 0.1", self.sparsity));
        }
        for (l, layer) in self.layers.iter().enumerate() {
            for (tensor, codebook, norm) in [
                ("K", &layer.k.codebook, layer.k.norm),
                ("V", &layer.v.codebook, layer.v.norm),
            ] {
                let wanted = 1usize << self.bits;
                if codebook.len() != wanted {
                    let found = codebook.len();
                    return bad(format!(
                        "layer {l} has {found} values in the codebook of {tensor}, not {wanted}"
                    ));
                }
                if codebook.iter().any(|x| !(-1.0..=1.0).contains(x)) {
                    return bad(format!("layer {l}: the codebook of {tensor} leaves [-1, 1]"));
                }
                if codebook.windows(2).any(|pair| pair[0] > pair[1]) {
                    return bad(format!("layer {l}: the codebook of {tensor} does not ascend"));
                }
                if !(norm.scale.is_finite() && norm.shift.is_finite()) {
                    return bad(format!("layer {l}: the Q-Norm of {tensor} is not finite"));
                }
            }
            let bounds = layer.k.lo.iter().flatten().zip(layer.k.hi.iter().flatten());
            for (lo, hi) in bounds {
                // A bound is a value of f16 or lies between two of them.
                if !(lo.abs() <= 65_504.0 && hi.abs() <= 65_504.0 && lo <= hi) {
                    return bad(format!("layer {l} bounds a channel of K by {lo} and {hi}"));
                }
            }
        }
        Ok(())
    }

    /// Checks that the artefact belongs to this model and to these parameters.
    ///
    /// # Errors
    /// `calibration_mismatch`.
    pub fn fits(&self, model: &str, shape: Shape, bits: i64, sparsity: f64) -> Result<()> {
        let differs = |what: &str, own: &str, wanted: &str| {
            mismatch(format!(
                "the calibration artefact was made for {what} {own}, the cell has {wanted}; calibrate for this cell"
            ))
        };
        if self.model != model {
            return differs("the model", &self.model, model);
        }
        if i64::from(self.bits) != bits {
            return differs("bits", &self.bits.to_string(), &bits.to_string());
        }
        if self.sparsity != sparsity {
            return differs("sparsity", &self.sparsity.to_string(), &sparsity.to_string());
        }
        if self.layers.len() != shape.layers {
            return differs("layers:", &self.layers.len().to_string(), &shape.layers.to_string());
        }
        for (l, layer) in self.layers.iter().enumerate() {
            for bound in [&layer.k.lo, &layer.k.hi] {
                if bound.len() != shape.kv_heads || bound.iter().any(|head| head.len() != shape.head_dim) {
                    return mismatch(format!(
                        "layer {l} of the calibration artefact does not bound {} kv heads of {} channels; calibrate for \
                         this model",
                        shape.kv_heads, shape.head_dim
                    ));
                }
            }
        }
        Ok(())
    }
}
