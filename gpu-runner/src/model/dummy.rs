//! Random weights of known shapes, for speed work without a file. Never zeros: they change clocks and paths.

use super::config::{Architecture, Config, RopeConfig};
use super::rope::RopeScaling;
use super::weights::{Role, TensorSource};
use super::Shape;
use crate::quant::WeightType;
use crate::random::{key, uniform, uses};
use crate::request::Dummy;
use crate::{Error, Result};
use half::f16;
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::borrow::Cow;

/// A known shape.
pub struct DummyShape {
    name: &'static str,
    arch: &'static str,
    hidden: usize,
    ffn: usize,
    layers: usize,
    q_heads: usize,
    kv_heads: usize,
    head_dim: usize,
    vocab: usize,
    context: usize,
    rope_base: f32,
    tied: bool,
}

impl DummyShape {
    /// As requests name it.
    pub fn name(&self) -> &'static str {
        self.name
    }
}

macro_rules! shapes {
    ($($name:literal $arch:literal $hidden:literal $ffn:literal $layers:literal $q:literal $kv:literal $d:literal
       $vocab:literal $context:literal $base:literal $tied:literal;)*) => {
        &[$(DummyShape {
            name: $name, arch: $arch, hidden: $hidden, ffn: $ffn, layers: $layers, q_heads: $q, kv_heads: $kv,
            head_dim: $d, vocab: $vocab, context: $context, rope_base: $base, tied: $tied,
        }),*]
    };
}

/// Name, architecture, hidden, ffn, layers, q heads, kv heads, head dim, vocabulary, context, RoPE base, tied head.
pub const SHAPES: &[DummyShape] = shapes! {
    "llama-3.1-8b"   "llama" 4096 14336 32 32  8 128 128256 131072  500000.0 false;
    "llama-2-7b"     "llama" 4096 11008 32 32 32 128  32000   4096   10000.0 false;
    "mistral-7b"     "llama" 4096 14336 32 32  8 128  32000  32768   10000.0 false;
    "qwen2.5-7b"     "qwen2" 3584 18944 28 28  4 128 152064  32768 1000000.0 false;
    "llama-3.1-70b"  "llama" 8192 28672 80 64  8 128 128256 131072  500000.0 false;
    "llama-3.2-1b"   "llama" 2048  8192 16 32  8  64 128256 131072  500000.0 true;
    "tinyllama-1.1b" "llama" 2048  5632 22 32  4  64  32000   2048   10000.0 false;
    "qwen2.5-0.5b"   "qwen2"  896  4864 24 14  2  64 151936  32768 1000000.0 true;
    "smollm2-135m"   "llama"  576  1536 30  9  3  64  49152   8192  100000.0 true;
};

/// A dummy model's tensors.
pub struct DummySource {
    config: Config,
    seed: u64,
}

impl DummySource {
    /// The model that `request` names.
    ///
    /// # Errors
    /// `bad_request` for an unknown shape or more layers than it has.
    pub fn new(request: &Dummy) -> Result<DummySource> {
        let Some(shape) = SHAPES.iter().find(|s| s.name == request.shape) else {
            let names: Vec<_> = SHAPES.iter().map(|s| s.name).collect();
            return Err(Error::BadRequest(format!(
                "no dummy shape \"{}\"; choose one of {}",
                request.shape,
                names.join(", ")
            )));
        };
        let layers = request.layers.unwrap_or(shape.layers);
        if layers == 0 || layers > shape.layers {
            return Err(Error::BadRequest(format!(
                "layers is {layers}; {} has 1 to {}",
                shape.name, shape.layers
            )));
        }
        let arch = Architecture::find(shape.arch).ok_or_else(|| Error::Internal(format!("no {}", shape.arch)))?;
        Ok(DummySource {
            config: Config {
                arch,
                shape: Shape {
                    layers,
                    q_heads: shape.q_heads,
                    kv_heads: shape.kv_heads,
                    head_dim: shape.head_dim,
                },
                hidden: shape.hidden,
                ffn: shape.ffn,
                vocab: shape.vocab,
                context: shape.context,
                norm_eps: 1e-5,
                rope: RopeConfig {
                    base: shape.rope_base,
                    scaling: RopeScaling::None,
                },
                tied: shape.tied,
            },
            seed: request.seed,
        })
    }

    fn amplitude(&self, role: Role, fan_in: usize) -> f32 {
        let a = (3.0 / fan_in as f64).sqrt();
        let a = match role {
            Role::Embedding => 3f64.sqrt(),
            Role::ResidualOut => a / (2.0 * self.config.shape.layers as f64).sqrt(),
            Role::Linear => a,
        };
        a as f32
    }
}

/// Elements of tensor `name` in [-a, a), f16.
pub fn elements(seed: u64, name: &str, a: f32, len: usize) -> Vec<f16> {
    let digest = Sha256::digest(name.as_bytes());
    let mut word = [0; 8];
    word.copy_from_slice(&digest[..8]);
    let key = key(seed, [uses::WEIGHTS, u64::from_be_bytes(word), 0, 0, 0]);
    (0..len)
        .into_par_iter()
        .map(|i| f16::from_f32((2.0 * uniform(key, i as u64) - 1.0) * a))
        .collect()
}

impl TensorSource for DummySource {
    fn config(&self) -> &Config {
        &self.config
    }

    fn matrix(&self, name: &str, role: Role, rows: usize, cols: usize) -> Result<(WeightType, Cow<'_, [u8]>)> {
        let bytes = elements(self.seed, name, self.amplitude(role, cols), rows * cols)
            .into_iter()
            .flat_map(|w| w.to_bits().to_le_bytes())
            .collect();
        Ok((WeightType::F16, Cow::Owned(bytes)))
    }

    fn vector(&self, name: &str, len: usize) -> Result<Vec<f32>> {
        if name.ends_with("norm.weight") {
            return Ok(vec![1.0; len]);
        }
        let a = self.amplitude(Role::Linear, self.config.hidden);
        Ok(elements(self.seed, name, a, len).into_iter().map(f16::to_f32).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_elements_of_the_published_tensor_are_reproduced() {
        let a = (3.0f64 / 4096.0).sqrt() as f32;
        let got = elements(1, "blk.0.attn_q.weight", a, 3);
        for (got, want) in got.iter().zip([0.00897, 0.006893, 0.01147]) {
            assert!((got.to_f32() - want).abs() <= want * 5e-4, "{got} is not {want}");
        }
    }

    #[test]
    fn shapes_have_the_published_parameter_counts() {
        let published = [
            ("llama-3.1-8b", 8.030e9),
            ("llama-2-7b", 6.738e9),
            ("mistral-7b", 7.242e9),
            ("qwen2.5-7b", 7.616e9),
            ("llama-3.1-70b", 70.55e9),
            ("llama-3.2-1b", 1.236e9),
            ("tinyllama-1.1b", 1.100e9),
            ("qwen2.5-0.5b", 0.494e9),
            ("smollm2-135m", 0.1345e9),
        ];
        for (name, parameters) in published {
            let source = DummySource::new(&Dummy {
                shape: name.into(),
                seed: 1,
                layers: None,
            })
            .unwrap();
            let c = source.config();
            let untied = if c.tied { 0 } else { c.vocab * c.hidden };
            let bias = if c.arch.qkv_bias { c.qkv_rows() } else { 0 };
            let norms = c.hidden * (2 * c.shape.layers + 1);
            let total = c.linear_weights() as usize + untied + norms + bias * c.shape.layers;
            assert!((total as f64 / parameters - 1.0).abs() < 6e-4, "{name}: {total}");
        }
    }
}
