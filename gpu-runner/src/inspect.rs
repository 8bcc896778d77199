//! What a model file holds: the command `inspect`.

use crate::gguf::Gguf;
use crate::tokenizer::Tokenizer;
use crate::Result;
use serde::Serialize;
use std::fmt::Write;
use std::path::Path;

/// Longest array that is printed in full; vocabularies are not.
const LONGEST_ARRAY: usize = 16;

/// The facts of one file.
#[derive(Debug, Serialize)]
pub struct Inspection {
    /// As given.
    pub path: String,
    /// Of the whole file.
    pub sha256: String,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// GGUF version.
    pub gguf_version: u32,
    /// `general.architecture`.
    pub architecture: Option<String>,
    /// All keys; long arrays by type and length.
    pub metadata: serde_json::Map<String, serde_json::Value>,
    /// All tensors in file order.
    pub tensors: Vec<TensorFacts>,
    /// Sums over all tensors.
    pub weights: Weights,
    /// The vocabulary, or why the engine cannot use it.
    pub vocabulary: Vocabulary,
    /// The chat template of the file.
    pub chat_template: Option<String>,
}

/// One tensor.
#[derive(Debug, Serialize)]
pub struct TensorFacts {
    /// Its name.
    pub name: String,
    /// Elements per dimension, fastest first.
    pub dims: Vec<usize>,
    /// The weight type.
    #[serde(rename = "type")]
    pub ty: &'static str,
    /// Bytes in the file.
    pub bytes: usize,
}

/// Bytes of the weights by where they would live: a CPU keeps them as in the file, a GPU as 16-bit floats.
#[derive(Debug, Serialize)]
pub struct Weights {
    /// Weights in all tensors.
    pub parameters: u64,
    /// Bytes on a CPU.
    pub cpu_bytes: u64,
    /// Bytes on a GPU.
    pub cuda_bytes: u64,
    /// Bytes per weight type, as in the file.
    pub by_type: serde_json::Map<String, serde_json::Value>,
}

/// The vocabulary.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Vocabulary {
    /// It can be used.
    Usable {
        /// `gpt2` or `llama`.
        kind: &'static str,
        /// `tokenizer.ggml.pre`.
        pre: Option<String>,
        /// Ids.
        len: usize,
        /// Whether BOS stands in front of prompts.
        add_bos: bool,
        /// Whether EOS stands behind plain prompts.
        add_eos: bool,
        /// BOS.
        bos: Option<u32>,
        /// Ids that end a generation.
        end_ids: Vec<u32>,
    },
    /// It cannot.
    Refused {
        /// Why.
        error: String,
    },
}

/// Gathers the facts.
///
/// # Errors
/// As [`Gguf::open`].
pub fn inspect(path: &Path) -> Result<Inspection> {
    let gguf = Gguf::open(path)?;
    let metadata = gguf
        .metadata()
        .map(|(key, value)| (key.to_owned(), gguf.value_json(value, LONGEST_ARRAY)))
        .collect();
    let mut weights = Weights {
        parameters: 0,
        cpu_bytes: 0,
        cuda_bytes: 0,
        by_type: Default::default(),
    };
    let mut tensors = Vec::new();
    for tensor in gguf.tensors() {
        let parameters = (tensor.rows() * tensor.cols()) as u64;
        weights.parameters += parameters;
        weights.cpu_bytes += tensor.bytes.len() as u64;
        weights.cuda_bytes += 2 * parameters;
        let sum = weights.by_type.entry(tensor.ty.name()).or_insert(0.into());
        *sum = (sum.as_u64().unwrap_or(0) + tensor.bytes.len() as u64).into();
        let (name, dims) = (tensor.name.to_owned(), tensor.dims.to_vec());
        tensors.push(TensorFacts {
            name,
            dims,
            ty: tensor.ty.name(),
            bytes: tensor.bytes.len(),
        });
    }
    let vocabulary = match Tokenizer::from_gguf(&gguf) {
        Ok(tokenizer) => Vocabulary::Usable {
            kind: tokenizer.kind(),
            pre: gguf.get::<&str>("tokenizer.ggml.pre")?.map(str::to_owned),
            len: tokenizer.vocab_len(),
            add_bos: tokenizer.add_bos(),
            add_eos: tokenizer.add_eos(),
            bos: tokenizer.bos(),
            end_ids: tokenizer.end_ids().to_vec(),
        },
        Err(error) => Vocabulary::Refused {
            error: error.to_string(),
        },
    };
    Ok(Inspection {
        path: path.display().to_string(),
        sha256: gguf.sha256()?.to_owned(),
        file_bytes: gguf.file_bytes(),
        gguf_version: gguf.version(),
        architecture: gguf.get::<&str>("general.architecture")?.map(str::to_owned),
        metadata,
        tensors,
        weights,
        vocabulary,
        chat_template: gguf.get::<&str>("tokenizer.chat_template")?.map(str::to_owned),
    })
}

/// The text that the command prints: one JSON object, or lines for people.
///
/// # Errors
/// As [`inspect`].
pub fn run(path: &Path, json: bool) -> Result<String> {
    let found = inspect(path)?;
    if json {
        let text = serde_json::to_string_pretty(&found);
        return text.map_err(|e| crate::Error::Internal(format!("writing the inspection: {e}")));
    }
    let mut out = String::new();
    // writing to a String cannot fail
    let _ = found.write(&mut out);
    Ok(out)
}

impl Inspection {
    fn write(&self, out: &mut String) -> std::fmt::Result {
        let architecture = self.architecture.as_deref().unwrap_or("unnamed");
        writeln!(
            out,
            "{}: GGUF version {}, {} bytes",
            self.path, self.gguf_version, self.file_bytes
        )?;
        writeln!(out, "sha256       {}", self.sha256)?;
        writeln!(out, "architecture {architecture}")?;
        let weights = &self.weights;
        let (n, cpu, cuda) = (weights.parameters, weights.cpu_bytes, weights.cuda_bytes);
        writeln!(
            out,
            "weights      {n} in {} tensors; {cpu} bytes on a CPU, {cuda} on a GPU",
            self.tensors.len()
        )?;
        for (ty, bytes) in &weights.by_type {
            writeln!(out, "             {ty:<5} {bytes} bytes")?;
        }
        match &self.vocabulary {
            Vocabulary::Usable {
                kind,
                pre,
                len,
                end_ids,
                ..
            } => {
                let pre = pre.as_deref().unwrap_or("-");
                writeln!(
                    out,
                    "vocabulary   {kind}, pre-tokenizer {pre}, {len} ids, end ids {end_ids:?}"
                )?;
            }
            Vocabulary::Refused { error } => writeln!(out, "vocabulary   not usable: {error}")?,
        }
        writeln!(out, "template     {}", self.chat_template.as_deref().unwrap_or("none"))?;
        writeln!(out, "metadata")?;
        for (key, value) in self
            .metadata
            .iter()
            .filter(|(key, _)| *key != "tokenizer.chat_template")
        {
            writeln!(out, "  {key} = {value}")?;
        }
        writeln!(out, "tensors")?;
        for TensorFacts { name, dims, ty, bytes } in &self.tensors {
            writeln!(out, "  {name:<32} {ty:<5} {dims:?}, {bytes} bytes")?;
        }
        Ok(())
    }
}
