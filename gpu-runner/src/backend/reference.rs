//! The oracle: dequantised weights, no int8 activations, sums in f64. Slow and plain on purpose.
//!
//! K and V are f16 and rotation is f32, as the cache defines them for every backend; decode attention reads the same
//! pages as the CPU's, with the CPU's kernels, because what lies in a page is tested against f64 on its own.

use super::cpu::forward::{Cpu, LayerKv};
use super::cpu::shared::SharedMut;
use super::cpu::Rows;
use super::{Backend, Stored};
use crate::cache::{KvCache, SeqId};
use crate::compress::Resolved;
use crate::model::config::Config;
use crate::model::rope::Rope;
use crate::Result;
use half::f16;
use std::ops::Range;
use std::sync::Arc;

/// The slow backend, with the CPU for what is defined to the bit.
pub struct Reference {
    cpu: Cpu,
}

/// A dequantised matrix [rows, cols].
pub struct Matrix {
    cols: usize,
    weights: Vec<f32>,
    bias: Option<Vec<f32>>,
}

impl Matrix {
    fn rows(&self) -> usize {
        self.weights.len() / self.cols
    }
}

impl Reference {
    /// On the threads of `cpu`.
    pub fn new(cpu: Cpu) -> Reference {
        Reference { cpu }
    }
}

/// Sum of products in f64, four partial sums: the order does not matter at 2^-53.
fn dot(w: &[f32], x: &[f32]) -> f64 {
    let mut sums = [0f64; 4];
    for (w, x) in w.chunks(4).zip(x.chunks(4)) {
        for ((sum, w), x) in sums.iter_mut().zip(w).zip(x) {
            *sum += f64::from(*w) * f64::from(*x);
        }
    }
    sums.iter().sum()
}

impl Backend for Reference {
    type Matrix = Matrix;
    type Vector = Vec<f32>;
    type Buffer = Vec<f32>;
    type Input = Vec<f32>;
    type LayerKv = LayerKv;

