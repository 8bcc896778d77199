//! The oracle: dequantised weights, no int8 activations, sums in f64. Slow and plain on purpose.
//!
//! K and V are f16 and rotation is f32, as the cache defines them for every backend; attention reads the same pages as
//! the CPU's, dequantised, in f64.

use super::cpu::attention::StepWeights;
use super::cpu::forward::{Cpu, LayerKv};
use super::cpu::shared::SharedMut;
use super::cpu::Rows;
use super::{Backend, Stored};
use crate::cache::{KeyForm, KvCache, SeqId};
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

/// Attention of one query row q [q_heads, head_dim] over all that a sequence holds in a layer, dequantised, in f64.
pub fn attend(cache: &KvCache, seq: SeqId, layer: usize, q: &[f32], out: &mut [f32]) {
    attend_watched(cache, seq, layer, q, out, &mut |_, _, _| ());
}

/// As [`attend`]; `watch` gets (kv head, query head, weights in order of positions).
fn attend_watched(
    cache: &KvCache,
    seq: SeqId,
    layer: usize,
    q: &[f32],
    out: &mut [f32],
    watch: &mut dyn FnMut(usize, usize, &[f64]),
) {
    let (shape, d) = (cache.shape(), cache.shape().head_dim);
    for head in 0..shape.kv_heads {
        let (mut k, v) = cache.dequantised(seq, layer, head);
        if cache.key_form() == KeyForm::PreRope {
            // Rank among the kept entries, in order of positions, is the slot.
            for (slot, row) in k.chunks_exact_mut(d).enumerate() {
                let (cos, sin) = cache.rope().row(slot).split_at(d / 2);
                for ((pair, c), s) in row.chunks_exact_mut(2).zip(cos).zip(sin) {
                    let (a, b, c, s) = (pair[0], pair[1], f64::from(*c), f64::from(*s));
                    (pair[0], pair[1]) = (a * c - b * s, b * c + a * s);
                }
            }
        }
        for i in head * shape.group()..(head + 1) * shape.group() {
            let (weights, _) = softmax_sum(&q[i * d..][..d], &k, &v, &mut out[i * d..][..d]);
            watch(head, i, &weights);
        }
    }
}

/// softmax(q·K / sqrt(d)) V of one query head q [d] over k, v [tokens, d]. Returns the weights, and ln of the sum of
/// e^score.
fn softmax_sum(q: &[f32], k: &[f64], v: &[f64], out: &mut [f32]) -> (Vec<f64>, f64) {
    let d = q.len();
    let scale = 1.0 / (d as f64).sqrt();
    let score = |row: &[f64]| scale * row.iter().zip(q).map(|(k, q)| k * f64::from(*q)).sum::<f64>();
    let mut weights: Vec<f64> = k.chunks_exact(d).map(score).collect();
    let most = weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    weights.iter_mut().for_each(|w| *w = (*w - most).exp());
    let total: f64 = weights.iter().sum();
    let mut sums = vec![0f64; d];
    for (w, row) in weights.iter().zip(v.chunks_exact(d)) {
        sums.iter_mut().zip(row).for_each(|(sum, v)| *sum += w * v);
    }
    out.iter_mut()
        .zip(sums)
        .for_each(|(out, sum)| *out = (sum / total) as f32);
    weights.iter_mut().for_each(|w| *w /= total);
    (weights, most + total.ln())
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

    fn raw_kv<'a>(&self, kv: &'a LayerKv, len: usize) -> (&'a [f16], &'a [f16]) {
        self.cpu.raw_kv(kv, len)
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

    fn attend_prefill(
        &self,
        config: &Config,
        q: &Vec<f32>,
        rows: Range<usize>,
        kv: &mut LayerKv,
        out: &mut Vec<f32>,
        _statistics: bool,
    ) {
        let (shape, d) = (config.shape, config.shape.head_dim);
        let (heads, kv_heads, group) = (shape.q_heads, shape.kv_heads, shape.group());
        let first = rows.start;
        let out = SharedMut::new(&mut out[..rows.len() * heads * d]);
        kv.lse.resize(rows.len() * heads, 0.0);
        let lse = SharedMut::new(&mut kv.lse);
        let widen = |x: &[f16], head: usize, tokens: usize| -> Vec<f64> {
            let rows = (0..tokens).flat_map(|t| &x[(t * kv_heads + head) * d..][..d]);
            rows.map(|x| x.to_f64()).collect()
        };
        self.cpu.pool().tasks(rows.len() * kv_heads, &|task| {
            let (i, kv_head) = (task / kv_heads, task % kv_heads);
            let (k, v) = (
                widen(&kv.k, kv_head, first + i + 1),
                widen(&kv.v, kv_head, first + i + 1),
            );
            for head in kv_head * group..(kv_head + 1) * group {
                // SAFETY: (row, head) belongs to this task.
                let (o, l) = unsafe { (out.slice((i * heads + head) * d, d), lse.slice(i * heads + head, 1)) };
                let (_, sum) = softmax_sum(&q[(i * heads + head) * d..][..d], &k, &v, o);
                l[0] = (sum * std::f64::consts::LOG2_E) as f32;
            }
        });
    }

    fn observe_prefill(&self, cache: &KvCache, q: &Vec<f32>, rows: Range<usize>, tokens: usize, kv: &mut LayerKv) {
        self.cpu.observe_prefill(cache, q, rows, tokens, kv);
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
        mut weights: Option<&mut StepWeights>,
    ) {
        let _ = chunk; // The order of sums does not matter at 2^-53.
        let width = cache.shape().q_heads * cache.shape().head_dim;
        if let Some(weights) = &mut weights {
            weights.resize(cache, seqs, layer);
        }
        for (row, seq) in seqs.iter().enumerate() {
            let out = &mut out[row * width..][..width];
            attend_watched(
                cache,
                *seq,
                layer,
                &q[row * width..][..width],
                out,
                &mut |head, i, found| {
                    let Some(weights) = &mut weights else { return };
                    let of_head = weights.of_mut(row, head);
                    let first = i % cache.shape().group() * found.len();
                    for (w, (_, place)) in found.iter().zip(cache.entries(*seq, layer, head)) {
                        of_head[first + place] = *w as f32;
                    }
                },
            );
            stored[row].nan |= out.iter().any(|x| x.is_nan());
        }
    }

    fn after_step(
        &self,
        cache: &mut KvCache,
        seqs: &[SeqId],
        layer: usize,
        q: &Vec<f32>,
        weights: Option<&StepWeights>,
        stored: &mut [Stored],
    ) -> Result<()> {
        self.cpu.after_step(cache, seqs, layer, q, weights, stored)
    }
}
