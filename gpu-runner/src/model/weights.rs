//! The weights of a model, read from a source of named tensors into a backend's own form.

use super::config::{ChannelOrder, Config};
use crate::backend::cpu::Rows;
use crate::backend::Backend;
use crate::quant::WeightType;
use crate::Result;
use std::borrow::Cow;

/// What a matrix is for: dummy models scale it by this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Reads the residual stream, or is the head.
    Linear,
    /// Adds into the residual stream.
    ResidualOut,
    /// The embedding table.
    Embedding,
}

/// Named tensors: a model file or a generator.
pub trait TensorSource {
    /// The model's shape.
    fn config(&self) -> &Config;

    /// Matrix `name` [rows, cols] in the file's type and row order.
    ///
    /// # Errors
    /// `model_file` if it is missing or misshaped, `unsupported` for its type.
    fn matrix(&self, name: &str, role: Role, rows: usize, cols: usize) -> Result<(WeightType, Cow<'_, [u8]>)>;

    /// Vector `name` [len], widened to f32.
    ///
    /// # Errors
    /// As `matrix`.
    fn vector(&self, name: &str, len: usize) -> Result<Vec<f32>>;
}

/// The embedding table as in the file: a lookup dequantises single rows.
pub struct Embedding {
    /// Type of its rows.
    pub ty: WeightType,
    /// Channels of a row.
    pub cols: usize,
    bytes: Vec<u8>,
}

impl Embedding {
    /// Writes row `id` into `out` [cols].
    pub fn row(&self, id: u32, out: &mut [f32]) {
        let len = self.ty.row_bytes(self.cols);
        let at = id as usize * len;
        self.ty.dequantize_row(&self.bytes[at..at + len], out);
    }
}

/// The weights of one layer.
pub struct Layer<B: Backend> {
    /// Before attention, [hidden].
    pub attn_norm: B::Vector,
    /// Q, K, V rows in this order, RoPE pairs adjacent, biases included: [qkv_rows, hidden].
    pub qkv: B::Matrix,
    /// [hidden, q_width].
    pub out: B::Matrix,
    /// Before the feed-forward layer, [hidden].
    pub ffn_norm: B::Vector,
    /// Gate rows, then up rows: [2 ffn, hidden].
    pub gate_up: B::Matrix,
    /// [hidden, ffn].
    pub down: B::Matrix,
}

/// All weights.
pub struct Weights<B: Backend> {
    /// Token embeddings, on the host.
    pub embedding: Embedding,
    /// In order.
    pub layers: Vec<Layer<B>>,
    /// Before the head, [hidden].
    pub out_norm: B::Vector,
    /// [vocab, hidden].
    pub head: B::Matrix,
    /// Bytes read by one decode step: every matrix once.
    pub step_bytes: u64,
    /// Bytes of all weights as held.
    pub bytes: u64,
    /// Name of the type of most bytes.
    pub dtype: &'static str,
}

struct Tally(Vec<(WeightType, u64)>);

impl Tally {
    fn add(&mut self, ty: WeightType, bytes: usize) {
        match self.0.iter_mut().find(|(t, _)| *t == ty) {
            Some((_, sum)) => *sum += bytes as u64,
            None => self.0.push((ty, bytes as u64)),
        }
    }