    fn name(&self) -> &'static str {
        "reference"
    }

    fn matrix(&self, cols: usize, parts: &[Rows<'_>], bias: Option<Vec<f32>>) -> Result<Matrix> {
        let mut weights = Vec::new();
        for part in parts {
            let len = part.ty.row_bytes(cols);
            for row in 0..part.rows {
                let source = part.order.map_or(row, |order| order[row]);
                let at = weights.len();
                weights.resize(at + cols, 0.0);
                part.ty
                    .dequantize_row(&part.bytes[source * len..][..len], &mut weights[at..]);
            }
        }
        Ok(Matrix { cols, weights, bias })
    }

    fn vector(&self, values: &[f32]) -> Vec<f32> {
        values.to_vec()
    }

    fn buffer(&self, len: usize) -> Vec<f32> {
        vec![0.0; len]
    }

    fn input(&self, _rows: usize, _cols: usize) -> Vec<f32> {
        Vec::new()
    }

    fn layer_kv(&self, config: &Config, tokens: usize, pre_rope: bool) -> LayerKv {
        self.cpu.layer_kv(config, tokens, pre_rope)
    }

    fn cache(&self, config: &Config, resolved: &Resolved, rope: &Arc<Rope>, limit: u64) -> Result<KvCache> {
        self.cpu.cache(config, resolved, rope, limit)
    }

    fn host<'a>(&self, buffer: &'a mut Vec<f32>, len: usize) -> &'a mut [f32] {
        &mut buffer[..len]
    }

    fn norm(&self, x: &Vec<f32>, rows: Range<usize>, weight: &Vec<f32>, eps: f32, _w: &Matrix, out: &mut Vec<f32>) {
        let cols = weight.len();
        out.clear();
        for x in x[rows.start * cols..rows.end * cols].chunks_exact(cols) {
            let mean = dot(x, x) / cols as f64;
            let factor = 1.0 / (mean + f64::from(eps)).sqrt();
            out.extend(
                x.iter()
                    .zip(weight)
                    .map(|(x, w)| (f64::from(*x) * factor * f64::from(*w)) as f32),
            );
        }
    }

    fn pack(&self, x: &Vec<f32>, n: usize, w: &Matrix, out: &mut Vec<f32>) {
        out.clear();
        out.extend_from_slice(&x[..n * w.cols]);
    }

    fn swiglu(&self, gate_up: &Vec<f32>, n: usize, w: &Matrix, out: &mut Vec<f32>) {
        out.clear();
        for row in gate_up[..n * 2 * w.cols].chunks_exact(2 * w.cols) {
            let (gate, up) = row.split_at(w.cols);
            out.extend(gate.iter().zip(up).map(|(g, u)| {
                let g = f64::from(*g);
                (g / (1.0 + (-g).exp()) * f64::from(*u)) as f32
            }));
        }
    }

    fn linear(&self, w: &Matrix, input: &Vec<f32>, out: &mut Vec<f32>, first_row: usize, accumulate: bool) {
        let (rows, cols) = (w.rows(), w.cols);
        let n = input.len() / cols;
        let out = SharedMut::new(&mut out[first_row * rows..][..n * rows]);
        self.cpu.pool().split(rows, 1, &|part| {
            for row in part {
                let weights = &w.weights[row * cols..][..cols];
                let bias = w.bias.as_ref().map_or(0.0, |bias| f64::from(bias[row]));
                for (i, x) in input.chunks_exact(cols).enumerate() {
                    // SAFETY: column `row` belongs to this thread.
                    let y = unsafe { &mut out.slice(i * rows + row, 1)[0] };
                    let sum = dot(weights, x) + bias;
                    *y = if accumulate {
                        (f64::from(*y) + sum) as f32
                    } else {
                        sum as f32
                    };
                }
            }
        });
    }

    fn rope_prefill(
        &self,
        cache: &KvCache,
        qkv: &Vec<f32>,
        first: usize,
        n: usize,
        q: &mut Vec<f32>,
        kv: &mut LayerKv,
    ) -> Stored {
        self.cpu.rope_prefill(cache, qkv, first, n, q, kv)
    }

    fn attend_prefill(&self, config: &Config, q: &Vec<f32>, rows: Range<usize>, kv: &LayerKv, out: &mut Vec<f32>) {
        let (shape, d) = (config.shape, config.shape.head_dim);
        let (heads, kv_heads, group) = (shape.q_heads, shape.kv_heads, shape.group());
        let scale = 1.0 / (d as f64).sqrt();
        let first = rows.start;
        let out = SharedMut::new(&mut out[..rows.len() * heads * d]);
        self.cpu.pool().tasks(rows.len(), &|i| {
            let mut weights = vec![0f64; first + i + 1];
            for head in 0..heads {
                let query = &q[(i * heads + head) * d..][..d];
                let at = |t: usize| (t * kv_heads + head / group) * d;
                for (t, w) in weights.iter_mut().enumerate() {
                    let products = query.iter().zip(&kv.k[at(t)..][..d]);
                    *w = scale * products.map(|(q, k)| f64::from(*q) * f16::to_f64(*k)).sum::<f64>();
                }
                let most = weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                weights.iter_mut().for_each(|w| *w = (*w - most).exp());
                let total: f64 = weights.iter().sum();
                // SAFETY: (row, head) belongs to this task.
                let o = unsafe { out.slice((i * heads + head) * d, d) };
                for (c, o) in o.iter_mut().enumerate() {
                    let terms = weights
                        .iter()
                        .enumerate()
                        .map(|(t, w)| w * f16::to_f64(kv.v[at(t) + c]));
                    *o = (terms.sum::<f64>() / total) as f32;
                }
            }
        });
    }

    fn store_prefill(&self, cache: &mut KvCache, seq: SeqId, layer: usize, tokens: usize, kv: &LayerKv) -> Result<()> {
        self.cpu.store_prefill(cache, seq, layer, tokens, kv)
    }

    fn rope_append(
        &self,
        cache: &mut KvCache,
        seqs: &[SeqId],
        layer: usize,
        qkv: &Vec<f32>,
        q: &mut Vec<f32>,
        stored: &mut [Stored],
    ) -> Result<()> {
        self.cpu.rope_append(cache, seqs, layer, qkv, q, stored)
    }

    fn attend_decode(
        &self,
        cache: &KvCache,
        seqs: &[SeqId],
        layer: usize,
        q: &Vec<f32>,
        chunk: usize,
        out: &mut Vec<f32>,
        stored: &mut [Stored],
    ) {
        self.cpu.attend_decode(cache, seqs, layer, q, chunk, out, stored);
    }

    fn after_step(&self, cache: &mut KvCache, seqs: &[SeqId], layer: usize) -> Result<()> {
        self.cpu.after_step(cache, seqs, layer)
    }
}
