//! A GGUF file as a source of tensors: its keys become a [`Config`], and every tensor's shape is checked against it.

use super::config::{Architecture, Config, RopeConfig, ARCHITECTURES};
use super::rope::RopeScaling;
use super::weights::{Role, TensorSource};
use super::Shape;
use crate::gguf::Gguf;
use crate::quant::WeightType;
use crate::{Error, Result};
use std::borrow::Cow;

/// Longest context that is believed: tables are made from it.
const MAX_CONTEXT: usize = 1 << 24;

/// The tensors of an open model file.
pub struct FileSource<'a> {
    file: &'a Gguf,
    config: Config,
}

impl<'a> FileSource<'a> {
    /// Reads the shape.
    ///
    /// # Errors
    /// `unsupported` for an architecture, a rope scaling or a variant that the engine does not compute, `model_file`
    /// for keys that are missing or contradict each other.
    pub fn new(file: &'a Gguf) -> Result<FileSource<'a>> {
        Ok(FileSource {
            config: read_config(file)?,
            file,
        })
    }
}

fn read_config(file: &Gguf) -> Result<Config> {
    let name: &str = file.need("general.architecture")?;
    let Some(arch) = Architecture::find(name) else {
        let known: Vec<_> = ARCHITECTURES.iter().map(|a| a.name).collect();
        return Err(Error::Unsupported(format!(
            "{}: architecture {name} is not computed; this engine has {}",
            file.path().display(),
            known.join(", ")
        )));
    };
    let key = |part: &str| format!("{name}.{part}");
    let size = |part: &str, limit: usize| {
        let value: usize = file.need(&key(part))?;
        if value == 0 || value > limit {
            return Err(file.error(format!("{} is {value}; 1 to {limit} is possible", key(part))));
        }
        Ok(value)
    };
    let unsupported = |message: String| Err(Error::Unsupported(format!("{}: {message}", file.path().display())));
    let hidden = size("embedding_length", 1 << 20)?;
    let q_heads = size("attention.head_count", 1 << 12)?;
    let kv_heads = match file.get::<usize>(&key("attention.head_count_kv"))? {
        Some(n) if n > 0 && q_heads % n == 0 => n,
        Some(n) => return Err(file.error(format!("{n} kv heads do not divide {q_heads} query heads"))),
        None => q_heads,
    };
    let head_dim = match file.get::<usize>(&key("attention.key_length"))? {
        Some(d) => d,
        None if hidden % q_heads == 0 => hidden / q_heads,
        None => return Err(file.error(format!("{q_heads} heads do not divide {hidden} channels"))),
    };
    let value_dim = file.get::<usize>(&key("attention.value_length"))?.unwrap_or(head_dim);
    let rotated = file.get::<usize>(&key("rope.dimension_count"))?.unwrap_or(head_dim);
    if head_dim == 0 || head_dim > 1024 || value_dim != head_dim || rotated != head_dim {
        return unsupported(format!(
            "heads with {head_dim} key, {value_dim} value and {rotated} rotated channels; all three must be equal"
        ));
    }
    let context = size("context_length", MAX_CONTEXT)?;
    if file.get::<usize>(&key("expert_count"))?.is_some_and(|n| n > 0) {
        return unsupported("mixtures of experts are not computed; choose a dense model".into());
    }
    if let Some(w) = file
        .get::<usize>(&key("attention.sliding_window"))?
        .filter(|w| (1..context).contains(w))
    {
        return unsupported(format!("attention with a sliding window of {w} tokens is not computed"));
    }
    let table = file.tensor("token_embd.weight")?;
    if table.dims.len() != 2 || table.cols() != hidden || table.rows() > 1 << 24 {
        return Err(file.error(format!(
            "token_embd.weight has dimensions {:?}, not [{hidden}, vocabulary]",
            table.dims
        )));
    }
    Ok(Config {
        arch,
        shape: Shape {
            layers: size("block_count", 1 << 12)?,
            q_heads,
            kv_heads,
            head_dim,
        },
        hidden,
        ffn: size("feed_forward_length", 1 << 22)?,
        vocab: table.rows(),
        context,
        norm_eps: file.need::<f32>(&key("attention.layer_norm_rms_epsilon"))?,
        rope: RopeConfig {
            base: file.get::<f32>(&key("rope.freq_base"))?.unwrap_or(10_000.0),
            scaling: rope_scaling(file, name, head_dim)?,
        },
        tied: file.find_tensor("output.weight").is_none(),
    })
}

fn rope_scaling(file: &Gguf, name: &str, head_dim: usize) -> Result<RopeScaling> {
    let unsupported = |message: String| Err(Error::Unsupported(format!("{}: {message}", file.path().display())));
    let factor = match file.get::<f32>(&format!("{name}.rope.scaling.factor"))? {
        Some(factor) => Some(factor),
        None => file.get::<f32>(&format!("{name}.rope.scale_linear"))?,
    };
    let kind: Option<&str> = file.get(&format!("{name}.rope.scaling.type"))?;
    let linear = match (kind, factor) {
        (None | Some("linear"), Some(factor)) if factor != 1.0 => Some(factor),
        (None | Some("none" | "linear"), _) => None,
        (Some(other), _) => return unsupported(format!("rope scaling {other} is not computed; none and linear are")),
    };
    match (file.find_tensor("rope_freqs.weight"), linear) {
        (None, None) => Ok(RopeScaling::None),
        (None, Some(factor)) => Ok(RopeScaling::Linear(factor)),
        (Some(_), None) => Ok(RopeScaling::Factors(
            file.tensor_of("rope_freqs.weight", &[head_dim / 2])?.to_f32(),
        )),
        (Some(_), Some(_)) => unsupported("rope_freqs.weight together with linear scaling is not computed".into()),
    }
}

impl TensorSource for FileSource<'_> {
    fn config(&self) -> &Config {
        &self.config
    }

    fn matrix(&self, name: &str, _role: Role, rows: usize, cols: usize) -> Result<(WeightType, Cow<'_, [u8]>)> {
        let tensor = self.file.tensor_of(name, &[cols, rows])?;
        Ok((tensor.ty, Cow::Borrowed(tensor.bytes)))
    }

    fn vector(&self, name: &str, len: usize) -> Result<Vec<f32>> {
        let values = self.file.tensor_of(name, &[len])?.to_f32();
        match values.iter().position(|v| !v.is_finite()) {
            Some(i) => Err(self.file.error(format!("tensor {name} holds {} at {i}", values[i]))),
            None => Ok(values),
        }
    }
}