    fn sum(&self) -> u64 {
        self.0.iter().map(|(_, b)| b).sum()
    }
}

impl<B: Backend> Weights<B> {
    /// Reads every tensor of `source` and hands it to `backend`.
    ///
    /// # Errors
    /// The source's, with the tensor named.
    pub fn load(source: &dyn TensorSource, backend: &B) -> Result<Weights<B>> {
        let config = source.config();
        let mut tally = Tally(Vec::new());
        let (ty, table) = source.matrix("token_embd.weight", Role::Embedding, config.vocab, config.hidden)?;
        let embedding = Embedding {
            ty,
            cols: config.hidden,
            bytes: table.into_owned(),
        };
        let layers = (0..config.shape.layers)
            .map(|i| load_layer(source, backend, i, &mut tally))
            .collect::<Result<Vec<_>>>()?;
        let head = if config.tied {
            tally.add(ty, embedding.bytes.len());
            let table = (ty, config.vocab, Cow::Borrowed(&embedding.bytes[..]));
            backend.matrix(config.hidden, &[rows(&table, None)], None)?
        } else {
            let (ty, bytes) = source.matrix("output.weight", Role::Linear, config.vocab, config.hidden)?;
            tally.add(ty, bytes.len());
            backend.matrix(config.hidden, &[rows(&(ty, config.vocab, bytes), None)], None)?
        };
        let step_bytes = tally.sum();
        tally.add(ty, embedding.bytes.len());
        let most = tally.0.iter().max_by_key(|(_, b)| *b).map_or(ty, |(t, _)| *t);
        Ok(Weights {
            out_norm: backend.vector(&source.vector("output_norm.weight", config.hidden)?),
            embedding,
            layers,
            head: backend.sharp(head),
            step_bytes,
            bytes: tally.sum(),
            dtype: most.name(),
        })
    }
}

fn load_layer<B: Backend>(source: &dyn TensorSource, backend: &B, i: usize, tally: &mut Tally) -> Result<Layer<B>> {
    let config = source.config();
    let (shape, hidden) = (config.shape, config.hidden);
    let name = |part: &str| format!("blk.{i}.{part}");
    let mut read = |part: &str, role, rows, cols| {
        let (ty, bytes) = source.matrix(&name(&format!("{part}.weight")), role, rows, cols)?;
        tally.add(ty, bytes.len());
        Ok::<_, crate::Error>((ty, rows, bytes))
    };
    let (q_rows, kv_rows) = (config.q_width(), shape.kv_heads * shape.head_dim);
    let q = read("attn_q", Role::Linear, q_rows, hidden)?;
    let k = read("attn_k", Role::Linear, kv_rows, hidden)?;
    let v = read("attn_v", Role::Linear, kv_rows, hidden)?;
    let out = read("attn_output", Role::ResidualOut, hidden, q_rows)?;
    let gate = read("ffn_gate", Role::Linear, config.ffn, hidden)?;
    let up = read("ffn_up", Role::Linear, config.ffn, hidden)?;
    let down = read("ffn_down", Role::ResidualOut, hidden, config.ffn)?;
    let split = config.arch.channel_order == ChannelOrder::HalfSplit;
    let order = |rows| split.then(|| adjacent_pairs(rows, shape.head_dim));
    let (q_order, k_order) = (order(q_rows), order(kv_rows));
    let bias = if config.arch.qkv_bias {
        let ordered = |part: &str, rows, order: &Option<Vec<usize>>| {
            let values = source.vector(&name(part), rows)?;
            Ok::<_, crate::Error>(match order {
                Some(order) => order.iter().map(|&row| values[row]).collect(),
                None => values,
            })
        };
        let q = ordered("attn_q.bias", q_rows, &q_order)?;
        let k = ordered("attn_k.bias", kv_rows, &k_order)?;
        let v = ordered("attn_v.bias", kv_rows, &None)?;
        Some([q, k, v].concat())
    } else {
        None
    };
    Ok(Layer {
        attn_norm: backend.vector(&source.vector(&name("attn_norm.weight"), hidden)?),
        qkv: backend.matrix(
            hidden,
            &[
                rows(&q, q_order.as_deref()),
                rows(&k, k_order.as_deref()),
                rows(&v, None),
            ],
            bias,
        )?,
        out: backend.matrix(q_rows, &[rows(&out, None)], None)?,
        ffn_norm: backend.vector(&source.vector(&name("ffn_norm.weight"), hidden)?),
        gate_up: backend.matrix(hidden, &[rows(&gate, None), rows(&up, None)], None)?,
        down: backend.sharp(backend.matrix(config.ffn, &[rows(&down, None)], None)?),
    })
}

fn rows<'a>((ty, rows, bytes): &'a (WeightType, usize, Cow<'_, [u8]>), order: Option<&'a [usize]>) -> Rows<'a> {
    Rows {
        ty: *ty,
        rows: *rows,
        bytes,
        order,
    }
}

/// The file's row for each of `rows` rows, per head of `d`: new row 2i = old i, new row 2i + 1 = old i + d/2.
fn adjacent_pairs(rows: usize, d: usize) -> Vec<usize> {
    (0..rows)
        .map(|row| row / d * d + row % d / 2 + row % 2 * (d / 2))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_split_rows_become_adjacent_pairs_in_every_head() {
        // Two heads of d = 4.
        assert_eq!(adjacent_pairs(8, 4), [0, 2, 1, 3, 4, 6, 5, 7]);
    }
}
